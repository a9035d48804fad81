//! Puts the members of a tar into a tree of files that is there already, by the rules of `docker cp`: directories are
//! merged, files replaced, and neither takes the place of the other. Both the members and the tree may be a stranger's.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use kiln_types::paths;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::xattrs;
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::tar::{MAX_PATH, Member, MemberKind};

/// The kernel asks to try again where something is renamed while it looks for a path.
const TRIES: usize = 64;

/// What symbolic links in the tree mean on the way to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// What they do to a process whose root directory the tree is: they never lead out of it.
    Root,
    /// None is followed.
    Directory,
}

/// Whose the files will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// As the members say.
    Members,
    /// The same for all.
    Given(u32, u32),
    /// Whoever writes. What would give others its rights is left out: devices, set-user-id bits, capabilities.
    Writer,
}

pub struct Placing<'a> {
    root: BorrowedFd<'a>,
    /// The directory in it that members are relative to.
    base: Vec<u8>,
    within: Within,
    owners: Owners,
    /// What directories are to look like in the end: writing into one changes its time, and a mode may forbid it.
    directories: Vec<(Vec<u8>, Meta)>,
    left_out: usize,
}

impl<'a> Placing<'a> {
    pub fn new(root: BorrowedFd<'a>, base: &[u8], within: Within, owners: Owners) -> Self {
        Self { root, base: base.to_vec(), within, owners, directories: Vec::new(), left_out: 0 }
    }

    /// Puts one member, and the directories above it that are missing.
    ///
    /// # Errors
    /// Among others, a directory in the place of a file, and names that lead out.
    pub fn put(&mut self, member: &Member, content: &mut dyn Read) -> Result<()> {
        let path = inside(&member.path)?;
        if path.is_empty() {
            // The destination itself stays what it is.
            return match member.kind {
                MemberKind::Directory => Ok(()),
                _ => Err(Error::entry(&member.path, "it has no name")),
            };
        }
        let parent = self.parent_of(&path)?;
        let name = paths::name(&path);
        let existing = match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(self.failed("look at", &path, error)),
        };
        match (existing, member.kind) {
            (Some(FileType::Directory), MemberKind::Directory) => {
                self.directories.push((path, member.meta.clone()));
                return Ok(());
            }
            (Some(FileType::Directory), _) => {
                return Err(Error::DirectoryInPlace { path: paths::display(&self.shown(&path)) });
            }
            (Some(_), MemberKind::Directory) => {
                return Err(Error::FileInPlace { path: paths::display(&self.shown(&path)) });
            }
            (Some(_), _) => rustix::fs::unlinkat(&parent, name, AtFlags::empty())
                .map_err(|error| self.failed("replace", &path, error))?,
            (None, _) => {}
        }
        self.make(parent.as_fd(), name, &path, member, content)
    }

    /// Gives directories their modes and times. Answers how many devices were left out.
    pub fn finish(mut self) -> Result<usize> {
        for (path, meta) in std::mem::take(&mut self.directories).into_iter().rev() {
            let directory = self.open(&path, OFlags::RDONLY).map_err(|error| self.failed("open", &path, error))?;
            self.dress(directory.as_fd(), &path, &meta)?;
        }
        Ok(self.left_out)
    }

    fn make(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        member: &Member,
        content: &mut dyn Read,
    ) -> Result<()> {
        let create = |error| self.failed("create", path, error);
        match member.kind {
            MemberKind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(member.meta.mode & 0o700);
                let mut file = File::from(rustix::fs::openat(parent, name, flags, mode).map_err(create)?);
                io::copy(&mut content.take(member.size), &mut file).map_err(Error::at("write", &self.shown(path)))?;
                return self.dress(file.as_fd(), path, &member.meta);
            }
            MemberKind::Directory => {
                rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(create)?;
                self.directories.push((path.to_vec(), member.meta.clone()));
                return Ok(());
            }
            MemberKind::Symlink => rustix::fs::symlinkat(&member.link[..], parent, name).map_err(create)?,
            MemberKind::HardLink => {
                let target = inside(&member.link)?;
                let from = self.parent_of(&target)?;
                return rustix::fs::linkat(from, paths::name(&target), parent, name, AtFlags::empty())
                    .map_err(|error| self.failed("make another name of", &target, error));
            }
            MemberKind::CharDevice { .. } | MemberKind::BlockDevice { .. } if self.owners == Owners::Writer => {
                self.left_out += 1;
                return Ok(());
            }
            MemberKind::CharDevice { major, minor } => {
                let device = rustix::fs::makedev(major, minor);
                rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::RUSR, device).map_err(create)?;
            }
            MemberKind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(major, minor);
                rustix::fs::mknodat(parent, name, FileType::BlockDevice, Mode::RUSR, device).map_err(create)?;
            }
            MemberKind::Fifo => {
                rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::RUSR, 0).map_err(create)?;
            }
        }
        self.dress_name(parent, name, path, member)
    }

    /// A path of a member as a path of the tree.
    fn shown(&self, path: &[u8]) -> Vec<u8> {
        paths::join(&self.base, path)
    }

    fn failed(&self, action: &'static str, path: &[u8], error: Errno) -> Error {
        Error::at(action, &self.shown(path))(error.into())
    }

    /// The directory that a member is in.
    fn parent_of(&self, path: &[u8]) -> Result<OwnedFd> {
        let directory = paths::parent(path).unwrap_or_default();
        match self.open(directory, OFlags::PATH) {
            Ok(opened) => return Ok(opened),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(self.failed("open", directory, error)),
        }
        let mut opened = self.open(b"", OFlags::PATH).map_err(|error| self.failed("open", b"", error))?;
        for part in paths::ancestors(path) {
            opened = match self.open(part, OFlags::PATH) {
                Err(Errno::NOENT) => {
                    // Another may have made it just now.
                    let made = rustix::fs::mkdirat(&opened, paths::name(part), Mode::from_raw_mode(0o755));
                    if let Owners::Given(uid, gid) = self.owners
                        && made.is_ok()
                    {
                        self.own(opened.as_fd(), paths::name(part), part, uid, gid)?;
                    }
                    self.open(part, OFlags::PATH)
                }
                opened => opened,
            }
            .map_err(|error| self.failed("open", part, error))?;
        }
        Ok(opened)
    }

    fn open(&self, directory: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let (resolve, last) = match self.within {
            Within::Root => (ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS, OFlags::empty()),
            Within::Directory => {
                let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                (strict, OFlags::NOFOLLOW)
            }
        };
        let mut path = self.base.clone();
        for part in [&b"."[..], directory].into_iter().filter(|part| !part.is_empty()) {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        if path.len() > MAX_PATH {
            return Err(Errno::NAMETOOLONG);
        }
        let flags = flags | last | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for _ in 0..TRIES {
            match rustix::fs::openat2(self.root, &path[..], flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Owner before mode and attributes: changing it takes set-user-id bits and capabilities away.
    fn dress(&self, file: BorrowedFd<'_>, path: &[u8], meta: &Meta) -> Result<()> {
        if let Some((uid, gid)) = self.owner(path, meta)? {
            rustix::fs::fchown(file, Some(uid), Some(gid))
                .map_err(|error| not_mapped(&self.shown(path), uid, gid, error))?;
        }
        if self.owners != Owners::Writer {
            self.attributes(path, meta, |name, value, flags| rustix::fs::fsetxattr(file, name, value, flags))?;
        }
        rustix::fs::fchmod(file, self.mode(meta)).map_err(|error| self.failed("set the mode of", path, error))?;
        rustix::fs::futimens(file, &times(meta)).map_err(|error| self.failed("set the time of", path, error))
    }

    /// The same for what cannot be opened: just made, in a directory that is open.
    fn dress_name(&self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8], member: &Member) -> Result<()> {
        let meta = &member.meta;
        if let Some((uid, gid)) = self.owner(path, meta)? {
            self.own(parent, name, path, uid.as_raw(), gid.as_raw())?;
        }
        if member.kind != MemberKind::Symlink {
            rustix::fs::chmodat(parent, name, self.mode(meta), AtFlags::empty())
                .map_err(|error| self.failed("set the mode of", path, error))?;
        }
        rustix::fs::utimensat(parent, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed("set the time of", path, error))
    }

    fn own(&self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8], uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| not_mapped(&self.shown(path), uid, gid, error))
    }

    fn owner(&self, path: &[u8], meta: &Meta) -> Result<Option<(Uid, Gid)>> {
        let (uid, gid) = match self.owners {
            Owners::Members => (meta.uid, meta.gid),
            Owners::Given(uid, gid) => (uid, gid),
            Owners::Writer => return Ok(None),
        };
        // To the kernel this id says "leave it as it is".
        if uid == u32::MAX || gid == u32::MAX {
            return Err(Error::OwnerNotMapped { path: paths::display(&self.shown(path)), uid, gid });
        }
        Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid))))
    }

    fn mode(&self, meta: &Meta) -> Mode {
        let mask = if self.owners == Owners::Writer { 0o1777 } else { 0o7777 };
        Mode::from_raw_mode(meta.mode & mask)
    }

    fn attributes(
        &self,
        path: &[u8],
        meta: &Meta,
        set: impl Fn(&[u8], &[u8], rustix::fs::XattrFlags) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let names = meta.xattrs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        // What this filesystem or user cannot have is no reason to copy nothing.
        xattrs::apply(names, true, |name, value, flags| match set(name, value, flags) {
            Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
            result => result,
        })
        .map_err(Error::at("set the attributes of", &self.shown(path)))
    }
}

/// A name of a tar as a clean path that does not lead out.
fn inside(name: &[u8]) -> Result<Vec<u8>> {
    if paths::components(name).any(|part| part == b"..") {
        return Err(Error::entry(name, "its name leads out of the destination"));
    }
    Ok(paths::clean(name))
}

fn not_mapped(path: &[u8], uid: Uid, gid: Gid, error: Errno) -> Error {
    match error {
        Errno::INVAL => Error::OwnerNotMapped { path: paths::display(path), uid: uid.as_raw(), gid: gid.as_raw() },
        error => Error::at("set the owner of", path)(error.into()),
    }
}

fn times(meta: &Meta) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests;
