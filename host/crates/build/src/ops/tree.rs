//! What COPY and ADD take files from: the context, or the filesystem of an image.

use kiln_image::{Content, Meta, Node, View};
use kiln_store::Stat;
use kiln_types::{Digest, paths};

use super::resolve::{self, Failure, Seen};
use crate::Context;
use crate::context::{Entry, EntryKind};

/// A file, directory or link that may be copied.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) path: Vec<u8>,
    pub(super) meta: Meta,
    pub(super) node: Node,
    /// How the content of a file is known.
    pub(super) known: Known,
}

#[derive(Clone, Copy)]
pub(super) enum Known {
    /// Not a file.
    Nothing,
    Digest(Digest),
    /// A file of the context: its digest is in the hash cache, or has to be computed.
    Stat(Stat),
}

pub(super) enum Tree<'a> {
    Context(&'a Context),
    Image(View),
}

impl Tree<'_> {
    /// The item at a path, all links followed beneath the tree's own root.
    pub(super) fn follow(&self, path: &[u8]) -> Result<Option<Item>, kiln_image::Error> {
        let look = |path: &[u8]| {
            Ok::<_, kiln_image::Error>(self.get(path)?.map(|item| match item.node {
                Node::Directory { .. } => Seen::Directory,
                Node::Symlink(target) => Seen::Symlink(target),
                _ => Seen::Other,
            }))
        };
        match resolve::resolve(path, look) {
            Ok(resolved) if resolved.existing == paths::components(&resolved.path).count() => self.get(&resolved.path),
            Ok(_) | Err(Failure::TooManyLinks | Failure::NotADirectory(_)) => Ok(None),
            Err(Failure::Look(error)) => Err(error),
        }
    }

    fn get(&self, path: &[u8]) -> Result<Option<Item>, kiln_image::Error> {
        if path.is_empty() {
            let meta = Meta { mode: 0o755, ..Meta::default() };
            let node = Node::Directory { opaque: false };
            return Ok(Some(Item { path: Vec::new(), meta, node, known: Known::Nothing }));
        }
        match self {
            Self::Context(context) => Ok(context.get(path).and_then(|entry| of_context(context, entry))),
            Self::Image(view) => Ok(view.lookup(path)?.map(of_image)),
        }
    }

    /// What lies directly in a directory, sorted by name.
    pub(super) fn children(&self, path: &[u8]) -> Result<Vec<Item>, kiln_image::Error> {
        match self {
            Self::Context(context) => {
                Ok(context.children(path).filter_map(|entry| of_context(context, entry)).collect())
            }
            Self::Image(view) => Ok(view.read_dir(path)?.into_iter().map(of_image).collect()),
        }
    }

    /// Everything below a directory, parents first.
    pub(super) fn below(&self, path: &[u8]) -> Result<Vec<Item>, kiln_image::Error> {
        match self {
            Self::Context(context) => {
                Ok(context.below(path).iter().filter_map(|entry| of_context(context, entry)).collect())
            }
            Self::Image(view) => view
                .walk(path)
                .filter(|found| !matches!(found, Ok(found) if found.path == path))
                .map(|found| found.map(of_image))
                .collect(),
        }
    }
}

/// `None` for what has no place in a layer.
fn of_context(context: &Context, entry: &Entry) -> Option<Item> {
    let (node, known) = match &entry.kind {
        EntryKind::Directory => (Node::Directory { opaque: false }, Known::Nothing),
        EntryKind::Symlink(target) => (Node::Symlink(target.clone()), Known::Nothing),
        EntryKind::Special => return None,
        EntryKind::File(stat) => (Node::File(context.content(&entry.path, *stat)), Known::Stat(*stat)),
    };
    let meta = Meta { mode: entry.mode, mtime: entry.mtime, ..Meta::default() };
    Some(Item { path: entry.path.clone(), meta, node, known })
}

fn of_image(found: kiln_image::Found) -> Item {
    let node = match found.node {
        Node::Directory { .. } => Node::Directory { opaque: false },
        node => node,
    };
    let known = found.digest.map_or(Known::Nothing, Known::Digest);
    Item { path: found.path, meta: found.meta, node, known }
}

/// A file whose content stands in the Dockerfile.
pub(super) fn inline(name: &str, content: Vec<u8>) -> Item {
    let digest = Digest::of(&content);
    let meta = Meta { mode: 0o644, mtime: crate::state::KILN_CLOCK, ..Meta::default() };
    Item {
        path: name.as_bytes().to_vec(),
        meta,
        node: Node::File(Content::bytes(content)),
        known: Known::Digest(digest),
    }
}
