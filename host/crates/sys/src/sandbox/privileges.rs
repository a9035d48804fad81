//! What the processes of a sandbox may do: their capabilities, and no more whatever they execute.

use rustix::io::Errno;
use rustix::process::setrlimit;
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::command::Parent;
use super::prepare::PreparedProgram;
use super::report::{At, Failed, Stage};
use super::{landlock, raw};
use crate::userns::Ids;

/// Confines this process and all it will start, unless the program is to be privileged.
///
/// `no_new_privs` is not set unless it was asked for: it would disable setuid programs, and builds use `sudo` and `su`.
/// Such a program gains at most the bounding set, which is what root in the sandbox has anyway. Without it a filter
/// needs CAP_SYS_ADMIN to be installed, hence the order here; and who has a profile keeps that until [`settle`] and
/// [`install_profile`].
pub(super) fn confine(program: &PreparedProgram, restrict_writing: bool) -> Result<(), Failed> {
    for (resource, values) in &program.limits {
        setrlimit(*resource, *values).at(Stage::Limit)?;
    }
    if program.filter.is_none() {
        // Keys of whoever started kiln, which the filter does not let it ask for.
        raw::new_session_keyring().at(Stage::Confine)?;
    }
    if program.privileged {
        return Ok(());
    }
    let capabilities = program.capabilities.set();
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if capabilities.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // A number past the kernel's last one.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno).at(Stage::Confine),
        }
    }
    if restrict_writing {
        landlock::restrict().at(Stage::Confine)?;
    }
    if program.no_new_privileges {
        set_no_new_privs(true).at(Stage::Confine)?;
    }
    if let Some(filter) = &program.filter {
        raw::install_filter(filter).at(Stage::Filter)?;
    }
    set(program.starters_capabilities.set() | for_profile(program))
}

/// What installing its filter takes.
fn for_profile(program: &PreparedProgram) -> CapabilitySet {
    let is_needed = program.profile.is_some() && !program.no_new_privileges;
    if is_needed { CapabilitySet::SYS_ADMIN } else { CapabilitySet::empty() }
}

/// For who has started the process of a program with a profile, before the program is executed: nothing in the sandbox may
/// do more by way of process 1.
pub(super) fn settle(program: &PreparedProgram, parent: Parent) -> Result<(), Failed> {
    let Some(profile) = &program.profile else { return Ok(()) };
    if parent != Parent::Outside {
        raw::install_filter(&profile.init).at(Stage::Filter)?;
    }
    if program.privileged { Ok(()) } else { set(program.starters_capabilities.set()) }
}

/// The last thing before the program is executed, by which root has what is in the bounding set, and others nothing.
pub(super) fn install_profile(program: &PreparedProgram) -> Result<(), Failed> {
    let Some(profile) = &program.profile else { return Ok(()) };
    match (program.uid.is_root(), program.privileged) {
        (false, _) => set(for_profile(program))?,
        (true, false) => set(program.capabilities.set() | for_profile(program))?,
        // A program by which capabilities are gained could not be traced, nor would it end with its parent.
        (true, true) => {}
    }
    raw::install_filter(&profile.program).at(Stage::Filter)
}

fn set(capabilities: CapabilitySet) -> Result<(), Failed> {
    let sets = CapabilitySets {
        effective: capabilities,
        permitted: capabilities,
        // Inheritable ones would reach programs with file capabilities that were never meant to have them; with the
        // inheritable set the ambient one is emptied.
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).at(Stage::Confine)
}

/// Becomes the user. From root to another one the kernel clears the effective capabilities, and the permitted ones, too,
/// unless a profile's filter is yet to be installed.
pub(super) fn become_user(program: &PreparedProgram) -> Result<(), Failed> {
    if program.profile.is_some() {
        set_keep_capabilities(true).at(Stage::User)?;
    }
    // Where only one id exists, setgroups is not allowed: the groups of whoever runs kiln stay, as in every such
    // namespace.
    if program.ids != Ids::Single {
        set_thread_groups(&program.groups).at(Stage::User)?;
    }
    set_thread_res_gid(program.gid, program.gid, program.gid).at(Stage::User)?;
    set_thread_res_uid(program.uid, program.uid, program.uid).at(Stage::User)?;
    // With a profile it is done when that is installed.
    let is_set = program.privileged || program.profile.is_some();
    let keeps_more = !is_set && program.capabilities != program.starters_capabilities;
    if keeps_more && program.uid.is_root() { set(program.capabilities.set()) } else { Ok(()) }
}
