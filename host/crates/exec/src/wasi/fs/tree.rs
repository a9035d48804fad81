//! The nodes of a step's filesystem: the lower layers' are made when first looked at, all changes are in memory.

use std::path::PathBuf;
use std::sync::Arc;

use kiln_image::{Found, Meta};
use kiln_types::paths;

use super::below::Below;
use super::mounts::{Mounted, Volume};
use super::node::{Body, Directory, Node, NodeId};
use super::spill::Spill;
use crate::Clock;
use crate::wasi::errno::Errno;
use crate::wasi::fatal::Fatal;
use crate::wasi::limits::{self, Budget, Limit, Limits, Reservation};

pub(crate) const ROOT: NodeId = 0;

/// The whole filesystem, used by one process at a time.
pub(crate) struct Tree {
    /// The image's layers, then the mounts.
    pub(super) volumes: Vec<Volume>,
    pub(super) mounted: Vec<Mounted>,
    nodes: Vec<Option<Node>>,
    free: Vec<NodeId>,
    pub(super) spill: Spill,
    /// Tells the time of everything that is made or changed.
    pub(super) clock: Clock,
    numbers: u64,
    files: Budget,
    bytes: Budget,
    memory: Arc<Budget>,
    pub(super) fatal: Arc<Fatal>,
}

/// Who makes a file, and with which permissions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Creator {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) umask: u32,
}

impl Tree {
    pub(super) fn new(
        view: Below,
        clock: Clock,
        scratch: PathBuf,
        limits: &Limits,
        memory: Arc<Budget>,
        fatal: Arc<Fatal>,
    ) -> Result<Self, Errno> {
        let root = match view.lookup(b"").map_err(|error| fatal.image(error))? {
            Some(found) => Node::lower(found, ROOT, 0),
            None => {
                let body = Body::Directory(Directory::new(ROOT, false));
                Node { origin: Some(Vec::new()), ..Node::new(Meta::implied_directory(), body) }
            }
        };
        Ok(Self {
            volumes: vec![Volume { below: view, read_only: false, left: None }],
            mounted: Vec::new(),
            nodes: vec![Some(root)],
            free: Vec::new(),
            spill: Spill::new(scratch),
            clock,
            numbers: 0,
            files: Budget::new(Limit::Files(limits.files)),
            bytes: Budget::new(Limit::FileBytes(limits.file_bytes)),
            memory,
            fatal,
        })
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes[id].as_ref().expect("an id lives as long as its node")
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id].as_mut().expect("an id lives as long as its node")
    }

    /// A file's node, the bookkeeping of its pages, and nothing else.
    pub(super) fn node_and_spill(&mut self, id: NodeId) -> (&mut Node, &mut Spill) {
        (self.nodes[id].as_mut().expect("an id lives as long as its node"), &mut self.spill)
    }

    pub(super) fn directory(&self, id: NodeId) -> Result<&Directory, Errno> {
        match &self.node(id).body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::NotDirectory),
        }
    }

    pub(super) fn directory_mut(&mut self, id: NodeId) -> Result<&mut Directory, Errno> {
        match &mut self.node_mut(id).body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::NotDirectory),
        }
    }

    /// The layers that a node's volume has.
    pub(super) fn view(&self, id: NodeId) -> &Below {
        &self.volumes[self.node(id).volume].below
    }

    pub(super) fn add(&mut self, node: Node) -> NodeId {
        match self.free.pop() {
            Some(id) => {
                self.nodes[id] = Some(node);
                id
            }
            None => {
                self.nodes.push(Some(node));
                self.nodes.len() - 1
            }
        }
    }

    /// The entry `name` of a directory, taken from the lower layers where it has not been looked at yet.
    pub(super) fn child(&mut self, parent: NodeId, name: &[u8]) -> Result<Option<NodeId>, Errno> {
        let directory = self.directory(parent)?;
        if let Some(entry) = directory.entries.get(name) {
            return Ok(*entry);
        }
        if directory.complete {
            return Ok(None);
        }
        let Some(found) = self.below(parent, name)? else { return Ok(None) };
        let volume = self.node(parent).volume;
        let id = self.add(Node::lower(found, parent, volume));
        self.directory_mut(parent)?.entries.insert(name.to_vec(), Some(id));
        Ok(Some(id))
    }

    /// What the lower layers have under `name` in the directory that this one comes from.
    fn below(&self, directory: NodeId, name: &[u8]) -> Result<Option<Found>, Errno> {
        match &self.node(directory).origin {
            Some(origin) => {
                let path = paths::join(origin, name);
                self.view(directory).lookup(&path).map_err(|error| self.fatal.image(error))
            }
            None => Ok(None),
        }
    }

    /// Takes all names of a directory from the lower layers.
    pub(super) fn complete(&mut self, id: NodeId) -> Result<(), Errno> {
        if self.directory(id)?.complete {
            return Ok(());
        }
        let origin = self.node(id).origin.clone().unwrap_or_default();
        let volume = self.node(id).volume;
        for found in self.view(id).read_dir(&origin).map_err(|error| self.fatal.image(error))? {
            let name = paths::name(&found.path).to_vec();
            if !self.directory(id)?.entries.contains_key(&name) {
                let child = self.add(Node::lower(found, id, volume));
                self.directory_mut(id)?.entries.insert(name, Some(child));
            }
        }
        self.directory_mut(id)?.complete = true;
        Ok(())
    }

    /// Makes a node and its first name. The name is free.
    pub(super) fn create(&mut self, parent: NodeId, name: &[u8], meta: Meta, body: Body) -> Result<NodeId, Errno> {
        self.check_writable(parent)?;
        self.take_file()?;
        let mut node = Node { volume: self.node(parent).volume, ..Node::new(meta, body) };
        node.set_modified(self.clock.now());
        let id = self.add(node);
        self.attach(parent, name, id)?;
        Ok(id)
    }

    /// Puts something of the host's own in place of whatever the image has there.
    pub(super) fn place(&mut self, parent: NodeId, name: &[u8], mut node: Node) -> Result<NodeId, Errno> {
        node.synthetic = true;
        node.set_modified(self.clock.now());
        let id = self.add(node);
        self.directory_mut(parent)?.entries.insert(name.to_vec(), Some(id));
        Ok(id)
    }

    /// A further name of the host's own.
    pub(super) fn place_link(&mut self, parent: NodeId, name: &[u8], id: NodeId) -> Result<(), Errno> {
        self.node_mut(id).links += 1;
        self.directory_mut(parent)?.entries.insert(name.to_vec(), Some(id));
        Ok(())
    }

    /// Enters a name that is free; links are counted by the caller.
    pub(super) fn attach(&mut self, parent: NodeId, name: &[u8], id: NodeId) -> Result<(), Errno> {
        self.directory_mut(parent)?.entries.insert(name.to_vec(), Some(id));
        if let Body::Directory(directory) = &mut self.node_mut(id).body {
            directory.parent = parent;
        }
        self.touch(parent);
        Ok(())
    }

    /// Takes a name out of its directory; the node stays as it is.
    pub(super) fn detach(&mut self, parent: NodeId, name: &[u8]) -> Result<(), Errno> {
        let hides = self.below(parent, name)?.is_some();
        let directory = self.directory_mut(parent)?;
        if hides {
            directory.entries.insert(name.to_vec(), None);
        } else {
            directory.entries.remove(name);
        }
        self.touch(parent);
        Ok(())
    }

    /// One name less; without names and handles the node goes.
    pub(super) fn unlink(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let counted = node.links > 1 || node.origin.is_none();
        node.links -= 1;
        if let Body::Directory(directory) = &mut node.body {
            // What was above it may go before its last descriptor does.
            directory.parent = id;
        }
        if counted {
            self.files.give_back(1);
        }
        self.release_unused(id);
    }

    pub(super) fn release_handle(&mut self, id: NodeId) {
        self.node_mut(id).handles -= 1;
        self.release_unused(id);
    }

    fn release_unused(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        if node.links > 0 || node.handles > 0 {
            return;
        }
        let (charged, volume) = (node.charged, node.volume);
        if let Some(Node { body: Body::File(mut data), .. }) = self.nodes[id].take() {
            data.discard(&mut self.spill);
        }
        self.bytes.give_back(charged);
        if let Some(left) = &mut self.volumes[volume].left {
            *left += charged;
        }
        self.free.push(id);
    }

    pub(super) fn take_file(&self) -> Result<(), Errno> {
        if self.files.take(1) {
            return Ok(());
        }
        Err(self.fatal.exceeded(self.files.limit))
    }

    /// Counts what is kept in memory for a node.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reservation, Errno> {
        Reservation::new(&self.memory, bytes as u64).ok_or_else(|| self.fatal.exceeded(self.memory.limit))
    }

    /// Counts a file that is about to have `size` bytes of its own.
    pub(super) fn charge(&mut self, id: NodeId, size: u64) -> Result<(), Errno> {
        let charged = self.node(id).charged;
        if size > limits::FILE_SIZE {
            return Err(Errno::FileTooBig);
        }
        let volume = self.node(id).volume;
        if self.volumes[volume].left.is_some_and(|left| size > charged && size - charged > left) {
            return Err(Errno::NoSpace);
        }
        if size > charged && !self.bytes.take(size - charged) {
            return Err(self.fatal.exceeded(self.bytes.limit));
        }
        if size < charged {
            self.bytes.give_back(charged - size);
        }
        self.node_mut(id).charged = size;
        if let Some(left) = &mut self.volumes[volume].left {
            *left = *left + charged - size;
        }
        Ok(())
    }

    pub(super) fn touch(&mut self, id: NodeId) {
        let now = self.clock.now();
        self.node_mut(id).set_modified(now);
    }

    /// Can entries of this directory be made, removed or replaced?
    pub(super) fn check_writable(&self, id: NodeId) -> Result<(), Errno> {
        if self.directory(id)?.read_only || self.volumes[self.node(id).volume].read_only {
            return Err(Errno::ReadOnly);
        }
        // A removed directory stays empty.
        if self.node(id).links == 0 { Err(Errno::NotFound) } else { Ok(()) }
    }

    /// Whether the node is the world's own or in a read-only mount, so that programs cannot change it.
    pub(super) fn check_changeable(&self, id: NodeId) -> Result<(), Errno> {
        let node = self.node(id);
        if node.synthetic || self.volumes[node.volume].read_only { Err(Errno::ReadOnly) } else { Ok(()) }
    }

    pub(super) fn number(&mut self, id: NodeId) -> u64 {
        if let Some(number) = self.node(id).number {
            return number;
        }
        self.numbers += 1;
        let number = self.numbers;
        self.node_mut(id).number = Some(number);
        number
    }

    /// Takes the node out for good, at the end of the step.
    pub(super) fn take_body(&mut self, id: NodeId) -> Body {
        std::mem::replace(&mut self.node_mut(id).body, Body::Fifo)
    }
}
