//! The root filesystem of a sandbox that does not run, for reading and writing from here.

use std::io;
use std::path::Path;
use std::thread;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::mounts::{self, Overlay};
use super::prepare;
use super::raw;
use super::report::At;
use super::{Failure, Stage};
use crate::Lower;
use crate::userns::Ids;

/// A root directory that is mounted for this process only, as long as this is there.
pub struct Tree {
    root: OwnedFd,
    /// Without it, what is mounted on the root filesystem would be gone.
    _namespace: OwnedFd,
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// A file or directory of the host in its place.
#[derive(Debug, Clone, Copy)]
pub struct Volume<'a> {
    pub source: &'a Path,
    /// Clean, in the root filesystem.
    pub target: &'a [u8],
    /// Whatever path leads there.
    pub read_only: bool,
}

/// Mounts directories over one another, the topmost of `lower` first, with changes going to `upper`; and `volumes` on that,
/// one within another after it. A target that is not there is passed over.
pub fn mount(lower: &[Lower], upper: &Path, work: &Path, ids: Ids, volumes: &[Volume<'_>]) -> Result<Tree, Failure> {
    let lower = prepare::lower(lower)?;
    let (upper, work) = (prepare::c_path(upper)?, prepare::c_path(work)?);
    let overlay = Overlay {
        lower: &lower,
        upper: &upper,
        work: &work,
        in_user_namespace: ids.in_user_namespace(),
        volatile: false,
    };
    // Only this thread has the mount namespace: others may look for paths of the host meanwhile.
    thread::scope(|scope| scope.spawn(|| mount_here(&overlay, volumes)).join()).unwrap_or_else(|_| {
        Err(Failure { stage: Stage::Overlay, mount: 0, source: io::Error::other("the thread that mounts it failed") })
    })
}

fn mount_here(overlay: &Overlay<'_>, volumes: &[Volume<'_>]) -> Result<Tree, Failure> {
    // SAFETY: descriptors stay shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.at(Stage::PrivateMounts)?;
    mounts::make_private().at(Stage::PrivateMounts)?;
    let root = mounts::overlay(overlay)?;
    for (number, volume) in (0..).zip(volumes) {
        attach(&root, volume).map_err(|error| Failure { stage: Stage::Mount, mount: number, source: error.into() })?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = open("/proc/thread-self/ns/mnt", flags, Mode::empty()).at(Stage::PrivateMounts)?;
    Ok(Tree { root, _namespace: namespace })
}

fn attach(root: &OwnedFd, &Volume { source, target, read_only }: &Volume<'_>) -> rustix::io::Result<()> {
    let target = if target.is_empty() { &b"."[..] } else { target };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let target = match openat2(root, target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        target => target?,
    };
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let source = open_tree(CWD, source, clone)?;
    // Processes of the container may have made nodes of any device there, which do nothing for them either.
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    raw::set_mount_attributes(source.as_fd(), attributes.bits().into(), true)?;
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(source, c"", target, c"", both)
}
