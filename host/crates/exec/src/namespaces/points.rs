//! Mount points: where they are in the image, and a directory that has those which the image lacks.
//!
//! That directory becomes the topmost lower one of the overlay. So a mount point is there whatever the layers remove
//! or hide, and it never gets into the layer that the step makes, which is what is written *above* it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kiln_image::{Meta, Node, View};
use kiln_sys::userns::Ids;
use kiln_types::paths;

use super::root::{give, system};
use crate::Error;

/// As the kernel has it.
const MAX_LINKS: usize = 40;

pub(super) struct Point {
    /// Without symbolic links.
    pub(super) path: Vec<u8>,
    /// What the file there contains; a directory where there is none.
    pub(super) file: Option<Vec<u8>>,
    pub(super) missing: bool,
}

/// Finds the places of the kernel's filesystems and of `files` (path in the image, content).
pub(super) fn find<const N: usize>(view: &View, files: [(&[u8], Vec<u8>); N]) -> Result<Vec<Point>, Error> {
    let directories = [&b"proc"[..], b"sys", b"dev"].map(|path| (path, None));
    let files = files.map(|(path, content)| (path, Some(content)));
    directories.into_iter().chain(files).map(|(path, file)| point(view, path, file)).collect()
}

fn point(view: &View, path: &[u8], file: Option<Vec<u8>>) -> Result<Point, Error> {
    let (real, node) = place(view, path)?;
    let fits = match &node {
        None => true,
        Some(Node::Directory { .. }) => file.is_none(),
        Some(_) => file.is_some(),
    };
    // The kernel's filesystems belong where every program looks for them, not behind a link.
    if !fits || (file.is_none() && real != path) {
        let wanted = if file.is_some() { "file" } else { "directory" };
        return Err(cannot_mount(path, format!("the image has something there that is not a {wanted}")));
    }
    Ok(Point { path: real, file, missing: node.is_none() })
}

/// Where `path` leads when symbolic links are followed, whether or not something is there.
fn place(view: &View, path: &[u8]) -> Result<(Vec<u8>, Option<Node>), Error> {
    let mut left: Vec<Vec<u8>> = paths::components(path).rev().map(<[u8]>::to_vec).collect();
    let mut at = Vec::new();
    let mut node = None;
    let mut links = 0;
    while let Some(part) = left.pop() {
        let next = paths::join(&at, &part);
        node = view.lookup(&next)?.map(|found| found.node);
        match &node {
            Some(Node::Symlink(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(cannot_mount(path, "too many levels of symbolic links".to_owned()));
                }
                left.extend(paths::components(target).rev().map(<[u8]>::to_vec));
                if target.starts_with(b"/") {
                    at.clear();
                }
            }
            Some(other) if !left.is_empty() && !other.is_directory() => {
                let reason = format!("{} is not a directory", paths::display(&next));
                return Err(cannot_mount(path, reason));
            }
            _ => at = next,
        }
    }
    Ok((at, node))
}

fn cannot_mount(path: &[u8], reason: String) -> Error {
    Error::System {
        action: format!("mount {} of the sandbox", paths::display(path)),
        source: std::io::Error::new(ErrorKind::InvalidInput, reason),
    }
}

/// Makes `directory` with the missing points, and with `implied` directories. All directories in it are in front of
/// those of the image, so they look like them.
pub(super) fn make(
    view: &View,
    points: &[Point],
    implied: &[Vec<u8>],
    directory: &Path,
    ids: Ids,
) -> Result<(), Error> {
    let missing = || points.iter().filter(|point| point.missing);
    let paths = missing().flat_map(|point| paths::ancestors(&point.path));
    let paths = paths.chain(implied.iter().flat_map(|path| paths::ancestors(path).chain([path.as_slice()])));
    // In order, so that each is behind those above it.
    let directories: BTreeSet<&[u8]> = paths.chain([&b""[..]]).collect();
    for path in &directories {
        let here = below(directory, path);
        fs::create_dir(&here).map_err(system("make", &here))?;
    }
    for point in missing() {
        let here = below(directory, &point.path);
        match &point.file {
            Some(_) => File::create(&here).map(drop),
            None => fs::create_dir(&here),
        }
        .map_err(system("make", &here))?;
    }
    // Last, because making something in a directory changes its time, and may need a mode that it will not have.
    for path in directories.into_iter().rev() {
        let here = below(directory, path);
        let meta = view.lookup(path)?.map_or_else(Meta::implied_directory, |found| found.meta);
        let time = FileTimes::new().set_modified(at(meta.mtime));
        File::open(&here).and_then(|file| file.set_times(time)).map_err(system("set the time of", &here))?;
        give(&here, meta, ids)?;
    }
    Ok(())
}

fn below(directory: &Path, path: &[u8]) -> PathBuf {
    directory.join(OsStr::from_bytes(path))
}

fn at(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}
