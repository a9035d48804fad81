//! Mounts that are attached nowhere: a descriptor holds each, and whatever way a process ends, its mounts go with it.

use std::ffi::{CStr, CString};
use std::io;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Result;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

/// Mounts the EROFS image in the file `image`, whose data is in the file `tar`.
///
/// # Errors
/// Kernels before 6.12, users other than the host's root, and filesystems such as tmpfs, whose files cannot be mounted.
pub fn erofs(image: impl AsFd, tar: impl AsFd) -> io::Result<OwnedFd> {
    let options = [(c"source", path(image.as_fd())), (c"device", path(tar.as_fd()))];
    read_only(c"erofs", options.iter().map(|(key, value)| (*key, value.as_c_str())))
}

/// Mounts directories over one another, the topmost first; at least two.
pub fn overlay(lower: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let paths: Vec<_> = lower.iter().map(|lower| path(*lower)).collect();
    let paths = paths.iter().map(|path| path.to_bytes()).collect::<Vec<_>>().join(&b':');
    let paths = CString::new(paths)?;
    read_only(c"overlay", [(c"source", c"overlay"), (c"lowerdir", paths.as_c_str())].into_iter())
}

/// A descriptor as mount options can name it.
fn path(descriptor: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).expect("there is no zero in it")
}

fn read_only<'a>(kind: &CStr, options: impl Iterator<Item = (&'a CStr, &'a CStr)>) -> io::Result<OwnedFd> {
    let attributes =
        MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    Ok(filesystem(kind, options, attributes)?)
}

/// A new filesystem, not attached yet. Makes system calls only.
pub(crate) fn filesystem<'a>(
    kind: &CStr,
    options: impl Iterator<Item = (&'a CStr, &'a CStr)>,
    attributes: MountAttrFlags,
) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// The hierarchy of control groups of version 1 that has these controllers, as this process' namespace shows it. Makes
/// system calls only.
pub(crate) fn cgroup<'a>(controllers: impl Iterator<Item = &'a CStr>, attributes: MountAttrFlags) -> Result<OwnedFd> {
    let context = fsopen(c"cgroup", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for controller in controllers {
        fsconfig_set_flag(context.as_fd(), controller)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
