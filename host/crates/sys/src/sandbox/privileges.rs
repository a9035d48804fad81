//! What the processes of a sandbox may do: Docker's default capabilities, and no more whatever they execute.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::prepare::Prepared;
use super::report::{At, Failed, Stage};
use super::{landlock, raw};
use crate::userns::Ids;

/// `CapEff: 00000000a80425fb`.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Confines this process and all it will start, unless it is to be insecure.
///
/// `no_new_privs` is not set, on purpose: it would disable setuid programs, and builds use `sudo` and `su`. Such a
/// program gains at most the bounding set, which is what root in the sandbox has anyway. Without it a filter needs
/// CAP_SYS_ADMIN to be installed, hence the order here.
pub(super) fn confine(prepared: &Prepared) -> Result<(), Failed> {
    if prepared.insecure {
        return Ok(());
    }
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if CAPABILITIES.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // A number past the kernel's last one.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno).at(Stage::Confine),
        }
    }
    landlock::restrict().at(Stage::Confine)?;
    raw::install_filter(prepared.filter).at(Stage::Filter)?;
    let sets = CapabilitySets {
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
        // Inheritable ones would reach programs with file capabilities that were never meant to have them; with the
        // inheritable set the ambient one is emptied.
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).at(Stage::Confine)
}

/// Becomes the user. From root to another one the kernel clears the effective and permitted capabilities.
pub(super) fn become_user(prepared: &Prepared) -> Result<(), Failed> {
    // Where only one id exists, setgroups is not allowed: the groups of whoever runs kiln stay, as in every such
    // namespace.
    if prepared.ids != Ids::Single {
        set_thread_groups(&prepared.groups).at(Stage::User)?;
    }
    set_thread_res_gid(prepared.gid, prepared.gid, prepared.gid).at(Stage::User)?;
    set_thread_res_uid(prepared.uid, prepared.uid, prepared.uid).at(Stage::User)
}
