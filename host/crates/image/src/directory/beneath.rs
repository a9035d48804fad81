//! Opens paths beneath a directory: no symbolic link is followed, whatever the tree contains.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::error::{Error, Result};

/// The directory itself; its own path may lead through symbolic links of the host.
pub(super) fn open_root(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| Error::HostPath {
        action: "open",
        path: directory.to_owned(),
        source: error.into(),
    })
}

/// Opens a clean path; `b""` is the root itself.
pub(super) fn open(root: impl AsFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { &b"."[..] } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?)
}

/// The directories of paths that come in order: the last one stays open.
pub(super) struct Parents<'a> {
    root: BorrowedFd<'a>,
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl<'a> Parents<'a> {
    pub(super) fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, last: None }
    }

    pub(super) fn open(&mut self, directory: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if self.last.as_ref().is_none_or(|(path, _)| path != directory) {
            let opened = open(self.root, directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
            self.last = Some((directory.to_vec(), opened));
        }
        let (_, opened) = self.last.as_ref().expect("it was just set");
        Ok(opened.as_fd())
    }
}
