//! Mount points: where they are in the image, and a directory that has those which the image lacks.
//!
//! That directory becomes the topmost lower one of the overlay. So a mount point is there whatever the layers remove
//! or hide, and it never gets into the layer that the step makes, which is what is written *above* it. Most steps of a
//! build lack the same: they share it, because making files and removing them is what a step would take longest for.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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
    pub(super) is_file: bool,
    pub(super) missing: bool,
}

/// Finds the places of the kernel's filesystems and of files.
pub(super) fn find(view: &View, files: &[&[u8]]) -> Result<Vec<Point>, Error> {
    let directories = [&b"proc"[..], b"sys", b"dev"].into_iter().map(|path| (path, false));
    let files = files.iter().map(|&path| (path, true));
    directories.chain(files).map(|(path, is_file)| point(view, path, is_file)).collect()
}

fn point(view: &View, path: &[u8], is_file: bool) -> Result<Point, Error> {
    let place = place(view, path, &[]).map_err(|reason| cannot_mount(path, reason))?;
    let fits = place.node.as_ref().is_none_or(|node| node.is_directory() != is_file);
    // The kernel's filesystems belong where every program looks for them, not behind a link.
    if !fits || (!is_file && place.path != path) {
        let wanted = if is_file { "file" } else { "directory" };
        return Err(cannot_mount(path, format!("the image has something there that is not a {wanted}")));
    }
    Ok(Point { path: place.path, is_file, missing: place.node.is_none() })
}

/// Where a path leads, whether or not something is there.
pub(super) struct Place {
    pub(super) path: Vec<u8>,
    pub(super) node: Option<Node>,
    /// It is within one of the mounts: what is there is not known here.
    pub(super) nested: bool,
}

/// Follows the symbolic links of the image, up to where one of `mounts` begins.
pub(super) fn place(view: &View, path: &[u8], mounts: &[Vec<u8>]) -> Result<Place, String> {
    let mut left: Vec<Vec<u8>> = paths::components(path).rev().map(<[u8]>::to_vec).collect();
    let mut at = Vec::new();
    let mut node = None;
    let mut links = 0;
    while let Some(part) = left.pop() {
        let next = paths::join(&at, &part);
        if mounts.contains(&next) && !left.is_empty() {
            let rest: Vec<Vec<u8>> = left.into_iter().rev().collect();
            return Ok(Place { path: paths::join(&next, &rest.join(&b'/')), node: None, nested: true });
        }
        node = view.lookup(&next).map_err(|error| error.to_string())?.map(|found| found.node);
        match &node {
            Some(Node::Symlink(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err("too many levels of symbolic links".to_owned());
                }
                left.extend(paths::components(target).rev().map(<[u8]>::to_vec));
                if target.starts_with(b"/") {
                    at.clear();
                }
            }
            Some(other) if !left.is_empty() && !other.is_directory() => {
                return Err(format!("{} is not a directory", paths::display(&next)));
            }
            _ => at = next,
        }
    }
    Ok(Place { path: at, node, nested: false })
}

fn cannot_mount(path: &[u8], reason: String) -> Error {
    Error::System {
        action: format!("mount {} of the sandbox", paths::display(path)),
        source: std::io::Error::new(ErrorKind::InvalidInput, reason),
    }
}

/// What is to be in such a directory.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Wanted {
    /// The root first, each behind those above it. They are in front of those of the image, so they look like them.
    directories: Vec<(Vec<u8>, Meta)>,
    /// The path, and whether it is a file.
    points: Vec<(Vec<u8>, bool)>,
}

impl Wanted {
    fn find(view: &View, points: &[Point], implied: &[Vec<u8>]) -> Result<Self, Error> {
        let missing: Vec<_> = points.iter().filter(|point| point.missing).collect();
        let paths = missing.iter().flat_map(|point| paths::ancestors(&point.path));
        let paths = paths.chain(implied.iter().flat_map(|path| paths::ancestors(path).chain([path.as_slice()])));
        let directories: BTreeSet<&[u8]> = paths.chain([&b""[..]]).collect();
        let look = |path: &[u8]| -> Result<_, Error> {
            Ok((path.to_vec(), view.lookup(path)?.map_or_else(Meta::implied_directory, |found| found.meta)))
        };
        Ok(Self {
            directories: directories.into_iter().map(look).collect::<Result<_, _>>()?,
            points: missing.into_iter().map(|point| (point.path.clone(), point.is_file)).collect(),
        })
    }

    /// Fills an empty `directory`.
    fn make(&self, directory: &Path, ids: Ids) -> Result<(), Error> {
        for (path, _) in self.directories.iter().skip(1) {
            let here = below(directory, path);
            fs::create_dir(&here).map_err(system("make", &here))?;
        }
        for (path, is_file) in &self.points {
            let here = below(directory, path);
            let made = if *is_file { File::create(&here).map(drop) } else { fs::create_dir(&here) };
            match made {
                // Several mounts in one place, or one above another.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made.map_err(system("make", &here))?,
            }
        }
        // Last, because making something in a directory changes its time, and may need a mode that it will not have.
        for (path, meta) in self.directories.iter().rev() {
            let here = below(directory, path);
            let time = FileTimes::new().set_modified(at(meta.mtime));
            File::open(&here).and_then(|file| file.set_times(time)).map_err(system("set the time of", &here))?;
            give(&here, meta.clone(), ids)?;
        }
        Ok(())
    }
}

/// The directories that were made so far.
#[derive(Debug, Default)]
pub(super) struct Made {
    directories: Mutex<HashMap<Wanted, PathBuf>>,
    next: AtomicU64,
}

impl Made {
    /// The one that has the missing points and the `implied` directories of `view`, below `shared` if it is new.
    pub(super) fn directory(
        &self,
        view: &View,
        points: &[Point],
        implied: &[Vec<u8>],
        shared: &Path,
        ids: Ids,
    ) -> Result<PathBuf, Error> {
        let wanted = Wanted::find(view, points, implied)?;
        let mut made = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = made.get(&wanted) {
            return Ok(directory.clone());
        }
        let directory = loop {
            let directory = shared.join(format!("points-{}", self.next.fetch_add(1, Ordering::Relaxed)));
            match fs::create_dir(&directory) {
                Ok(()) => break directory,
                // Another executor's.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(system("make", &directory)(error)),
            }
        };
        wanted.make(&directory, ids)?;
        made.insert(wanted, directory.clone());
        Ok(directory)
    }
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
