//! Reads the upper directory of an overlay mount as a change set. The layers below are never looked at.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use kiln_types::paths;
use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};

use super::{beneath, xattrs};
use crate::change::{Change, Node, compare_paths};
use crate::content::{Content, Source};
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::tar::MAX_PATH;

/// What `dir` has beyond the layers below it. `userxattr`: the mount had that option, as in user namespaces.
///
/// The root directory itself is not part of the result: its times change with every step. Directories that overlayfs
/// copied up are recorded as they are; sockets are left out. The contents stay in `dir` and are read from there.
pub fn scan_upper(dir: &Path, userxattr: bool) -> Result<Vec<Change>> {
    let root = Arc::new(beneath::open_root(dir)?);
    let mut found: Vec<Seen> = Vec::new();
    let mut level = vec![Vec::new()];
    while !level.is_empty() {
        let lists: Vec<Vec<Seen>> =
            level.par_iter().map(|path| directory(&root, path, userxattr)).collect::<Result<_>>()?;
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

struct Seen {
    change: Change,
    /// Of files with several names.
    inode: Option<(u64, u64)>,
}

fn directory(root: &Arc<OwnedFd>, path: &[u8], userxattr: bool) -> Result<Vec<Seen>> {
    let failed = || Error::at("read", path);
    let opened = beneath::open(root, path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed())?;
    let mut entries = Vec::new();
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
        entries.extend(look(root, &opened, path, userxattr)?);
    }
    Ok(entries)
}

fn look(root: &Arc<OwnedFd>, directory: &OwnedFd, path: Vec<u8>, userxattr: bool) -> Result<Option<Seen>> {
    let name = paths::name(&path);
    let failed = |error: rustix::io::Errno| Error::at("read", &path)(error.into());
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::CharacterDevice && (major, minor) == (0, 0) {
        return Ok(Some(Seen { change: Change { path, meta: Meta::default(), node: Node::Whiteout }, inode: None }));
    }
    let (xattrs, overlay) = xattrs::read(&xattrs::path_of(directory.as_fd(), name), userxattr)
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
            Node::File(Content::new(size, UpperFile { root: root.clone(), path: path.clone() }))
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
