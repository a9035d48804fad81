//! Unpacks a layer into a directory that overlayfs can use as a lower one.
//!
//! Directories first, then everything in them in parallel, then hard links, then what directories look like: writing
//! into a directory changes its time, and a mode may forbid it. Every path is opened beneath the root by descriptors.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use kiln_types::paths;
use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::beneath::{self, Parents};
use super::xattrs;
use crate::content::Content;
use crate::error::{Error, Result};
use crate::index::{Entry, Kind};
use crate::layer::Layer;

/// Entries that one thread takes at a time: mostly neighbours in one directory.
const CHUNK: usize = 64;
/// From this size on the kernel copies by itself.
const COPY_IN_KERNEL: u64 = 128 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackOptions {
    /// Inside a user namespace: overlayfs' notes are `user.` attributes, and devices cannot be made.
    pub userxattr: bool,
    /// Only one user is mapped: everything keeps belonging to it.
    pub single_id: bool,
}

/// Unpacks `layer` into the empty directory `dir`. Removed paths become devices 0:0, opaque directories get their
/// attribute.
pub fn unpack(layer: &Layer, dir: &Path, options: UnpackOptions) -> Result<()> {
    let root = beneath::open_root(dir)?;
    let unpacking = Unpacking { layer, root: &root, options };
    let (mut directories, mut links, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for entry in layer.index.iter() {
        let entry = entry?;
        match entry.kind {
            Kind::Directory { .. } => directories.push(entry),
            Kind::HardLink(target) => links.push((entry, target)),
            _ => others.push(entry),
        }
    }
    let mut parents = Parents::new(root.as_fd());
    for entry in directories.iter().filter(|entry| !entry.path.is_empty()) {
        let parent =
            parents.open(paths::parent(entry.path).unwrap_or_default()).map_err(Error::at("create", entry.path))?;
        rustix::fs::mkdirat(parent, paths::name(entry.path), Mode::RWXU)
            .map_err(|error| failed("create", entry, error))?;
    }
    others.par_chunks(CHUNK).try_for_each(|chunk| {
        let mut parents = Parents::new(root.as_fd());
        chunk.iter().try_for_each(|entry| unpacking.make(&mut parents, entry))
    })?;
    links
        .par_chunks(CHUNK)
        .try_for_each(|chunk| chunk.iter().try_for_each(|(entry, target)| unpacking.link(entry, target)))?;
    // From the bottom up: a mode may close the way to what is below.
    directories.iter().rev().try_for_each(|entry| unpacking.dress(entry))
}

struct Unpacking<'a> {
    layer: &'a Layer,
    root: &'a OwnedFd,
    options: UnpackOptions,
}

fn failed(action: &'static str, entry: &Entry<'_>, error: Errno) -> Error {
    Error::at(action, entry.path)(error.into())
}

impl Unpacking<'_> {
    fn make(&self, parents: &mut Parents<'_>, entry: &Entry<'_>) -> Result<()> {
        let parent =
            parents.open(paths::parent(entry.path).unwrap_or_default()).map_err(Error::at("create", entry.path))?;
        let name = paths::name(entry.path);
        let create = |error| failed("create", entry, error);
        match entry.kind {
            Kind::File { .. } => return self.make_file(parent, entry),
            Kind::Symlink(target) => rustix::fs::symlinkat(target, parent, name).map_err(create)?,
            Kind::CharDevice { major, minor } => {
                return self.make_device(parent, entry, FileType::CharacterDevice, rustix::fs::makedev(major, minor));
            }
            Kind::BlockDevice { major, minor } => {
                return self.make_device(parent, entry, FileType::BlockDevice, rustix::fs::makedev(major, minor));
            }
            Kind::Fifo => {
                rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(create)?;
            }
            Kind::Whiteout => {
                return rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0).map_err(create);
            }
            Kind::Directory { .. } | Kind::HardLink(_) => {}
        }
        self.dress_name(parent, entry)
    }

    fn make_file(&self, parent: BorrowedFd<'_>, entry: &Entry<'_>) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let file = rustix::fs::openat(parent, paths::name(entry.path), flags, mode)
            .map_err(|error| failed("create", entry, error))?;
        let file = File::from(file);
        copy(&self.layer.content(entry), &file).map_err(Error::at("write", entry.path))?;
        self.dress_open(&file, entry)
    }

    fn make_device(&self, parent: BorrowedFd<'_>, entry: &Entry<'_>, kind: FileType, device: u64) -> Result<()> {
        let name = paths::name(entry.path);
        match rustix::fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, device) {
            Ok(()) => self.dress_name(parent, entry),
            // A user namespace cannot have the device; what is below must not show in its place.
            Err(Errno::PERM) if self.options.userxattr => {
                rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
                    .map_err(|error| failed("create", entry, error))
            }
            Err(error) => Err(failed("create", entry, error)),
        }
    }

    fn link(&self, entry: &Entry<'_>, target: &[u8]) -> Result<()> {
        let open = |path: &[u8]| {
            let parent = paths::parent(path).unwrap_or_default();
            beneath::open(self.root, parent, OFlags::PATH | OFlags::DIRECTORY).map_err(Error::at("link", entry.path))
        };
        let (from, to) = (open(target)?, open(entry.path)?);
        rustix::fs::linkat(from, paths::name(target), to, paths::name(entry.path), AtFlags::empty())
            .map_err(|error| failed("link", entry, error))
    }

    /// Gives a directory its metadata.
    fn dress(&self, entry: &Entry<'_>) -> Result<()> {
        let directory = beneath::open(self.root, entry.path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(Error::at("open", entry.path))?;
        if let Kind::Directory { opaque: true } = entry.kind {
            let name = if self.options.userxattr { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
            rustix::fs::fsetxattr(&directory, name, b"y", XattrFlags::empty())
                .map_err(|error| failed("make opaque", entry, error))?;
        }
        self.dress_open(directory, entry)
    }

    /// Owner before mode and attributes: changing it takes set-user-id bits and capabilities away. What is right already
    /// is left alone, for asking costs less than a change that is none.
    fn dress_open(&self, file: impl std::os::fd::AsFd, entry: &Entry<'_>) -> Result<()> {
        let stat = rustix::fs::fstat(&file).map_err(|error| failed("look at", entry, error))?;
        if let Some((uid, gid)) = self.owner(entry)?
            && (uid.as_raw(), gid.as_raw()) != (stat.st_uid, stat.st_gid)
        {
            rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(|error| not_mapped(entry, error))?;
        }
        xattrs::apply(entry.xattrs(), self.options.userxattr, |name, value, flags| {
            rustix::fs::fsetxattr(&file, name, value, flags)
        })
        .map_err(Error::at("set the attributes of", entry.path))?;
        // New files have no special bits, and directories keep theirs when their owner changes.
        if stat.st_mode & 0o7777 != entry.mode {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))
                .map_err(|error| failed("set the mode of", entry, error))?;
        }
        rustix::fs::futimens(&file, &times(entry)).map_err(|error| failed("set the time of", entry, error))
    }

    /// The same for what cannot be opened: just made, in a directory that is open.
    fn dress_name(&self, parent: BorrowedFd<'_>, entry: &Entry<'_>) -> Result<()> {
        let name = paths::name(entry.path);
        if let Some((uid, gid)) = self.owner(entry)? {
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| not_mapped(entry, error))?;
        }
        let path = xattrs::path_of(parent, name);
        xattrs::apply(entry.xattrs(), self.options.userxattr, |name, value, flags| {
            rustix::fs::lsetxattr(&path[..], name, value, flags)
        })
        .map_err(Error::at("set the attributes of", entry.path))?;
        if !matches!(entry.kind, Kind::Symlink(_)) {
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(|error| failed("set the mode of", entry, error))?;
        }
        rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("set the time of", entry, error))
    }

    fn owner(&self, entry: &Entry<'_>) -> Result<Option<(Uid, Gid)>> {
        if self.options.single_id {
            return Ok(None);
        }
        // To the kernel this id says "leave it as it is".
        if entry.uid == u32::MAX || entry.gid == u32::MAX {
            return Err(not_mapped(entry, Errno::INVAL));
        }
        Ok(Some((Uid::from_raw(entry.uid), Gid::from_raw(entry.gid))))
    }
}

fn not_mapped(entry: &Entry<'_>, error: Errno) -> Error {
    match error {
        Errno::INVAL => Error::OwnerNotMapped { path: paths::display(entry.path), uid: entry.uid, gid: entry.gid },
        error => failed("set the owner of", entry, error),
    }
}

fn times(entry: &Entry<'_>) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn copy(content: &Content, mut out: &File) -> io::Result<()> {
    let mut done = 0;
    if content.size() >= COPY_IN_KERNEL
        && let Some((tar, start)) = content.as_range()
    {
        while done < content.size() {
            let mut from = start + done;
            let length = usize::try_from(content.size() - done).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(tar, Some(&mut from), out, None, length) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(copied) => done += copied as u64,
                Err(Errno::INTR) => {}
                // Between filesystems, or one that cannot.
                Err(_) => break,
            }
        }
    }
    let mut buffer = vec![0; usize::try_from(content.size() - done).unwrap_or(usize::MAX).min(1 << 20)];
    while done < content.size() {
        match content.read_at(&mut buffer, done)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                out.write_all(&buffer[..read])?;
                done += read as u64;
            }
        }
    }
    Ok(())
}
