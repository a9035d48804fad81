//! What the host's file system says of a file, and opening it without being fooled by a change since.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use cap_std::fs::Dir;
#[cfg(not(unix))]
use cap_std::fs::Metadata;
use kiln_store::Stat;

#[cfg(unix)]
use super::EntryKind;

#[cfg(unix)]
#[allow(clippy::unnecessary_cast, reason = "they are as wide as each system has them")]
pub(super) fn stat(seen: &rustix::fs::Stat) -> Stat {
    Stat {
        device: seen.st_dev as u64,
        inode: seen.st_ino as u64,
        size: seen.st_size as u64,
        mtime: (seen.st_mtime as i64, seen.st_mtime_nsec as i64),
        ctime: (seen.st_ctime as i64, seen.st_ctime_nsec as i64),
    }
}

/// What is neither file, directory nor link. BuildKit takes pipes and devices along, and of a socket an empty file.
#[cfg(unix)]
pub(super) fn special(kind: rustix::fs::FileType, device: rustix::fs::Dev) -> EntryKind {
    use rustix::fs::FileType;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    match kind {
        FileType::Fifo => EntryKind::Fifo,
        FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
        FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
        _ => EntryKind::Socket,
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_cast, reason = "they are as wide as each system has them")]
pub(super) fn mode_and_mtime(seen: &rustix::fs::Stat) -> (u32, i64) {
    (seen.st_mode as u32 & 0o7777, seen.st_mtime as i64)
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

/// Opens a file beneath `root`, provided that it still is the one the walk saw.
pub(super) fn open_same(root: &Dir, path: &[u8], seen: Stat) -> io::Result<std::fs::File> {
    let file = root.open(host_path(path))?.into_std();
    if stat_of(&file)? == Some(seen) {
        Ok(file)
    } else {
        Err(io::Error::other("the file was changed during the build"))
    }
}

/// Of a regular file.
#[cfg(unix)]
fn stat_of(file: &std::fs::File) -> io::Result<Option<Stat>> {
    let now = rustix::fs::fstat(file)?;
    let is_file = rustix::fs::FileType::from_raw_mode(now.st_mode).is_file();
    Ok(is_file.then(|| stat(&now)))
}

#[cfg(not(unix))]
fn stat_of(file: &std::fs::File) -> io::Result<Option<Stat>> {
    let metadata = Metadata::from_file(file)?;
    Ok(metadata.is_file().then(|| stat(&metadata)))
}
