//! The merged view of a stack of layers: what a process would see, read out of the layers' tars.

mod walk;

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::io::Read as _;
use std::sync::Arc;

use kiln_types::{Digest, Hasher, paths};

use crate::change::Node;
use crate::error::{Error, Result};
use crate::index::{Descent, Entry, Kind};
use crate::layer::Layer;
use crate::meta::Meta;

/// As the kernel has it.
const MAX_LINKS: usize = 40;

#[derive(Clone, Debug)]
pub struct View {
    layers: Arc<[Arc<Layer>]>,
}

/// Something that exists in a view.
#[derive(Debug, Clone)]
pub struct Found {
    /// The real path, without symbolic links on its way.
    pub path: Vec<u8>,
    /// Number of the layer that it comes from, the lowest being 0.
    pub layer: usize,
    pub meta: Meta,
    /// Never a whiteout; hard links are files; directories are not opaque.
    pub node: Node,
    /// Of a file's content.
    pub digest: Option<Digest>,
    /// The same for all hard links of a file: layer, and number of the entry that has the content.
    pub inode: (usize, usize),
}

impl View {
    /// The lowest layer comes first.
    pub fn new(layers: Vec<Arc<Layer>>) -> Self {
        Self { layers: layers.into() }
    }

    pub fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    /// Digest of what all layers do, times left out: equal views of equal stacks have equal ones.
    pub fn content_digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for layer in self.layers.iter() {
            hasher.update(layer.index.content_digest().as_bytes());
        }
        hasher.finish()
    }

    /// What is at a clean path; no symbolic link is followed, not even on the way.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<Found>> {
        // An upper layer may imply a directory whose metadata a lower one has.
        let mut implied = None;
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let (descent, opaque) = layer.index.descend(path)?;
            match descent {
                Descent::Hidden => break,
                Descent::Absent => {}
                Descent::Found(entry) if implied.is_some() && !entry.is_directory() => break,
                Descent::Found(entry) if !entry.implied => return Ok(Some(self.found(number, &entry))),
                Descent::Found(entry) => {
                    let found = self.found(number, &entry);
                    implied.get_or_insert(found);
                    if matches!(entry.kind, Kind::Directory { opaque: true }) {
                        break;
                    }
                }
            }
            if opaque {
                break;
            }
        }
        Ok(implied.or_else(|| path.is_empty().then(Found::bare_root)))
    }

    /// What is at a path of any form, symbolic links being followed inside the root.
    pub fn resolve(&self, path: &[u8], follow_last: bool) -> Result<Option<Found>> {
        let too_many = || Error::SymlinkLoop { path: paths::display(path) };
        let must_be_directory = path.ends_with(b"/");
        let mut left: Vec<Vec<u8>> = paths::components(path).rev().map(<[u8]>::to_vec).collect();
        let mut at = self.lookup(b"")?;
        let mut links = 0;
        while let Some(part) = left.pop() {
            let Some(here) = at else { return Ok(None) };
            if !here.node.is_directory() {
                return Ok(None);
            }
            if part == b"." {
                at = Some(here);
                continue;
            }
            let found = self.lookup(&paths::join(&here.path, &part))?;
            at = match found {
                Some(Found { node: Node::Symlink(target), .. })
                    if !left.is_empty() || follow_last || must_be_directory =>
                {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(too_many());
                    }
                    left.extend(paths::components(&target).rev().map(<[u8]>::to_vec));
                    if target.starts_with(b"/") { self.lookup(b"")? } else { Some(here) }
                }
                found => found,
            };
        }
        Ok(at.filter(|found| !must_be_directory || found.node.is_directory()))
    }

    /// What is in the directory at a clean path, bytewise by name.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn read_dir(&self, path: &[u8]) -> Result<Vec<Found>> {
        match self.lookup(path)? {
            None => return Err(Error::NotFound { path: paths::display(path) }),
            Some(found) if !found.node.is_directory() => {
                return Err(Error::NotADirectory { path: paths::display(path) });
            }
            Some(_) => {}
        }
        let mut children: BTreeMap<&[u8], Child> = BTreeMap::new();
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let (descent, opaque) = layer.index.descend(path)?;
            let directory = match descent {
                Descent::Hidden => break,
                Descent::Absent if opaque => break,
                Descent::Absent => continue,
                Descent::Found(entry) => entry,
            };
            let Kind::Directory { opaque: own } = directory.kind else { break };
            for entry in layer.index.inside(&directory)? {
                match children.entry(paths::name(entry.path)) {
                    btree_map::Entry::Vacant(vacant) => drop(vacant.insert(self.child(number, &entry))),
                    btree_map::Entry::Occupied(mut occupied) => occupied.get_mut().lower(self, number, &entry),
                }
            }
            if opaque || own {
                break;
            }
        }
        Ok(children.into_values().filter_map(Child::into_found).collect())
    }

    /// A file's bytes, links being followed; `None` where there is no such file.
    ///
    /// # Errors
    /// It has more than `limit` bytes.
    pub fn read_small(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(Found { node: Node::File(content), .. }) = self.resolve(path, true)? else { return Ok(None) };
        if content.size() > limit {
            return Err(Error::TooLarge { path: paths::display(path), limit });
        }
        let mut bytes = Vec::new();
        content.open().and_then(|mut input| input.read_to_end(&mut bytes)).map_err(Error::at("read", path))?;
        Ok(Some(bytes))
    }

    fn child(&self, number: usize, entry: &Entry<'_>) -> Child {
        match entry.kind {
            Kind::Whiteout => Child::Removed,
            Kind::Directory { opaque: false } if entry.implied => Child::Implied(self.found(number, entry)),
            _ => Child::Known(self.found(number, entry)),
        }
    }

    fn found(&self, layer: usize, entry: &Entry<'_>) -> Found {
        let (node, digest) = match entry.kind {
            Kind::Directory { .. } => (Node::Directory { opaque: false }, None),
            Kind::File { .. } | Kind::HardLink(_) => {
                (Node::File(self.layers[layer].content(entry)), entry.holder.map(|holder| holder.digest))
            }
            Kind::Symlink(target) => (Node::Symlink(target.to_vec()), None),
            Kind::CharDevice { major, minor } => (Node::CharDevice { major, minor }, None),
            Kind::BlockDevice { major, minor } => (Node::BlockDevice { major, minor }, None),
            Kind::Fifo => (Node::Fifo, None),
            Kind::Whiteout => (Node::Whiteout, None),
        };
        let inode = (layer, entry.holder.map_or(entry.number, |holder| holder.number));
        Found { path: entry.path.to_vec(), layer, meta: entry.meta(), node, digest, inode }
    }
}

impl Found {
    /// The root of a stack without layers.
    fn bare_root() -> Self {
        Self {
            path: Vec::new(),
            layer: 0,
            meta: Meta::implied_directory(),
            node: Node::Directory { opaque: false },
            digest: None,
            inode: (0, 0),
        }
    }

    pub fn is_directory(&self) -> bool {
        self.node.is_directory()
    }
}

/// What the layers looked at so far say about a name.
enum Child {
    Known(Found),
    /// A directory whose metadata a lower layer may have.
    Implied(Found),
    Removed,
}

impl Child {
    fn lower(&mut self, view: &View, number: usize, entry: &Entry<'_>) {
        if let Self::Implied(found) = self {
            match entry.kind {
                Kind::Directory { opaque: false } if entry.implied => {}
                Kind::Directory { .. } => *self = Self::Known(view.found(number, entry)),
                _ => *self = Self::Known(found.clone()),
            }
        }
    }

    fn into_found(self) -> Option<Found> {
        match self {
            Self::Known(found) | Self::Implied(found) => Some(found),
            Self::Removed => None,
        }
    }
}
