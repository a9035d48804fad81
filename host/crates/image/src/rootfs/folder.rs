//! A root filesystem as files of this host, for anyone to use: everything belongs to who writes it.
//!
//! Parents come before what is in them, and what is in the place of a directory is replaced: no path leads through a
//! symbolic link that was there before.

use std::fs::{self, File, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::HardLinks;
use crate::change::{Change, Node};
use crate::error::{Error, Result};
use crate::view::View;

/// Without the bits that give a program the rights of its owner or group: that is another one now.
const MODE: u32 = 0o1777;

/// Writes what is in a view below `root`, over what is there. Answers how many devices and pipes were left out: not
/// everyone can make them.
///
/// # Errors
/// What this host cannot hold, and directories in the place of files: kiln removes none.
pub fn write_directory(view: &View, root: &Path, cancelled: &dyn Fn() -> bool) -> Result<usize> {
    fs::create_dir_all(root).map_err(failed("make", root))?;
    let mut links = HardLinks::of(view)?;
    let mut directories = Vec::new();
    let mut left_out = 0;
    for found in view.walk(b"") {
        if cancelled() {
            return Err(Error::Io { action: "write the files", source: io::Error::other("cancelled") });
        }
        let change = links.change(found?);
        if change.path.is_empty() {
            continue;
        }
        let path = host_path(root, &change.path)?;
        match &change.node {
            Node::CharDevice { .. } | Node::BlockDevice { .. } | Node::Fifo | Node::Whiteout => left_out += 1,
            Node::Directory { .. } => {
                make_directory(&path)?;
                directories.push((path, change.meta));
            }
            _ => {
                clear(&path)?;
                write(&change, &path, root)?;
            }
        }
    }
    // From the bottom up: a mode may close the way, and writing into a directory changes its time.
    for (path, meta) in directories.into_iter().rev() {
        finish_directory(&path, meta.mode, meta.mtime).map_err(failed("set mode and time of", &path))?;
    }
    Ok(left_out)
}

fn write(change: &Change, path: &Path, root: &Path) -> Result<()> {
    match &change.node {
        Node::File(content) => {
            let mut file = File::options().write(true).create_new(true).open(path).map_err(failed("write", path))?;
            let copied = content.open().and_then(|mut input| io::copy(&mut input, &mut file));
            let size = copied.map_err(failed("write", path))?;
            if size != content.size() {
                return Err(failed("write", path)(io::ErrorKind::UnexpectedEof.into()));
            }
            finish(&file, change.meta.mode, change.meta.mtime).map_err(failed("set mode and time of", path))
        }
        Node::HardLink(target) => fs::hard_link(host_path(root, target)?, path).map_err(failed("link", path)),
        Node::Symlink(target) => symlink(target, path).map_err(failed("make the symbolic link", path)),
        _ => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            // It may be one that nobody may write into, as an image left it.
            open_to_owner(path, &metadata).map_err(failed("write into", path))?;
            return Ok(());
        }
        Ok(_) => fs::remove_file(path).map_err(failed("replace", path))?,
        Err(_) => {}
    }
    fs::create_dir(path).map_err(failed("make", path))
}

fn clear(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            Err(failed("replace", path)(io::Error::other("it is a directory; remove it, or name another destination")))
        }
        Ok(_) => fs::remove_file(path).map_err(failed("replace", path)),
        Err(_) => Ok(()),
    }
}

fn finish(file: &File, mode: u32, mtime: i64) -> io::Result<()> {
    let span = Duration::from_secs(mtime.unsigned_abs());
    let time = if mtime < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) };
    file.set_modified(time.unwrap_or(SystemTime::UNIX_EPOCH))?;
    if let Some(permissions) = permissions(mode & MODE) { file.set_permissions(permissions) } else { Ok(()) }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::HostPath { action, path: path.to_owned(), source }
}

#[cfg(unix)]
fn finish_directory(path: &Path, mode: u32, mtime: i64) -> io::Result<()> {
    finish(&File::open(path)?, mode, mtime)
}

/// Not every system opens directories.
#[cfg(not(unix))]
fn finish_directory(_: &Path, _: u32, _: i64) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn host_path(root: &Path, path: &[u8]) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(root.join(std::ffi::OsStr::from_bytes(path)))
}

/// Names that mean something else to Windows are no names of files there.
#[cfg(not(unix))]
fn host_path(root: &Path, path: &[u8]) -> Result<PathBuf> {
    let wrong = || Error::Unrepresentable {
        path: kiln_types::paths::display(path),
        reason: "this system has no files of such a name",
    };
    let text = std::str::from_utf8(path).map_err(|_| wrong())?;
    let forbidden = |c: char| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    let is_name = |part: &str| !part.ends_with(['.', ' ']);
    if text.contains(forbidden) || !text.split('/').all(is_name) {
        return Err(wrong());
    }
    Ok(root.join(text))
}

#[cfg(unix)]
fn permissions(mode: u32) -> Option<Permissions> {
    Some(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn permissions(_: u32) -> Option<Permissions> {
    None
}

#[cfg(unix)]
fn open_to_owner(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode();
    if mode & 0o700 == 0o700 { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(mode | 0o700)) }
}

#[cfg(not(unix))]
fn open_to_owner(_: &Path, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &[u8], path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), path)
}

#[cfg(not(unix))]
fn symlink(_: &[u8], _: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system makes none of an image's; write a tar instead"))
}
