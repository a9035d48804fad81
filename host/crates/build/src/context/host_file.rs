//! A file of a context directory, read when it is needed and only if it still is the one that the walk saw.

use std::fs::File;
use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use kiln_exec::Cancel;
use kiln_image::{Source, Xattrs};
use kiln_store::Stat;

use super::stat;

/// Cheap to copy.
#[derive(Clone)]
pub(crate) struct HostFile(Arc<Inner>);

struct Inner {
    root: Arc<Dir>,
    path: Vec<u8>,
    stat: Stat,
    cancel: Cancel,
}

impl HostFile {
    pub(super) fn new(root: Arc<Dir>, path: Vec<u8>, stat: Stat, cancel: Cancel) -> Self {
        Self(Arc::new(Inner { root, path, stat, cancel }))
    }

    pub(crate) fn stat(&self) -> Stat {
        self.0.stat
    }

    pub(crate) fn file(&self) -> io::Result<File> {
        stat::open_same(&self.0.root, &self.0.path, self.0.stat)
    }

    /// Its content, and the extended attributes that go into images.
    pub(crate) fn open_with_xattrs(&self) -> io::Result<(Box<dyn io::Read + Send>, Xattrs)> {
        let file = self.file()?;
        let xattrs = xattrs(&file)?;
        Ok((Box::new(Cancellable { file, cancel: self.0.cancel.clone() }), xattrs))
    }
}

impl Source for HostFile {
    fn open(&self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(Cancellable { file: self.file()?, cancel: self.0.cancel.clone() }))
    }
}

struct Cancellable {
    file: File,
    cancel: Cancel,
}

impl io::Read for Cancellable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.file.read(buffer)
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
