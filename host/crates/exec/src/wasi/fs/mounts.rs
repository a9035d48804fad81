//! What is mounted over the image: each mount is a volume of its own, whose root stands in a directory of another one.
//!
//! Names cannot be moved or linked from one volume to another, as on every system. Before the changes are looked for,
//! the mounts are taken away again, and with them the directories that were made for them.

use std::sync::Arc;

use kiln_image::{Meta, View};
use kiln_types::paths;

use super::below::Below;
use super::data::Data;
use super::host::HostTree;
use super::node::{Body, Directory, Node, NodeId};
use super::tree::{ROOT, Tree};
use crate::mount::{check_fit, check_place, order};
use crate::wasi::errno::Errno;
use crate::{Error, Kept, Memory, Mount, MountKind};

/// As the kernel has it.
const LINKS: usize = 40;

/// The image is number 0.
pub(super) type VolumeId = usize;

/// Where nodes come from and what can be done with them.
pub(super) struct Volume {
    pub(super) below: Below,
    pub(super) read_only: bool,
    /// How many bytes more its files can have.
    pub(super) left: Option<u64>,
}

/// A volume in its place.
pub(super) struct Mounted {
    directory: NodeId,
    name: Vec<u8>,
    /// What is seen there without it.
    covered: Option<NodeId>,
    root: NodeId,
    keep: Option<Keep>,
}

/// What becomes of changes that do not end with the run.
pub(super) enum Keep {
    /// The caller gets them, by the mount's number, and with paths of its view, in which it is at `path`.
    HandBack { number: usize, path: Vec<u8> },
    /// They are written there.
    Host(Arc<HostTree>),
}

impl Tree {
    pub(super) fn mount_all(&mut self, mounts: &[Mount]) -> Result<(), Error> {
        for number in order(mounts) {
            self.mount(&mounts[number], number).map_err(|reason| match self.fatal.take() {
                Some(error) => error,
                None => Error::mount(mounts, number, reason),
            })?;
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Mount, number: usize) -> Result<(), String> {
        let (directory, name) = self.mount_point(&paths::clean(&mount.target))?;
        let covered = self.child(directory, &name).map_err(text)?;
        let volume = self.volumes.len();
        let below = self.below_of(mount)?;
        let root = self.volume_root(mount, &below, volume, directory)?;
        if let Some(covered) = covered {
            check_fit(root.is_directory(), self.node(covered).is_directory())?;
        }
        let left = if let MountKind::Memory(memory) = &mount.kind { memory.size } else { None };
        let host = if let Below::Host(tree) = &below { Some(Arc::clone(tree)) } else { None };
        self.volumes.push(Volume { below, read_only: mount.read_only, left });
        let keep = match (&mount.kind, host) {
            (MountKind::Files { path, keep: true, .. }, _) => Some(Keep::HandBack { number, path: path.clone() }),
            (_, Some(tree)) if !mount.read_only => Some(Keep::Host(tree)),
            _ => None,
        };
        let root = self.add(root);
        self.directory_mut(directory).map_err(text)?.entries.insert(name.clone(), Some(root));
        self.mounted.push(Mounted { directory, name, covered, root, keep });
        Ok(())
    }

    fn below_of(&self, mount: &Mount) -> Result<Below, String> {
        Ok(match &mount.kind {
            MountKind::Files { view, .. } => Below::new(view.clone(), self.clock),
            MountKind::Directory(path) => {
                let tree = HostTree::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
                Below::Host(Arc::new(tree))
            }
            MountKind::Memory(_) | MountKind::Bytes { .. } | MountKind::Agent { .. } => {
                Below::new(View::new(Vec::new()), self.clock)
            }
        })
    }

    /// The first node of the volume that will have that number.
    fn volume_root(&self, mount: &Mount, below: &Below, volume: VolumeId, parent: NodeId) -> Result<Node, String> {
        let node = match &mount.kind {
            MountKind::Files { path, .. } => match below.lookup(path).map_err(|error| error.to_string())? {
                Some(found) => Node::lower(found, parent, volume),
                None if path.is_empty() => Node { origin: Some(Vec::new()), ..own_directory(parent, false) },
                None => return Err(format!("{} is not there", paths::display(path))),
            },
            &MountKind::Memory(Memory { mode, uid, gid, .. }) => {
                let node = own_directory(parent, true);
                Node { meta: Meta { mode, uid, gid, mtime: self.seconds(), ..node.meta }, ..node }
            }
            MountKind::Bytes { bytes, mode, uid, gid } => {
                let meta = Meta { mode: *mode, uid: *uid, gid: *gid, mtime: self.seconds(), ..Meta::default() };
                let content = kiln_image::Content::bytes(bytes.clone());
                Node::new(meta, Body::File(Data::lower(content, None)))
            }
            MountKind::Directory(path) => match below.lookup(b"").map_err(|error| error.to_string())? {
                Some(found) => Node::lower(found, parent, volume),
                None => return Err(format!("{} is neither a file nor a directory", path.display())),
            },
            MountKind::Agent { .. } => {
                return Err(
                    "there are no sockets in WebAssembly: only Linux programs can reach an ssh agent".to_owned()
                );
            }
        };
        if let Body::Directory(_) | Body::File(_) = node.body {
            return Ok(Node { volume, ..node });
        }
        Err("only files and directories can be mounted".to_owned())
    }

    /// Where a target is: links of the image are followed, and directories that are missing are made.
    fn mount_point(&mut self, target: &[u8]) -> Result<(NodeId, Vec<u8>), String> {
        let mut rest: Vec<Vec<u8>> = paths::components(target).rev().map(<[u8]>::to_vec).collect();
        let (mut directory, mut links) = (ROOT, 0);
        // The path of `directory`, without links.
        let mut real: Vec<u8> = Vec::new();
        while let Some(name) = rest.pop() {
            match &name[..] {
                b"." => continue,
                b".." => {
                    directory = self.directory(directory).map_err(text)?.parent;
                    real = paths::parent(&real).unwrap_or_default().to_vec();
                    continue;
                }
                _ => {}
            }
            let path = paths::join(&real, &name);
            let found = self.child(directory, &name).map_err(text)?;
            let id = match found.map(|id| (id, &self.node(id).body)) {
                Some((id, Body::Symlink(_))) if self.node(id).volume != 0 => {
                    return Err(format!("{} is a symbolic link within another mount", paths::display(&path)));
                }
                Some((_, Body::Symlink(target))) => {
                    links += 1;
                    if links > LINKS {
                        return Err("too many levels of symbolic links".to_owned());
                    }
                    if target.starts_with(b"/") {
                        (directory, real) = (ROOT, Vec::new());
                    }
                    rest.extend(paths::components(target).rev().map(<[u8]>::to_vec));
                    continue;
                }
                _ if rest.is_empty() => {
                    check_place(&path)?;
                    return Ok((directory, name));
                }
                Some((id, Body::Directory(_))) => id,
                Some(_) => return Err(format!("{} is not a directory", paths::display(&path))),
                None => self.scaffold(directory, &name)?,
            };
            (directory, real) = (id, path);
        }
        // It ends in `..` of a link.
        check_place(&real)?;
        Ok((self.directory(directory).map_err(text)?.parent, paths::name(&real).to_vec()))
    }

    /// A directory that is there only because something is mounted below it.
    fn scaffold(&mut self, parent: NodeId, name: &[u8]) -> Result<NodeId, String> {
        let volume = self.node(parent).volume;
        let mut node = Node { scaffold: true, volume, ..own_directory(parent, true) };
        node.set_modified(self.clock.now());
        let id = self.add(node);
        self.directory_mut(parent).map_err(text)?.entries.insert(name.to_vec(), Some(id));
        Ok(id)
    }

    /// Shows again what mounts have covered.
    pub(super) fn unmount_all(&mut self) -> Vec<Unmounted> {
        let mut volumes = Vec::new();
        for Mounted { directory, name, covered, root, keep } in std::mem::take(&mut self.mounted).into_iter().rev() {
            if let Ok(directory) = self.directory_mut(directory) {
                match covered {
                    Some(covered) => directory.entries.insert(name, Some(covered)),
                    None => directory.entries.remove(&name),
                };
            }
            volumes.extend(keep.map(|keep| Unmounted { keep, root }));
        }
        volumes
    }

    /// What was changed in mounts that keep it: written to the host, or handed back. All mounts have been taken away.
    pub(super) fn kept(&mut self, volumes: Vec<Unmounted>) -> Result<Vec<Kept>, Error> {
        let mut kept = Vec::new();
        for Unmounted { keep, root } in volumes {
            match keep {
                Keep::HandBack { number, path } => {
                    kept.push(Kept { mount: number, changes: self.changes_of(root, path)? });
                }
                Keep::Host(tree) => tree.apply(&self.changes_of(root, Vec::new())?)?,
            }
        }
        Ok(kept)
    }

    /// From now on nothing can be changed but in mounts.
    pub(crate) fn make_read_only(&mut self) {
        self.volumes[0].read_only = true;
    }

    /// Whether the name stands for a mount.
    pub(super) fn is_mount_point(&self, parent: NodeId, id: NodeId) -> bool {
        self.node(parent).volume != self.node(id).volume
    }

    fn seconds(&self) -> i64 {
        (self.clock.now() / 1_000_000_000) as i64
    }
}

/// A volume whose changes do not end with the run.
pub(super) struct Unmounted {
    keep: Keep,
    root: NodeId,
}

fn own_directory(parent: NodeId, complete: bool) -> Node {
    Node::new(Meta::implied_directory(), Body::Directory(Directory::new(parent, complete)))
}

fn text(errno: Errno) -> String {
    errno.to_string()
}

#[cfg(test)]
mod tests;
