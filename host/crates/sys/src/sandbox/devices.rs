//! `/dev`: a small filesystem of its own, with the devices that every program may use.

use std::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, mkdirat, mknodat, symlinkat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::mounts::{PLAIN, attach, beneath, copy_of, device, filesystem};
use super::prepare::{Prepared, Terminal};
use super::report::{At, Failed, Stage};
use super::terminal;
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

/// Terminals belong to the group `tty`, which is 5 everywhere; it exists only where there is more than one id.
const TERMINALS: [(&CStr, &CStr); 3] = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];

/// Answers the master of the terminal, if one was made.
pub(super) fn mount(root: BorrowedFd<'_>, prepared: &Prepared) -> Result<Option<OwnedFd>, Failed> {
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
        bind(dev.as_fd(), device(host).at(Stage::Device)?, name).at(Stage::Device)?;
    }
    for wanted in &prepared.devices {
        let mut within = None;
        for directory in &wanted.directories {
            let above = within.as_ref().map_or(dev.as_fd(), OwnedFd::as_fd);
            match mkdirat(above, directory.as_c_str(), Mode::from(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno).at(Stage::Device),
            }
            // No link, as `fd` is one, leads out of it.
            within = Some(beneath(above, directory).at(Stage::Device)?);
        }
        let within = within.as_ref().map_or(dev.as_fd(), OwnedFd::as_fd);
        bind(within, device(&wanted.host).at(Stage::Device)?, &wanted.name).at(Stage::Device)?;
    }

    let terminals = if prepared.ids == Ids::Single { &TERMINALS[..2] } else { &TERMINALS[..] };
    let shared_memory = [(c"mode", c"1777"), (c"size", prepared.shm_size.as_c_str())];
    let mount = |name, kind, options, attributes| -> rustix::io::Result<OwnedFd> {
        mkdirat(&dev, name, Mode::from(0o755))?;
        let filesystem = filesystem(kind, options, attributes)?;
        attach(&filesystem, dev.as_fd(), name)?;
        Ok(filesystem)
    };
    mount(c"shm", c"tmpfs", &shared_memory, PLAIN).at(Stage::Dev)?;
    mount(c"mqueue", c"mqueue", &[], PLAIN).at(Stage::Dev)?;
    let terminals = mount(c"pts", c"devpts", terminals, not_executable).at(Stage::Dev)?;
    let Terminal::Own(size) = prepared.program.terminal else { return Ok(None) };
    let master = terminal::open(terminals.as_fd(), size, prepared.program.uid).at(Stage::Terminal)?;
    // The first of its filesystem.
    let console = copy_of(dev.as_fd(), c"pts/0", false).at(Stage::Terminal)?;
    bind(dev.as_fd(), console, c"console").at(Stage::Terminal)?;
    Ok(Some(master))
}

/// Attaches a device, for which a file is made.
fn bind(dev: BorrowedFd<'_>, device: OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    match mknodat(dev, name, FileType::RegularFile, Mode::from(0o666), 0) {
        // One that was asked for instead of, or as well as, what is there anyway.
        Ok(()) | Err(Errno::EXIST) => attach(&device, dev, name),
        Err(errno) => Err(errno),
    }
}
