//! A file of a context directory, read when it is needed and only if it still is the one that the walk saw.

use std::fs::File;
use std::io;
use std::sync::Arc;

use kiln_exec::Cancel;
use kiln_image::{Source, Xattrs};
use kiln_store::Stat;

use super::{EntryKind, Files, stat};

/// Cheap to copy.
#[derive(Clone)]
pub(crate) struct HostFile {
    files: Arc<Files>,
    /// Of an entry that is a file.
    number: usize,
}

impl HostFile {
    /// `None` where that entry is no file of a directory.
    pub(super) fn new(files: &Arc<Files>, number: usize) -> Option<Self> {
        let is_file = matches!(files.entries.get(number)?.kind, EntryKind::File { .. });
        is_file.then(|| Self { files: Arc::clone(files), number })
    }

    pub(crate) fn stat(&self) -> Stat {
        match self.files.entries[self.number].kind {
            EntryKind::File { stat, .. } => stat,
            _ => unreachable!("only files are made one of these"),
        }
    }

    pub(crate) fn file(&self) -> io::Result<File> {
        let Files { root, entries, .. } = &*self.files;
        let root = root.as_ref().ok_or(io::ErrorKind::NotFound)?;
        stat::open_same(root, &entries[self.number].path, self.stat())
    }

    /// Its content, and the extended attributes that go into images.
    pub(crate) fn open_with_xattrs(&self) -> io::Result<(Box<dyn io::Read + Send>, Xattrs)> {
        let file = self.file()?;
        let xattrs = xattrs(&file)?;
        Ok((self.reader(file), xattrs))
    }

    fn reader(&self, file: File) -> Box<dyn io::Read + Send> {
        Box::new(Reader { file, cancel: self.files.cancel.clone(), left: self.stat().size, ended: false })
    }
}

impl Source for HostFile {
    fn open(&self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(self.reader(self.file()?))
    }
}

struct Reader {
    file: File,
    cancel: Cancel,
    /// Bytes up to the end that stat told of.
    left: u64,
    /// That end was seen.
    ended: bool,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        if self.ended {
            return Ok(0);
        }
        let read = self.file.read(buffer)?;
        // Of a file less comes than was asked for where it ends: no need to ask once more.
        self.ended = read < buffer.len() && read as u64 == self.left;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Whether an attribute is part of what a file is, and not of where it lies: labels and access lists belong to the host.
pub(super) fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"user.")
}

#[cfg(target_os = "linux")]
fn xattrs(file: &File) -> io::Result<Xattrs> {
    use rustix::fs::{fgetxattr, flistxattr};
    use rustix::io::Errno;

    /// The kernel's own bounds (xattr(7)).
    const MAX: usize = 64 << 10;
    let mut kept = Xattrs::new();
    // Nearly always there are none, or those of the host: the first look costs one call.
    let mut names = [0u8; 256];
    let mut all = Vec::new();
    let names: &[u8] = match flistxattr(file, &mut names) {
        Ok(length) => &names[..length],
        Err(Errno::RANGE) => {
            all.resize(MAX, 0);
            let length = flistxattr(file, &mut all)?;
            &all[..length]
        }
        Err(Errno::NOTSUP) => return Ok(kept),
        Err(error) => return Err(error.into()),
    };
    for name in names.split(|&byte| byte == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; MAX];
        match fgetxattr(file, name, &mut value) {
            Ok(length) => {
                value.truncate(length);
                kept.insert(name.to_vec(), value);
            }
            // Removed since.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(kept)
}

#[cfg(not(target_os = "linux"))]
fn xattrs(_: &File) -> io::Result<Xattrs> {
    Ok(Xattrs::new())
}
