//! Reads the upper directory of an overlay mount as a change set. The layers below are never looked at.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln_types::paths;
use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};

use super::{beneath, xattrs};
use crate::change::{Change, Node, compare_paths};
use crate::content::{Content, Source, read_full};
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::tar::MAX_PATH;

/// Fewer are not worth the start of threads.
const FEW_DIRECTORIES: usize = 8;
const FEW_NAMES: usize = 256;
/// Files up to this size are read when they are looked at, up to so many bytes of all.
const SMALL: usize = 4 << 10;
const MEMORY: usize = 16 << 20;

/// What `dir` has beyond the layers below it. `userxattr`: the mount had that option, as in user namespaces.
///
/// The root directory itself is not part of the result: its times change with every step. Directories that overlayfs
/// copied up are recorded as they are; sockets are left out. The contents stay in `dir` and are read from there.
pub fn scan_upper(dir: &Path, userxattr: bool) -> Result<Vec<Change>> {
    let upper = Upper { root: Arc::new(beneath::open_root(dir)?), userxattr, room: AtomicUsize::new(MEMORY) };
    let mut found: Vec<Seen> = Vec::new();
    let mut level = vec![Vec::new()];
    while !level.is_empty() {
        let lists: Vec<Vec<Seen>> = each(level, FEW_DIRECTORIES, |path| upper.directory(&path))?;
        let seen = found.len();
        found.extend(lists.into_iter().flatten());
        let directories = found[seen..].iter().filter(|seen| seen.change.node.is_directory());
        level = directories.map(|seen| seen.change.path.clone()).collect();
    }
    found.par_sort_unstable_by(|a, b| compare_paths(&a.change.path, &b.change.path));
    let mut first_names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for Seen { change, inode } in &mut found {
        let Some(inode) = *inode else { continue };
        match first_names.get(&inode) {
            Some(name) => change.node = Node::HardLink(name.clone()),
            None => drop(first_names.insert(inode, change.path.clone())),
        }
    }
    Ok(found.into_iter().map(|seen| seen.change).collect())
}

/// Does the same to all, on several processors where there are more than a few.
fn each<T: Send, U: Send>(all: Vec<T>, few: usize, work: impl Fn(T) -> Result<U> + Sync + Send) -> Result<Vec<U>> {
    if all.len() <= few {
        return all.into_iter().map(work).collect();
    }
    all.into_par_iter().with_min_len(few / 2).map(work).collect()
}

struct Seen {
    change: Change,
    /// Of files with several names.
    inode: Option<(u64, u64)>,
}

struct Upper {
    root: Arc<OwnedFd>,
    userxattr: bool,
    /// How many bytes of files may still be kept in memory.
    room: AtomicUsize,
}

impl Upper {
    fn directory(&self, path: &[u8]) -> Result<Vec<Seen>> {
        let failed = || Error::at("read", path);
        let opened = beneath::open(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened).map_err(|error| failed()(error.into()))? {
            let entry = entry.map_err(|error| failed()(error.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let path = paths::join(path, name);
            if path.len() > MAX_PATH {
                return Err(Error::Unrepresentable { path: paths::display(&path), reason: "its path is too long" });
            }
            names.push((path, entry.file_type()));
        }
        let seen = each(names, FEW_NAMES, |(path, kind)| self.look(&opened, path, kind))?;
        Ok(seen.into_iter().flatten().collect())
    }

    /// `kind` is what the directory says that it is.
    fn look(&self, directory: &OwnedFd, path: Vec<u8>, kind: FileType) -> Result<Option<Seen>> {
        let name = paths::name(&path);
        // A file is opened once for all there is to ask; whatever hinders that, it can be looked at by its name.
        let opened = (kind == FileType::RegularFile).then(|| open_file(directory, name)).flatten();
        let failed = |error: rustix::io::Errno| Error::at("read", &path)(error.into());
        let stat = match &opened {
            Some((_, stat)) => *stat,
            None => rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?,
        };
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::CharacterDevice && (major, minor) == (0, 0) {
            return Ok(Some(Seen {
                change: Change { path, meta: Meta::default(), node: Node::Whiteout },
                inode: None,
            }));
        }
        let (xattrs, overlay) = match &opened {
            Some((file, _)) => xattrs::read_opened(file, self.userxattr),
            None => xattrs::read(&xattrs::path_of(directory.as_fd(), name), self.userxattr),
        }
        .map_err(Error::at("read the attributes of", &path))?;
        if overlay.incomplete {
            let reason = "overlayfs left parts of it in a lower layer; mount with metacopy=off,redirect_dir=off";
            return Err(Error::Unrepresentable { path: paths::display(&path), reason });
        }
        let mut inode = None;
        let node = match kind {
            FileType::Directory => Node::Directory { opaque: overlay.opaque },
            FileType::RegularFile => {
                if stat.st_nlink > 1 {
                    inode = Some((stat.st_dev, stat.st_ino));
                }
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                let kept = opened.filter(|_| stat.st_nlink == 1).and_then(|(file, _)| self.keep(file, size));
                Node::File(kept.unwrap_or_else(|| {
                    Content::new(size, UpperFile { root: Arc::clone(&self.root), path: path.clone() })
                }))
            }
            FileType::Symlink => {
                Node::Symlink(rustix::fs::readlinkat(directory, name, Vec::new()).map_err(failed)?.into_bytes())
            }
            FileType::CharacterDevice => Node::CharDevice { major, minor },
            FileType::BlockDevice => Node::BlockDevice { major, minor },
            FileType::Fifo => Node::Fifo,
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        let meta = Meta { xattrs, ..meta_of(&stat) };
        Ok(Some(Seen { change: Change { path, meta, node }, inode }))
    }

    /// The content of a small file, as long as there is room: it saves opening it again.
    fn keep(&self, mut file: File, size: u64) -> Option<Content> {
        let length = usize::try_from(size).ok().filter(|&length| length <= SMALL)?;
        let take = |room: usize| room.checked_sub(length);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        let mut bytes = vec![0; length + 1];
        // One byte more than there should be: then it is as long as it says.
        let read = read_full(&mut file, &mut bytes).ok()?;
        bytes.truncate(length);
        (read == length).then(|| Content::bytes(bytes))
    }
}

/// A regular file, without a trace: nobody asks when kiln has read it.
fn open_file(directory: &OwnedFd, name: &[u8]) -> Option<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOATIME | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, rustix::fs::Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| (file.into(), stat))
}

fn meta_of(stat: &Stat) -> Meta {
    Meta { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime: stat.st_mtime, ..Meta::default() }
}

/// A file of the upper directory, opened anew for each reader.
struct UpperFile {
    root: Arc<OwnedFd>,
    path: Vec<u8>,
}

impl Source for UpperFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::from(beneath::open(&self.root, &self.path, OFlags::RDONLY)?)))
    }
}
