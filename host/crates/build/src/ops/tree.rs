//! What COPY and ADD take files from: a context, or the filesystem of an image.

use std::sync::Arc;

use kiln_image::{Content, Meta, Node, View};
use kiln_types::{Digest, paths};
use rayon::prelude::*;

use crate::Context;
use crate::context::{EntryKind, HostFile};
use crate::resolve::{self, Failure, Seen};

/// A file, directory or link that may be copied.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) path: Arc<[u8]>,
    pub(super) meta: Meta,
    pub(super) node: Node,
    /// How the content of a file is known.
    pub(super) known: Known,
    /// The same for all names of a file that may have several.
    pub(super) inode: Option<(u64, u64)>,
}

#[derive(Clone)]
pub(super) enum Known {
    /// Not a file.
    Nothing,
    Digest(Digest),
    /// A file of the host: its digest is in the hash cache, or has to be computed.
    Host(HostFile),
    /// Nobody has looked at the content yet.
    Unread,
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

    /// The item at a clean path, no links followed.
    pub(super) fn get(&self, path: &[u8]) -> Result<Option<Item>, kiln_image::Error> {
        if path.is_empty() {
            let meta = Meta { mode: 0o755, ..Meta::default() };
            let node = Node::Directory { opaque: false };
            return Ok(Some(Item { path: [].into(), meta, node, known: Known::Nothing, inode: None }));
        }
        match self {
            Self::Context(context) => Ok(context.find(path).map(|number| of_context(context, number))),
            Self::Image(view) => Ok(view.lookup(path)?.map(of_image)),
        }
    }

    /// What lies directly in a directory, sorted by name.
    pub(super) fn children(&self, path: &[u8]) -> Result<Vec<Item>, kiln_image::Error> {
        match self {
            Self::Context(context) => Ok(context.children(path).map(|number| of_context(context, number)).collect()),
            Self::Image(view) => Ok(view.read_dir(path)?.into_iter().map(of_image).collect()),
        }
    }

    /// Everything below a directory, parents first.
    pub(super) fn below(&self, path: &[u8]) -> Result<Vec<Item>, kiln_image::Error> {
        match self {
            Self::Context(context) => {
                let numbers = context.below(path).into_par_iter().with_min_len(4096);
                Ok(numbers.map(|number| of_context(context, number)).collect())
            }
            Self::Image(view) => view
                .walk(path)
                .filter(|found| !matches!(found, Ok(found) if found.path == path))
                .map(|found| found.map(of_image))
                .collect(),
        }
    }
}

fn of_context(context: &Context, number: usize) -> Item {
    let entry = context.entry(number);
    let mut meta = Meta { mode: entry.mode, mtime: entry.mtime, ..Meta::default() };
    let (node, known, inode) = match &entry.kind {
        EntryKind::Directory => (Node::Directory { opaque: false }, Known::Nothing, None),
        EntryKind::Symlink(target) => (Node::Symlink(target.clone()), Known::Nothing, None),
        EntryKind::File { stat, linked } => {
            let file = context.host_file(number).expect("it is one");
            let inode = linked.then_some((stat.device, stat.inode));
            (Node::File(Content::new(stat.size, file.clone())), Known::Host(file), inode)
        }
        EntryKind::Member(member) => {
            meta.xattrs.clone_from(&member.xattrs);
            (Node::File(member.content.clone()), Known::Unread, Some((0, member.file)))
        }
        EntryKind::Fifo => (Node::Fifo, Known::Nothing, None),
        EntryKind::CharDevice { major, minor } => {
            (Node::CharDevice { major: *major, minor: *minor }, Known::Nothing, None)
        }
        EntryKind::BlockDevice { major, minor } => {
            (Node::BlockDevice { major: *major, minor: *minor }, Known::Nothing, None)
        }
        EntryKind::Socket => (Node::File(Content::bytes(Vec::new())), Known::Digest(Digest::of("")), None),
    };
    Item { path: entry.path.clone(), meta, node, known, inode }
}

fn of_image(found: kiln_image::Found) -> Item {
    let inode = match found.node {
        Node::File(_) => Some((found.inode.0 as u64, found.inode.1 as u64)),
        _ => None,
    };
    let node = match found.node {
        Node::Directory { .. } => Node::Directory { opaque: false },
        node => node,
    };
    let known = found.digest.map_or(Known::Nothing, Known::Digest);
    Item { path: found.path.into(), meta: found.meta, node, known, inode }
}

/// A file whose content stands in the Dockerfile.
pub(super) fn inline(name: &str, content: Vec<u8>) -> Item {
    let digest = Digest::of(&content);
    let meta = Meta { mode: 0o644, mtime: crate::state::KILN_CLOCK, ..Meta::default() };
    Item {
        path: name.as_bytes().into(),
        meta,
        node: Node::File(Content::bytes(content)),
        known: Known::Digest(digest),
        inode: None,
    }
}
