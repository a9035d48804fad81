//! Reads a tree of files as the members of a tar, each directory before what is in it. The tree may be a stranger's and
//! may change meanwhile: no symbolic link is followed, and what is gone when its turn comes is left out. A tree within
//! /proc or /sys is read as it is; in any other, such filesystems are empty directories.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use kiln_types::paths;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::{beneath, xattrs};
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::tar::{MAX_PATH, Member, MemberKind};

/// Filesystems in which the kernel shows things that are no files of anybody: proc, sysfs, both of cgroups, devpts,
/// mqueue, debugfs, tracefs, securityfs, bpf.
const NO_FILES: [i64; 10] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x1980_0202,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
];

/// Of a file that is made up, in bytes: it has to be in memory.
const MOST_MADE_UP: u64 = 64 << 20;

/// Takes each thing in the tree at `name` in an open directory, which may be `.` for that itself. Paths are relative to
/// what is there, whose own is empty; sockets are left out.
pub fn read_tree(
    parent: impl AsFd,
    name: &[u8],
    take: &mut dyn FnMut(Member, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let parent = parent.as_fd();
    let failed = |error: Errno| Error::at("read", name)(error.into());
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    let mut reading = Reading { take, links: HashMap::new(), made_up: false };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        reading.made_up = is_made_up(parent).map_err(failed)?;
        return reading.entry(parent, name, Vec::new());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(parent, name, flags, rustix::fs::Mode::empty()).map_err(failed)?;
    reading.made_up = is_made_up(root.as_fd()).map_err(failed)?;
    reading.entry(parent, name, Vec::new())?;
    reading.below(&root, stat.st_dev)
}

struct Reading<'a> {
    take: &'a mut dyn FnMut(Member, &mut dyn Read) -> Result<()>,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// The kernel makes files up while they are read: the sizes that they say they have are none.
    made_up: bool,
}

/// What a file holds.
enum Content {
    File(File),
    MadeUp(Cursor<Vec<u8>>),
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::MadeUp(bytes) => bytes.read(buffer),
        }
    }
}

impl Reading<'_> {
    /// Depth first. Only paths are kept of what is not done yet: descriptors are few, and a stranger's tree is deep.
    fn below(&mut self, root: &OwnedFd, device: u64) -> Result<()> {
        let mut waiting = vec![(Vec::new(), device)];
        while let Some((path, device)) = waiting.pop() {
            if !path.is_empty() {
                match beneath::open(root, paths::parent(&path).unwrap_or_default(), OFlags::RDONLY | OFlags::DIRECTORY)
                {
                    Ok(above) => self.entry(above.as_fd(), paths::name(&path), path.clone())?,
                    Err(error) if is_gone(&error) => continue,
                    Err(error) => return Err(Error::at("read", &path)(error)),
                }
            }
            let Some((directory, device)) = open(root, &path, device)? else { continue };
            let mut names = names(&directory).map_err(Error::at("read", &path))?;
            names.sort_unstable();
            let mut directories = Vec::new();
            for name in names {
                let below = paths::join(&path, &name);
                if below.len() > MAX_PATH {
                    let path = paths::display(&below[..1024]);
                    return Err(Error::Unrepresentable { path, reason: "its path is too long" });
                }
                match rustix::fs::statat(&directory, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(Error::at("read", &below)(error.into())),
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                        directories.push((below, device));
                    }
                    Ok(_) => self.entry(directory.as_fd(), &name, below)?,
                }
            }
            waiting.extend(directories.into_iter().rev());
        }
        Ok(())
    }

    fn entry(&mut self, directory: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> Result<()> {
        match self.look(directory, name, &path) {
            Ok(Some((member, mut content))) => match &mut content {
                Some(file) => (self.take)(member, file),
                None => (self.take)(member, &mut io::empty()),
            },
            Ok(None) => Ok(()),
            Err(error) if is_gone(&error) && !path.is_empty() => Ok(()),
            Err(error) => Err(Error::at("read", &path)(error)),
        }
    }

    fn look(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> io::Result<Option<(Member, Option<Content>)>> {
        let mut stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let mut link = Vec::new();
        let mut content = None;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => MemberKind::Directory,
            FileType::RegularFile => {
                // What has become a pipe meanwhile must not be waited for.
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, name, flags, rustix::fs::Mode::empty())?;
                stat = rustix::fs::fstat(&file)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    return Ok(None);
                }
                match (stat.st_nlink > 1).then(|| self.links.get(&(stat.st_dev, stat.st_ino))).flatten() {
                    Some(first) => {
                        link.clone_from(first);
                        MemberKind::HardLink
                    }
                    None => {
                        if stat.st_nlink > 1 {
                            self.links.insert((stat.st_dev, stat.st_ino), path.to_vec());
                        }
                        content = Some(match self.made_up {
                            true => Content::MadeUp(whole(File::from(file), &mut stat)?),
                            false => Content::File(File::from(file)),
                        });
                        MemberKind::File
                    }
                }
            }
            FileType::Symlink => {
                link = rustix::fs::readlinkat(directory, name, Vec::new())?.into_bytes();
                MemberKind::Symlink
            }
            FileType::CharacterDevice => MemberKind::CharDevice { major, minor },
            FileType::BlockDevice => MemberKind::BlockDevice { major, minor },
            FileType::Fifo => MemberKind::Fifo,
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        // Overlayfs' own notes are not seen through its mount, nor are those of security modules wanted.
        let (xattrs, _) = xattrs::read(&xattrs::path_of(directory, name), false)?;
        let size = if kind == MemberKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
        let meta = Meta { xattrs, ..meta_of(&stat) };
        Ok(Some((Member { path: path.to_vec(), link, kind, meta, offset: 0, size }, content)))
    }
}

fn is_made_up(directory: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(NO_FILES.contains(&rustix::fs::fstatfs(directory)?.f_type))
}

/// All of a file whose size nobody knows before, and which then is in `stat`.
fn whole(file: File, stat: &mut Stat) -> io::Result<Cursor<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MOST_MADE_UP + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_MADE_UP {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    stat.st_size = bytes.len() as i64;
    Ok(Cursor::new(bytes))
}

/// A directory that holds files, with its device; `None` where it is gone.
fn open(root: &OwnedFd, path: &[u8], above: u64) -> Result<Option<(OwnedFd, u64)>> {
    let failed = |error: io::Error| Error::at("read", path)(error);
    let directory = match beneath::open(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(directory) => directory,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let device = rustix::fs::fstat(&directory).map_err(|error| failed(error.into()))?.st_dev;
    if device != above && is_made_up(directory.as_fd()).map_err(|error| failed(error.into()))? {
        return Ok(None);
    }
    Ok(Some((directory, device)))
}

/// Whether someone has taken it away, or put something else in its place.
fn is_gone(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

fn names(directory: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

fn meta_of(stat: &Stat) -> Meta {
    Meta { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime: stat.st_mtime, ..Meta::default() }
}
