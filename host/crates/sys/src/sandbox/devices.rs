//! `/dev`: a small filesystem of its own, with the devices that every program may use.

use std::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, Mode, mkdirat, mknodat, symlinkat};
use rustix::mount::MountAttrFlags;

use super::mounts::{PLAIN, attach, device, filesystem};
use super::prepare::Prepared;
use super::report::{At, Failed, Stage};
use crate::userns::Ids;

/// The host's path and the name in `/dev`.
const DEVICES: [(&CStr, &CStr); 6] = [
    (c"/dev/null", c"null"),
    (c"/dev/zero", c"zero"),
    (c"/dev/full", c"full"),
    (c"/dev/random", c"random"),
    (c"/dev/urandom", c"urandom"),
    (c"/dev/tty", c"tty"),
];

const LINKS: [(&CStr, &CStr); 6] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"/proc/kcore", c"core"),
    (c"pts/ptmx", c"ptmx"),
];

const SHARED_MEMORY: [(&CStr, &CStr); 2] = [(c"mode", c"1777"), (c"size", c"65536k")];
/// Terminals belong to the group `tty`, which is 5 everywhere; it exists only where there is more than one id.
const TERMINALS: [(&CStr, &CStr); 3] = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];

pub(super) fn mount(root: BorrowedFd<'_>, prepared: &Prepared) -> Result<(), Failed> {
    let not_executable = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let dev = filesystem(c"tmpfs", &[(c"mode", c"755"), (c"size", c"65536k")], attributes).at(Stage::Dev)?;
    attach(&dev, root, c"dev").at(Stage::Dev)?;
    for (target, name) in LINKS {
        symlinkat(target, &dev, name).at(Stage::Dev)?;
    }

    // Bound from the host, because a user namespace cannot make device nodes; and because `/dev` is `nodev`, as all
    // else that root in the sandbox can write to: it may make a node of any device, and no device cgroup confines it.
    let console = prepared.console.as_deref().map(|terminal| (terminal, c"console"));
    for (host, name) in DEVICES.into_iter().chain(console) {
        mknodat(&dev, name, FileType::RegularFile, Mode::from(0o666), 0).at(Stage::Device)?;
        device(host).and_then(|device| attach(&device, dev.as_fd(), name)).at(Stage::Device)?;
    }

    let terminals = if prepared.ids == Ids::Single { &TERMINALS[..2] } else { &TERMINALS[..] };
    for (name, kind, options, attributes) in [
        (c"shm", c"tmpfs", &SHARED_MEMORY[..], PLAIN),
        (c"mqueue", c"mqueue", &[], PLAIN),
        (c"pts", c"devpts", terminals, not_executable),
    ] {
        mkdirat(&dev, name, Mode::from(0o755)).at(Stage::Dev)?;
        attach(&filesystem(kind, options, attributes).at(Stage::Dev)?, dev.as_fd(), name).at(Stage::Dev)?;
    }
    Ok(())
}
