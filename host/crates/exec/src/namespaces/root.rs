//! Prepares the directories that a root filesystem is mounted from.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use kiln_image::{Change, Meta, Node, View};
use kiln_sys::Lower;
use kiln_sys::sandbox::{self, Volume};
use kiln_sys::userns::Ids;
use rustix::fs::XattrFlags;

use super::Namespaces;
use super::agent::Agent;
use super::mounts::{self, Mounts};
use super::points::{self, Point};
use crate::{Error, Process, Root};

/// What a root filesystem has below its changes, and on it.
pub(super) struct Prepared {
    /// Topmost first.
    pub(super) lower: Vec<Lower>,
    /// (content, path in the image).
    pub(super) files: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) mounts: Vec<sandbox::Mount>,
    /// Lead to ssh agents as long as they live.
    pub(super) agents: Vec<Agent>,
}

/// The place for a step's changes, beneath the scratch directory.
pub(super) struct Fresh {
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
    pub(super) root: RootDirectory,
}

/// The root directory as it was before.
pub(super) struct RootDirectory(Meta);

impl RootDirectory {
    /// What happened to the root directory itself, whose place in the overlay is the upper directory. Its time counts
    /// for nothing: making a file in `/` is no change of `/`.
    pub(super) fn change(self, upper: &Path) -> Result<Option<Change>, Error> {
        let now = fs::metadata(upper).map_err(system("look at", upper))?;
        let (mode, uid, gid) = (now.mode() & 0o7777, now.uid(), now.gid());
        if (mode, uid, gid) == (self.0.mode, self.0.uid, self.0.gid) {
            return Ok(None);
        }
        let meta = Meta { mode, uid, gid, mtime: now.mtime(), xattrs: self.0.xattrs };
        Ok(Some(Change { path: Vec::new(), meta, node: Node::Directory { opaque: false } }))
    }
}

pub(super) fn fresh(root: &Root<'_>, ids: Ids) -> Result<Fresh, Error> {
    let [upper, work] = ["upper", "work"].map(|name| root.scratch.join(name));
    for directory in [&upper, &work] {
        fs::create_dir(directory).map_err(system("make", directory))?;
    }
    let meta = give(&upper, root_meta(root)?, ids)?;
    Ok(Fresh { upper, work, root: RootDirectory(meta) })
}

/// Makes the place for changes that are kept, where it is not there yet.
pub(super) fn keep(root: &Root<'_>, upper: &Path, work: &Path, ids: Ids) -> Result<(), Error> {
    match fs::create_dir(upper) {
        Ok(()) => drop(give(upper, root_meta(root)?, ids)?),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(system("make", upper)(error)),
    }
    // What an earlier mount has left in it would refuse another.
    match fs::remove_dir_all(work) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(system("remove", work)(error)),
        _ => {}
    }
    fs::create_dir(work).map_err(system("make", work))
}

fn root_meta(root: &Root<'_>) -> Result<Meta, Error> {
    Ok(root.view.lookup(b"")?.map_or_else(Meta::implied_directory, |found| found.meta))
}

/// `resolv_conf` instead of the host's.
pub(super) fn prepare(
    root: &Root<'_>,
    process: &Process,
    resolv_conf: Option<&[u8]>,
    executor: &Namespaces,
) -> Result<Prepared, Error> {
    let (paths, contents): (Vec<_>, Vec<_>) = own_files(process, resolv_conf).into_iter().unzip();
    let mut points = points::find(&root.view, &paths)?;
    let files = contents.into_iter().zip(points.iter().filter(|point| point.is_file));
    let files = files.map(|(content, point)| (content, point.path.clone())).collect();
    let Mounts { mounts, agents } = mounts::prepare(root, executor, &mut points)?;
    let lower = lower(root, &root.view, &points, executor)?;
    Ok(Prepared { lower, files, mounts, agents })
}

/// Where the image lacks what `volumes` are mounted on.
pub(super) fn points(view: &View, volumes: &[Volume<'_>]) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    let mut taken = Vec::new();
    for Volume { source, target, .. } in volumes {
        // What lies in another one is not the image's; what has no place there is passed over.
        let Ok(place) = points::place(view, &kiln_types::paths::clean(target), &taken) else { continue };
        taken.push(place.path.clone());
        if !place.nested {
            points.push(Point { path: place.path, is_file: !source.is_dir(), missing: place.node.is_none() });
        }
    }
    Ok(points)
}

/// The directories that show `view`, topmost first, with `points` in them.
pub(super) fn lower(
    root: &Root<'_>,
    view: &View,
    points: &[Point],
    executor: &Namespaces,
) -> Result<Vec<Lower>, Error> {
    let implied = executor.implied.find(view)?;
    let mut lower = Vec::with_capacity(view.layers().len() + 1);
    // Overlayfs wants one lower directory at least.
    if points.iter().any(|point| point.missing) || !implied.is_empty() || view.layers().is_empty() {
        lower.push(executor.points.directory(view, points, &implied, root.shared, executor.ids)?.into());
    }
    let mut seen = HashSet::new();
    // A step that does what an earlier one did makes the same layer again. Overlayfs takes no directory twice, and the
    // upper one hides the other.
    for layer in view.layers().iter().rev().filter(|layer| seen.insert(layer.diff_id)) {
        let directory =
            (root.directories)(layer).map_err(|source| Error::Directory { layer: layer.diff_id, source })?;
        lower.push(directory);
    }
    Ok(lower)
}

/// Makes a directory look like one of the image, and answers what can be seen of that: with a single id, everything
/// is root's.
pub(super) fn give(path: &Path, meta: Meta, ids: Ids) -> Result<Meta, Error> {
    let overlays_own = |name: &[u8]| name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    for (name, value) in meta.xattrs.iter().filter(|(name, _)| !overlays_own(name)) {
        // An attribute that this host or user cannot set is not visible to a step here either way.
        let _ = rustix::fs::setxattr(path, name.as_slice(), value, XattrFlags::empty());
    }
    let meta = if ids == Ids::Single { Meta { uid: 0, gid: 0, ..meta } } else { meta };
    if ids != Ids::Single {
        chown(path, Some(meta.uid), Some(meta.gid)).map_err(system("give an owner to", path))?;
    }
    fs::set_permissions(path, Permissions::from_mode(meta.mode)).map_err(system("set the mode of", path))?;
    Ok(meta)
}

/// What every step has of its own, whatever the image has there: (path, content).
fn own_files(process: &Process, resolv_conf: Option<&[u8]>) -> [(&'static [u8], Vec<u8>); 3] {
    let hostname = &process.hostname;
    // A host without this file resolves names by its defaults, and so does the step.
    let hosts_own = || fs::read("/etc/resolv.conf").unwrap_or_default();
    let resolv_conf = resolv_conf.map_or_else(hosts_own, <[u8]>::to_vec);
    // A container with an address of its own is known by that.
    let has_address = process.hosts.iter().any(|(name, _)| name == hostname);
    let own_name = if has_address { String::new() } else { format!(" {hostname}") };
    let mut hosts = format!("127.0.0.1\tlocalhost{own_name}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    hosts.extend(process.hosts.iter().map(|(name, address)| format!("{address}\t{name}\n")));
    [
        (b"etc/resolv.conf", resolv_conf),
        (b"etc/hosts", hosts.into_bytes()),
        (b"etc/hostname", format!("{hostname}\n").into_bytes()),
    ]
}

pub(super) fn system(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::System { action: format!("{action} {}", path.display()), source }
}
