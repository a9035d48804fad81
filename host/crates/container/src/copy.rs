//! Copies a directory of an image into one of the host, with owners, modes, times and attributes.
//!
//! The destination is new and nobody else's, and what is copied is written parents first and never through a link: the
//! image has no say about where it goes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kiln_image::{Found, Meta, Node, View};
use kiln_types::paths;

/// Whose the copies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// As the image says.
    Kept,
    /// Everything belongs to who runs kiln: there is only one id, or the host knows no owners.
    Ours,
}

/// Copies what is in the directory `from` of `view` into `to`, which gets its looks, too.
pub(crate) fn tree(view: &View, from: &Found, to: &Path, owners: Owners) -> io::Result<()> {
    // Paths of hard links' first names, by the file they name.
    let mut links: HashMap<(usize, usize), PathBuf> = HashMap::new();
    directory(view, from, to, owners, &mut links)
}

fn directory(
    view: &View,
    from: &Found,
    to: &Path,
    owners: Owners,
    links: &mut HashMap<(usize, usize), PathBuf>,
) -> io::Result<()> {
    for found in view.read_dir(&from.path).map_err(io::Error::other)? {
        let path = to.join(host_name(paths::name(&found.path))?);
        match &found.node {
            Node::Directory { .. } => {
                fs::create_dir(&path)?;
                directory(view, &found, &path, owners, links)?;
                continue;
            }
            Node::File(content) => {
                if let Some(first) = links.get(&found.inode) {
                    fs::hard_link(first, &path)?;
                    continue;
                }
                let mut file = File::options().write(true).create_new(true).open(&path)?;
                io::copy(&mut content.open()?, &mut file)?;
                links.insert(found.inode, path.clone());
            }
            node => {
                if !special(node, &path)? {
                    continue;
                }
            }
        }
        dress(&path, &found.meta, owners, matches!(found.node, Node::Symlink(_)))?;
    }
    // Last: writing into a directory changes its time, and its mode may forbid it.
    dress(to, &from.meta, owners, false)
}

#[cfg(unix)]
fn host_name(name: &[u8]) -> io::Result<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    Ok(OsString::from_vec(name.to_vec()))
}

#[cfg(not(unix))]
fn host_name(name: &[u8]) -> io::Result<OsString> {
    let text = std::str::from_utf8(name).map_err(io::Error::other)?;
    // What would be more than a name here.
    if text.contains(['\\', ':']) {
        return Err(io::Error::other(format!("this host has no such name as `{text}`")));
    }
    Ok(text.into())
}

/// What is neither file nor directory. `false` if it was left out: not everyone can make devices.
#[cfg(unix)]
fn special(node: &Node, path: &Path) -> io::Result<bool> {
    use std::os::unix::ffi::OsStrExt as _;
    match node {
        Node::Symlink(target) => std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), path).map(|()| true),
        #[cfg(target_os = "linux")]
        &Node::CharDevice { major, minor } => Ok(device(path, rustix::fs::FileType::CharacterDevice, major, minor)),
        #[cfg(target_os = "linux")]
        &Node::BlockDevice { major, minor } => Ok(device(path, rustix::fs::FileType::BlockDevice, major, minor)),
        #[cfg(target_os = "linux")]
        Node::Fifo => Ok(device(path, rustix::fs::FileType::Fifo, 0, 0)),
        _ => Ok(false),
    }
}

#[cfg(not(unix))]
fn special(_: &Node, _: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
fn device(path: &Path, kind: rustix::fs::FileType, major: u32, minor: u32) -> bool {
    use rustix::fs::{CWD, Mode, makedev, mknodat};
    mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor)).is_ok()
}

#[cfg(unix)]
fn dress(path: &Path, meta: &Meta, owners: Owners, is_link: bool) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, lchown};

    if owners == Owners::Kept {
        lchown(path, Some(meta.uid), Some(meta.gid))?;
    }
    if is_link {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    for (name, value) in &meta.xattrs {
        // One that this filesystem or user cannot set is worth no failure.
        let _ = rustix::fs::lsetxattr(path, name.as_slice(), value, rustix::fs::XattrFlags::empty());
    }
    // A change of the owner takes the set-user-id bit away, so this comes after it.
    fs::set_permissions(path, fs::Permissions::from_mode(meta.mode))?;
    set_time(path, meta.mtime)
}

#[cfg(not(unix))]
fn dress(_: &Path, _: &Meta, _: Owners, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn set_time(path: &Path, seconds: i64) -> io::Result<()> {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if seconds < 0 { epoch.checked_sub(span) } else { epoch.checked_add(span) }.unwrap_or(epoch);
    match rustix::fs::stat(path).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode)) {
        // Opening anything else may do something.
        Ok(rustix::fs::FileType::RegularFile | rustix::fs::FileType::Directory) => {
            // A mode may forbid even its owner to open it; then the time is what it is.
            File::open(path).map_or(Ok(()), |file| file.set_modified(time))
        }
        _ => Ok(()),
    }
}
