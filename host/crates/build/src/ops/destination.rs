//! Where in an image something will be: links followed, missing directories named.

use kiln_image::{Change, Found, Meta, Node, View};
use kiln_types::paths;

use crate::resolve::{self, Failure, Seen};
use crate::state::KILN_CLOCK;

/// A place in an image that may or may not exist.
pub(super) struct Destination {
    pub(super) path: Vec<u8>,
    pub(super) existing: Option<Found>,
    /// Directories above `path` that do not exist, from the top down.
    pub(super) missing: Vec<Vec<u8>>,
}

impl Destination {
    pub(super) fn is_directory(&self) -> bool {
        self.path.is_empty() || self.existing.as_ref().is_some_and(|found| found.node.is_directory())
    }
}

/// Why there can be nothing at a place.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{} has too many levels of symbolic links in the image", paths::display(.0))]
    TooManyLinks(Vec<u8>),
    #[error("{} is not a directory in the image", paths::display(.0))]
    NotADirectory(Vec<u8>),
    #[error(transparent)]
    Image(#[from] kiln_image::Error),
}

pub(super) fn destination(view: &View, path: &[u8]) -> Result<Destination, Error> {
    let resolved = resolve::resolve(path, |path| {
        Ok::<_, kiln_image::Error>(view.lookup(path)?.map(|found| match found.node {
            Node::Directory { .. } => Seen::Directory,
            Node::Symlink(target) => Seen::Symlink(target),
            _ => Seen::Other,
        }))
    });
    let resolved = resolved.map_err(|failure| match failure {
        Failure::TooManyLinks => Error::TooManyLinks(path.to_vec()),
        Failure::NotADirectory(path) => Error::NotADirectory(path),
        Failure::Look(error) => Error::Image(error),
    })?;
    let count = paths::components(&resolved.path).count();
    let existing = if count == resolved.existing { view.lookup(&resolved.path)? } else { None };
    let missing = paths::ancestors(&resolved.path).skip(resolved.existing).map(<[u8]>::to_vec).collect();
    Ok(Destination { path: resolved.path, existing, missing })
}

/// The directories above `path` that the image has, as they are. A layer that lists what it goes into can be unpacked on
/// its own without giving those directories other modes and owners.
pub(super) fn existing_parents(view: &View, path: &[u8]) -> Result<Vec<Change>, kiln_image::Error> {
    let mut parents = Vec::new();
    for parent in paths::ancestors(path) {
        match view.lookup(parent)? {
            Some(found) => {
                parents.push(Change { path: found.path, meta: found.meta, node: Node::Directory { opaque: false } });
            }
            None => break,
        }
    }
    Ok(parents)
}

/// A directory that no source brings along.
pub(super) fn made_directory(path: Vec<u8>, uid: u32, gid: u32) -> Change {
    let meta = Meta { mode: 0o755, uid, gid, mtime: KILN_CLOCK, ..Meta::default() };
    Change { path, meta, node: Node::Directory { opaque: false } }
}
