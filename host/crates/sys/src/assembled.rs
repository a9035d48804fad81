//! A tree that is put together from several mounts, in a mount namespace of its own: nobody else sees them, and they go
//! with it, whatever way the process ends.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, move_mount, open_tree};
use rustix::thread::{UnshareFlags, unshare_unsafe};

const NOTHING: &CStr = c"";

/// Holds the mounts.
pub struct Assembled {
    _namespace: File,
}

impl Assembled {
    /// Attaches the mount `root` at `place` in a new namespace, and each source at its target, a path beneath that root.
    /// Sources come in order: one within another after it. From now on `root` shows them. A target that is not there is
    /// passed over.
    ///
    /// # Errors
    /// This process may not mount.
    pub fn new(root: impl AsFd, place: &Path, mounts: &[(&Path, &[u8])]) -> io::Result<Self> {
        let root = root.as_fd();
        // Of the process only this thread gets the namespace: others may look for paths of the host at any time.
        thread::scope(|scope| scope.spawn(|| assemble(root, place, mounts)).join())
            .map_err(|_| io::Error::other("a thread panicked"))?
    }
}

fn assemble(root: BorrowedFd<'_>, place: &Path, mounts: &[(&Path, &[u8])]) -> io::Result<Assembled> {
    // SAFETY: this unshares neither memory nor descriptors, and this thread has no other use of its working directory.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    // Nothing of what follows must be seen by the namespace that this one was copied from.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let into = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(root, NOTHING, CWD, place, into)?;
    for (source, target) in mounts {
        let Some(target) = open(root, target)? else { continue };
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let source: OwnedFd = open_tree(CWD, *source, clone)?;
        move_mount(source, NOTHING, target, NOTHING, into | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH)?;
    }
    Ok(Assembled { _namespace: File::open("/proc/thread-self/ns/mnt")? })
}

fn open(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<OwnedFd>> {
    let path = if path.is_empty() { &b"."[..] } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(target) => Ok(Some(target)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
