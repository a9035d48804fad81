//! What is mounted besides the root filesystem: its place in the image, and the directories that it is made of.

use std::fs;
use std::path::Path;

use kiln_image::{Meta, View};
use kiln_sys::sandbox::{self, Source};
use kiln_sys::userns::Ids;
use kiln_types::paths;

use super::Namespaces;
use super::agent::Agent;
use super::points::{self, Place, Point};
use super::root::{give, lower, system};
use crate::mount::{check_fit, check_place, order};
use crate::{Error, Memory, MountKind, Root};

/// Covered by one of the kernel's: what is there is not the image's.
const DEVICES: &[u8] = b"dev";

pub(super) struct Mounts {
    pub(super) mounts: Vec<sandbox::Mount>,
    pub(super) agents: Vec<Agent>,
}

/// In the order of [`order`]. Adds those places to `points` that the image lacks.
pub(super) fn prepare(root: &Root<'_>, executor: &Namespaces, points: &mut Vec<Point>) -> Result<Mounts, Error> {
    let mut prepared = Mounts { mounts: Vec::new(), agents: Vec::new() };
    let mut taken = vec![DEVICES.to_vec()];
    for number in order(root.mounts) {
        let mount = &root.mounts[number];
        let refused = |reason| Error::mount(root.mounts, number, reason);
        let Place { path, node, nested } =
            points::place(&root.view, &paths::clean(&mount.target), &taken).map_err(refused)?;
        check_place(&path).map_err(refused)?;
        let is_directory = mount.kind.is_directory()?;
        if let Some(node) = &node {
            check_fit(is_directory, node.is_directory()).map_err(refused)?;
        }
        if !nested {
            points.push(Point { path: path.clone(), is_file: !is_directory, missing: node.is_none() });
        }
        taken.push(path.clone());
        let directory = root.scratch.join(format!("mounts/{number}"));
        // Where everything is root's, so is this.
        let own = |uid, gid| if executor.ids == Ids::Single { (0, 0) } else { (uid, gid) };
        let source = match &mount.kind {
            MountKind::Files { view, path, .. } => overlay(root, view, path, &directory, executor)?,
            MountKind::Directory(path) => Source::Host(path.clone()),
            &MountKind::Memory(Memory { size, mode, uid, gid, no_exec }) => {
                let (uid, gid) = own(uid, gid);
                Source::Memory { size, mode, uid, gid, no_exec }
            }
            &MountKind::Bytes { ref bytes, mode, uid, gid } => {
                let (uid, gid) = own(uid, gid);
                Source::Bytes { content: bytes.to_vec(), mode, uid, gid }
            }
            &MountKind::Agent { ref agent, mode, uid, gid } => {
                fs::create_dir_all(&directory).map_err(system("make", &directory))?;
                let agent = Agent::start(agent, &directory, mode, own(uid, gid))
                    .map_err(|error| refused(format!("the ssh agent cannot be forwarded: {error}")))?;
                let socket = agent.socket().to_owned();
                prepared.agents.push(agent);
                Source::Host(socket)
            }
        };
        prepared.mounts.push(sandbox::Mount { target: path, read_only: mount.read_only, source });
    }
    Ok(prepared)
}

/// Layers over one another, whose changes go nowhere.
fn overlay(
    root: &Root<'_>,
    view: &View,
    path: &[u8],
    directory: &Path,
    executor: &Namespaces,
) -> Result<Source, Error> {
    let [upper, work] = ["upper", "work"].map(|name| directory.join(name));
    for directory in [&upper, &work] {
        fs::create_dir_all(directory).map_err(system("make", directory))?;
    }
    let meta = view.lookup(b"")?.map_or_else(Meta::implied_directory, |found| found.meta);
    give(&upper, meta, executor.ids)?;
    let lower = lower(root, view, &[], executor)?;
    Ok(Source::Overlay { lower, upper, work, path: path.to_vec() })
}
