//! This program once more, to go on alone.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, fstat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags, mount_change, open_tree};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::sandbox::raw;

const THIS: &str = "/proc/self/exe";

/// Starts this program again, in `/` and with no descriptors but those given. Whoever drops the [`Child`] without waiting
/// for it leaves a zombie until they end themselves.
///
/// It should call [`rustix::process::setsid`] first, and may not rely on the path of its executable: that is on a
/// read-only mount of its own, where such a one can be had. A container's processes can get hold of the program that
/// started them, and must not be able to write to it, even as the host's root.
pub fn spawn_detached<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    [stdin, stdout, stderr]: [Stdio; 3],
) -> io::Result<Child> {
    // Also those that whoever started this process has left open.
    raw::close_on_execute(3)?;
    let arguments: Vec<OsString> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    let spawn = || {
        let copy = read_only_copy().ok();
        let program = copy.as_ref().map_or(THIS.to_owned(), |copy| format!("/proc/self/fd/{}", copy.as_raw_fd()));
        let name = std::env::args_os().next().unwrap_or_default();
        let mut command = Command::new(program);
        command.arg0(name).args(arguments).current_dir("/").stdin(stdin).stdout(stdout).stderr(stderr);
        command.spawn()
    };
    // What a thread does to its mount namespace is for it and its children alone.
    let spawned = thread::scope(|scope| scope.spawn(spawn).join());
    spawned.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it failed")))
}

/// A mount of this program alone.
fn read_only_copy() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let copy = match open_tree(CWD, THIS, flags) {
        Err(Errno::PERM) => {
            // Root of a user namespace may do this in a mount namespace of its own, which follows the host's.
            let path = fs::read_link(THIS)?;
            // SAFETY: descriptors stay shared.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
            mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)?;
            open_tree(CWD, path, flags)?
        }
        other => other?,
    };
    if !is_this(&copy)? {
        return Err(io::ErrorKind::NotFound.into());
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
    raw::set_mount_attributes(copy.as_fd(), attributes.bits().into(), false)?;
    Ok(copy)
}

/// Whether it is the file that this process runs, which may have been replaced.
fn is_this(copy: &OwnedFd) -> io::Result<bool> {
    let (stat, this) = (fstat(copy)?, fs::metadata(Path::new(THIS))?);
    Ok((stat.st_dev, stat.st_ino) == (this.dev(), this.ino()))
}
