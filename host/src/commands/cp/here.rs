//! This machine's side of a copy.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use kiln_types::paths;
use rustix::fs::{Mode, OFlags};

use super::paths::{Existing, Location};
use crate::report::failure::Failure;

const MAX_LINKS: usize = 40;

/// A path as the user wrote it.
pub(super) fn location(text: &[u8]) -> Result<Location, Failure> {
    let failed = |error| Failure::new("cannot find the working directory").because(error);
    let base = std::env::current_dir().map_err(|error: io::Error| failed(error))?;
    Ok(Location::new(base.as_os_str().as_bytes(), text))
}

pub(super) fn host_path(path: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec([b"/", path].concat()))
}

/// A source: where it is with the links at its end followed as far as they are to be, and whether it is a directory.
pub(super) fn source(location: &Location, follow: bool) -> Result<(Vec<u8>, bool), Failure> {
    let failed = |error: io::Error| Failure::new(format!("lstat {}", location.display())).because(error);
    let mut path = location.path.clone();
    let link = fs::symlink_metadata(host_path(&path)).map_err(failed)?.file_type().is_symlink();
    if link && (follow || location.is_directory()) {
        let real = fs::canonicalize(host_path(&path)).map_err(failed)?;
        path = paths::clean(real.as_os_str().as_bytes());
    }
    let metadata = fs::symlink_metadata(host_path(&path)).map_err(failed)?;
    if location.is_directory() && !metadata.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    Ok((path, metadata.is_dir()))
}

/// A destination, where links lead on: where that is, and what is there.
pub(super) fn destination(location: &Location) -> Result<(Vec<u8>, Existing), Failure> {
    let parent = paths::parent(&location.path).unwrap_or_default();
    if !host_path(parent).exists() {
        let directory = paths::display(parent);
        return Err(Failure::new(format!("invalid output path: directory {directory:?} does not exist")));
    }
    let mut path = location.path.clone();
    for _ in 0..MAX_LINKS {
        let metadata = match fs::symlink_metadata(host_path(&path)) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((path, Existing::Nothing)),
            Err(error) => return Err(Failure::new(format!("lstat {}", paths::display(&path))).because(error)),
        };
        if metadata.is_symlink() {
            let target = fs::read_link(host_path(&path))
                .map_err(|error| Failure::new(format!("readlink {}", paths::display(&path))).because(error))?;
            path = paths::join(paths::parent(&path).unwrap_or_default(), target.as_os_str().as_bytes());
            continue;
        }
        return match () {
            () if metadata.is_dir() => Ok((path, Existing::Directory)),
            () if metadata.is_file() => Ok((path, Existing::Other)),
            () => {
                let name = location.display();
                Err(Failure::new(format!("invalid output path: {name:?} must be a directory or a regular file")))
            }
        };
    }
    Err(Failure::new(format!("too many symlinks in {}", location.display())))
}

pub(super) fn open_directory(path: &[u8]) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(host_path(path), flags, Mode::empty())
        .map_err(|error| Failure::new(format!("cannot open {}", paths::display(path))).because(io::Error::from(error)))
}
