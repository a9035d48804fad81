//! A directory of a context while it is walked: its names in order, and what is behind them. No link is followed.

use std::io;

use super::EntryKind;

#[cfg_attr(unix, path = "directory/unix.rs")]
#[cfg_attr(not(unix), path = "directory/portable.rs")]
mod system;

pub(super) use system::Directory;

/// What a listing says of a name: some filesystems do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    Directory,
    NotADirectory,
    Unknown,
}

/// What stat says.
pub(super) struct Found {
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    pub(super) kind: EntryKind,
}

/// Gone between the listing and the look: as if it had never been there.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
