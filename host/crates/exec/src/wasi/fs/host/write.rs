//! Writes what a program has changed in a mounted directory of the host, once the program has ended.
//!
//! First all contents are written beside the tree, for they may be made of files that are about to be replaced; nothing
//! has happened yet if that fails. Then names are taken away and given, parents before what is in them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::{Dir, OpenOptions};
use kiln_image::{Change, Content, Error, Meta, Node};

use super::{HostTree, relative};

/// Where contents wait until they take their names.
const WAITING: &str = ".kiln-unfinished";

impl HostTree {
    /// Applies what was changed, as a change set over the tree as it was seen.
    pub(in crate::wasi::fs) fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        if let Some(name) = &self.file {
            return self.apply_to_file(name, changes);
        }
        if changes.is_empty() {
            return Ok(());
        }
        let waiting = Waiting::new(&self.directory).map_err(self.failed("write into", b""))?;
        let mut contents = Vec::new();
        for change in changes {
            let content = match &change.node {
                Node::File(content) => Some(waiting.write(content).map_err(self.failed("write", &change.path))?),
                _ => None,
            };
            contents.push(content);
        }
        let mut directories = Vec::new();
        for (change, content) in changes.iter().zip(contents) {
            let path = self.place(&change.path)?;
            self.put(change, &path, content).map_err(self.failed("change", &change.path))?;
            if change.node.is_directory() {
                directories.push((path, change));
            }
        }
        // A mode may close the way to what is below.
        for (path, change) in directories.into_iter().rev() {
            dress(&self.directory, &path, &change.meta).map_err(self.failed("change", &change.path))?;
        }
        Ok(())
    }

    fn put(&self, change: &Change, path: &Path, content: Option<PathBuf>) -> io::Result<()> {
        let directory = &*self.directory;
        let is_directory = match directory.symlink_metadata(path) {
            Ok(metadata) => Some(metadata.is_dir()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match (&change.node, is_directory) {
            (Node::Directory { .. }, Some(true)) => return Ok(()),
            // Replaced in one go, so that nobody sees it missing.
            (Node::File(_), Some(false)) | (_, None) => {}
            (_, Some(true)) => directory.remove_dir_all(path)?,
            (_, Some(false)) => directory.remove_file(path)?,
        }
        match &change.node {
            Node::Directory { .. } => directory.create_dir(path),
            Node::File(_) => {
                let content = content.ok_or(io::ErrorKind::NotFound)?;
                dress(directory, &content, &change.meta)?;
                directory.rename(&content, directory, path)?;
                set_time(directory, path, change.meta.mtime)
            }
            Node::HardLink(target) => {
                let target = relative(target).map_err(io::Error::other)?;
                directory.hard_link(target, directory, path)
            }
            Node::Symlink(target) => symlink(directory, target, path),
            // Programs make none of these.
            Node::Whiteout | Node::CharDevice { .. } | Node::BlockDevice { .. } | Node::Fifo => Ok(()),
        }
    }

    /// A file that was mounted by itself stays the file that it is: others may have it open, or mounted.
    fn apply_to_file(&self, name: &Path, changes: &[Change]) -> Result<(), Error> {
        let Some(Change { node: Node::File(content), meta, .. }) = changes.first() else { return Ok(()) };
        let write = || {
            let mut copy = tempfile::tempfile()?;
            io::copy(&mut content.open()?, &mut copy)?;
            io::Seek::rewind(&mut copy)?;
            let mut options = OpenOptions::new();
            let mut file = self.directory.open_with(name, options.write(true).truncate(true))?;
            io::copy(&mut copy, &mut file)?;
            dress(&self.directory, name, meta)
        };
        write().map_err(self.failed("write", b""))
    }
}

/// A directory for contents, in the tree so that they are on its filesystem; gone when it is dropped.
struct Waiting<'a> {
    directory: &'a Dir,
    place: PathBuf,
    count: std::cell::Cell<u64>,
}

impl<'a> Waiting<'a> {
    fn new(directory: &'a Dir) -> io::Result<Self> {
        for number in 0_u32.. {
            let place = PathBuf::from(format!("{WAITING}-{}-{number}", std::process::id()));
            match directory.create_dir(&place) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self { directory, place, count: std::cell::Cell::default() }),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn write(&self, content: &Content) -> io::Result<PathBuf> {
        let place = self.place.join(self.count.replace(self.count.get() + 1).to_string());
        let mut options = OpenOptions::new();
        let mut file = self.directory.open_with(&place, options.write(true).create_new(true))?;
        let written = io::copy(&mut content.open()?, &mut file)?;
        if written == content.size() { Ok(place) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // What stays is named so that its owner knows what it is.
        let _ = self.directory.remove_dir_all(&self.place);
    }
}

/// Mode and owner, as far as this user can give them.
#[cfg(unix)]
fn dress(directory: &Dir, path: &Path, meta: &Meta) -> io::Result<()> {
    use cap_std::fs::MetadataExt as _;
    let now = directory.symlink_metadata(path)?;
    if (now.uid(), now.gid()) != (meta.uid, meta.gid) {
        let ids = (rustix::fs::Uid::from_raw(meta.uid), rustix::fs::Gid::from_raw(meta.gid));
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        // Who is not root keeps what they make; so it is on every system.
        let _ = rustix::fs::chownat(directory, path, Some(ids.0), Some(ids.1), flags);
    }
    if now.mode() & 0o7777 != meta.mode {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(meta.mode);
        directory.set_permissions(path, cap_std::fs::Permissions::from_std(permissions))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn dress(_: &Dir, _: &Path, _: &Meta) -> io::Result<()> {
    Ok(())
}

fn set_time(directory: &Dir, path: &Path, mtime: i64) -> io::Result<()> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(mtime).unwrap_or(0)));
    let mut options = OpenOptions::new();
    match directory.open_with(path, options.write(true)) {
        Ok(file) => file.into_std().set_modified(time.unwrap_or(SystemTime::UNIX_EPOCH)),
        // Its mode forbids it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn symlink(directory: &Dir, target: &[u8], path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    directory.symlink_contents(std::ffi::OsStr::from_bytes(target), path)
}

#[cfg(not(unix))]
fn symlink(_: &Dir, _: &[u8], _: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system makes no symbolic links of a program's"))
}
