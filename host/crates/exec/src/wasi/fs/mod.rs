//! The filesystem of a step: the layers below, read straight out of their tars, and what the step's processes change,
//! which becomes the next layer. A guest names no file of the host, but for those below directories that are mounted.
//!
//! ```text
//! Filesystem ── lock ──> Tree of Nodes (tree, node) ── path: resolution, entries: namespace, files: bytes and stat
//!                          │ lower nodes on demand        data: pages over a lower file, spill: pages on disk
//!                          ├─ mounts: volumes beside the image, of layers or of host files (host)
//!                          └─ changes: the tree compared with the view below, at the end
//! ```

mod below;
mod changes;
mod data;
mod entries;
mod files;
mod host;
mod mounts;
mod node;
mod path;
mod spill;
mod tree;
mod world;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_image::{Change, View};

use below::Below;
pub(crate) use entries::{Listed, OpenFlags, Opened, SetTimes, Time};
pub(crate) use node::{FileType, NodeId, Stat};
pub(crate) use tree::{Creator, ROOT, Tree};
pub(crate) use world::Device;

use super::errno::Errno;
use super::fatal::Fatal;
use super::limits::{Budget, Limits};
use crate::{Clock, Kept, Mount};

/// Shared by the processes of a step.
#[derive(Clone)]
pub(crate) struct Filesystem(Arc<Shared>);

struct Shared {
    tree: Mutex<Tree>,
    /// Handles dropped since the tree was last locked: dropping one never takes that lock.
    closed: Mutex<Vec<NodeId>>,
}

impl Filesystem {
    /// `guest_tools` makes kiln's own tools visible.
    pub(crate) fn new(
        view: View,
        clock: Clock,
        guest_tools: bool,
        scratch: PathBuf,
        limits: &Limits,
        memory: Arc<Budget>,
        fatal: Arc<Fatal>,
    ) -> Result<Self, Errno> {
        let mut tree = Tree::new(Below::new(view, clock), clock, scratch, limits, memory, fatal)?;
        tree.furnish(guest_tools)?;
        Ok(Self(Arc::new(Shared { tree: Mutex::new(tree), closed: Mutex::default() })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Tree> {
        let mut tree = self.0.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = std::mem::take(&mut *self.0.closed.lock().unwrap_or_else(PoisonError::into_inner));
        for node in closed {
            tree.release_handle(node);
        }
        tree
    }

    /// Keeps a node while it is open. The tree is locked by the caller, who knows that the node exists.
    pub(crate) fn handle(&self, tree: &mut Tree, node: NodeId) -> Handle {
        tree.node_mut(node).handles += 1;
        Handle { filesystem: self.clone(), node }
    }

    /// Mounts what is to be seen besides the image.
    pub(crate) fn mount(&self, mounts: &[Mount]) -> Result<(), crate::Error> {
        self.lock().mount_all(mounts)
    }

    /// Takes the mounts away; what the step has changed in those that hand it back. Every process has ended.
    pub(crate) fn unmount(&self) -> Result<Vec<Kept>, crate::Error> {
        let mut tree = self.lock();
        let volumes = tree.unmount_all();
        tree.kept(volumes)
    }

    /// What the step has changed in the image. Nothing is mounted any more.
    pub(crate) fn changes(&self) -> Result<Vec<Change>, crate::Error> {
        self.lock().changes()
    }
}

/// An open node: stays usable when its last name goes.
pub(crate) struct Handle {
    filesystem: Filesystem,
    pub(crate) node: NodeId,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.filesystem.0.closed.lock().unwrap_or_else(PoisonError::into_inner).push(self.node);
    }
}

#[cfg(test)]
mod tests;
