//! What the host's file system says of a file, and opening it without being fooled by a change since.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use cap_std::fs::{Dir, Metadata};
use kiln_store::Stat;

use super::EntryKind;

#[cfg(unix)]
pub(super) fn stat(metadata: &Metadata) -> Stat {
    use cap_std::fs::MetadataExt as _;
    Stat {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        ctime: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

#[cfg(unix)]
pub(super) fn has_other_names(metadata: &Metadata) -> bool {
    use cap_std::fs::MetadataExt as _;
    metadata.nlink() > 1
}

/// What is neither file, directory nor link. BuildKit takes pipes and devices along, and of a socket an empty file.
#[cfg(unix)]
pub(super) fn special(metadata: &Metadata) -> EntryKind {
    use cap_std::fs::{FileTypeExt as _, MetadataExt as _};
    let kind = metadata.file_type();
    // As wide as this system has them.
    let device = metadata.rdev() as rustix::fs::Dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if kind.is_fifo() {
        EntryKind::Fifo
    } else if kind.is_char_device() {
        EntryKind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        EntryKind::BlockDevice { major, minor }
    } else {
        EntryKind::Socket
    }
}

#[cfg(unix)]
pub(super) fn mode_and_mtime(metadata: &Metadata) -> (u32, i64) {
    use cap_std::fs::MetadataExt as _;
    (metadata.mode() & 0o7777, metadata.mtime())
}

#[cfg(unix)]
pub(super) fn name_bytes(name: &OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    name.as_bytes().to_vec()
}

#[cfg(unix)]
pub(super) fn host_path(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(OsStr::from_bytes(path))
}

/// Whether a file that git does not know is executable.
#[cfg(unix)]
pub(super) fn is_executable(_: Option<&Dir>, _: &[u8], mode: u32) -> bool {
    mode & 0o100 != 0
}

/// Where modes do not say it, the beginning of the file does.
#[cfg(not(unix))]
pub(super) fn is_executable(root: Option<&Dir>, path: &[u8], _: u32) -> bool {
    use std::io::Read as _;
    const PROGRAMS: [&[u8]; 3] = [b"#!", b"\x7fELF", b"\0asm"];
    let mut beginning = Vec::new();
    let read = root.map(|root| root.open(host_path(path))?.take(4).read_to_end(&mut beginning));
    matches!(read, Some(Ok(_))) && PROGRAMS.iter().any(|program| beginning.starts_with(program))
}

/// Hosts without modes: executable for all, as contexts sent from them always were.
#[cfg(not(unix))]
pub(super) fn mode_and_mtime(metadata: &Metadata) -> (u32, i64) {
    (0o755, seconds(metadata.modified()).0)
}

/// Two names of one file become two files there.
#[cfg(not(unix))]
pub(super) fn has_other_names(_: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
pub(super) fn special(_: &Metadata) -> EntryKind {
    EntryKind::Socket
}

#[cfg(not(unix))]
pub(super) fn stat(metadata: &Metadata) -> Stat {
    let mtime = seconds(metadata.modified());
    Stat { device: 0, inode: 0, size: metadata.len(), mtime, ctime: seconds(metadata.created()) }
}

#[cfg(not(unix))]
fn seconds(time: io::Result<cap_std::time::SystemTime>) -> (i64, i64) {
    time.ok()
        .and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|since| Some((i64::try_from(since.as_secs()).ok()?, i64::from(since.subsec_nanos()))))
        .unwrap_or_default()
}

#[cfg(not(unix))]
pub(super) fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}

#[cfg(not(unix))]
pub(super) fn host_path(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

pub(super) fn read_link(root: &Dir, path: &[u8]) -> io::Result<Vec<u8>> {
    Ok(name_bytes(root.read_link_contents(host_path(path))?.as_os_str()))
}

/// Opens a file beneath `root`, provided that it still is the one the walk saw.
pub(super) fn open_same(root: &Dir, path: &[u8], seen: Stat) -> io::Result<std::fs::File> {
    let file = root.open(host_path(path))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || stat(&metadata) != seen {
        return Err(io::Error::other("the file was changed during the build"));
    }
    Ok(file.into_std())
}
