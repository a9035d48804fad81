//! A directory or file of this host as the lowest layer of a mount: looked at when a program looks, never changed while
//! one runs. What it has changed is written there at the end (write.rs).
//!
//! What was seen once stays as it was seen, so that only a program's own changes are written. Names are resolved beneath
//! the directory whatever links are put into it meanwhile.

mod write;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata};
use kiln_image::{Content, Error, Found, Meta, Node, Source};
use kiln_types::paths;

pub(super) struct HostTree {
    directory: Arc<Dir>,
    /// The file in it that is meant, where it is not the directory itself.
    file: Option<PathBuf>,
    /// Where it is, for messages.
    shown: PathBuf,
    seen: Mutex<HashMap<Vec<u8>, Option<Found>>>,
}

impl HostTree {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let place = path.canonicalize()?;
        let (directory, file) = match (place.is_dir(), place.parent(), place.file_name()) {
            (false, Some(parent), Some(name)) => (parent, Some(PathBuf::from(name))),
            _ => (&*place, None),
        };
        let directory = Arc::new(Dir::open_ambient_dir(directory, ambient_authority())?);
        Ok(Self { directory, file, shown: path.to_owned(), seen: Mutex::default() })
    }

    pub(super) fn lookup(&self, path: &[u8]) -> Result<Option<Found>, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get(path) {
            return Ok(known.clone());
        }
        let found = self.look(path)?;
        seen.insert(path.to_vec(), found.clone());
        Ok(found)
    }

    pub(super) fn read_dir(&self, path: &[u8]) -> Result<Vec<Found>, Error> {
        let entries = match self.directory.read_dir(self.place(path)?) {
            Ok(entries) => entries,
            // There is no way to tell the program so: it sees nothing in it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Vec::new()),
            Err(error) => return Err(self.failed("list", path)(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry.map_err(self.failed("list", path))?.file_name();
            all.extend(self.lookup(&paths::join(path, name.as_encoded_bytes()))?);
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    /// Sockets and devices of the host are not shown: nothing could be done with them.
    fn look(&self, path: &[u8]) -> Result<Option<Found>, Error> {
        let place = self.place(path)?;
        let metadata = match self.directory.symlink_metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(self.failed("look at", path)(error)),
        };
        let file_type = metadata.file_type();
        let node = if file_type.is_dir() {
            Node::Directory { opaque: false }
        } else if file_type.is_file() {
            let source = HostFile { directory: Arc::clone(&self.directory), place, size: metadata.len() };
            Node::File(Content::new(metadata.len(), source))
        } else if file_type.is_symlink() {
            let target = self.directory.read_link_contents(&place).map_err(self.failed("read the link", path))?;
            Node::Symlink(target.into_os_string().into_encoded_bytes())
        } else {
            return Ok(None);
        };
        Ok(Some(Found { path: path.to_vec(), layer: 0, meta: meta(&metadata), node, digest: None, inode: (0, 0) }))
    }

    /// Where a path of the mount is in the directory.
    fn place(&self, path: &[u8]) -> Result<PathBuf, Error> {
        match &self.file {
            Some(file) if path.is_empty() => Ok(file.clone()),
            None if path.is_empty() => Ok(PathBuf::from(".")),
            _ => relative(path),
        }
    }

    fn failed(&self, action: &'static str, path: &[u8]) -> impl FnOnce(io::Error) -> Error {
        let path = relative(path).map_or_else(|_| self.shown.clone(), |path| self.shown.join(path));
        move |source| Error::HostPath { action, path, source }
    }
}

/// What is not there, or is behind something that is no directory or may not be entered.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied)
}

/// The bytes of a file as long as it was when it was looked at; what has been cut off since reads as zeros.
struct HostFile {
    directory: Arc<Dir>,
    place: PathBuf,
    size: u64,
}

impl HostFile {
    fn file(&self) -> io::Result<File> {
        self.directory.open(&self.place)
    }
}

impl Source for HostFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.file()?.take(self.size).chain(io::repeat(0)).take(self.size)))
    }

    /// The file is not kept open: a program may look at any number of them.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Option<io::Result<usize>> {
        if buffer.is_empty() {
            return Some(Ok(0));
        }
        let mut read = || {
            let file = self.file()?.into_std();
            let mut filled = 0;
            while filled < buffer.len() {
                match super::spill::read_file_at(&file, &mut buffer[filled..], offset + filled as u64)? {
                    0 => break,
                    length => filled += length,
                }
            }
            buffer[filled..].fill(0);
            Ok(buffer.len())
        };
        Some(read())
    }
}

#[cfg(unix)]
fn meta(metadata: &Metadata) -> Meta {
    use cap_std::fs::MetadataExt as _;
    let (uid, gid, mtime) = (metadata.uid(), metadata.gid(), metadata.mtime());
    Meta { mode: metadata.mode() & 0o7777, uid, gid, mtime, ..Meta::default() }
}

#[cfg(not(unix))]
fn meta(metadata: &Metadata) -> Meta {
    let closed = if metadata.permissions().readonly() { 0o222 } else { 0 };
    let mode = if metadata.is_dir() { 0o755 } else { 0o644 } & !closed;
    let since = metadata.modified().ok().and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok());
    Meta { mode, mtime: since.map_or(0, |since| since.as_secs().cast_signed()), ..Meta::default() }
}

#[cfg(unix)]
fn relative(path: &[u8]) -> Result<PathBuf, Error> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

#[cfg(not(unix))]
fn relative(path: &[u8]) -> Result<PathBuf, Error> {
    let wrong =
        Error::Unrepresentable { path: paths::display(path), reason: "this system has no files of such a name" };
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains(['\\', ':']) => Ok(PathBuf::from(text)),
        _ => Err(wrong),
    }
}

#[cfg(all(test, unix))]
mod tests;
