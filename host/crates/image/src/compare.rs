//! What differs between two root filesystems, read from the layers' indexes: no content is opened.

use std::cmp::Ordering;

use crate::change::{Node, compare_paths};
use crate::error::Result;
use crate::view::{Found, View};

/// A path that is not the same in two views. It is in at least one of them.
#[derive(Debug)]
pub struct FileDifference {
    pub before: Option<Found>,
    pub after: Option<Found>,
    /// In what it differs, where it is in both.
    pub aspects: Vec<Aspect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// Another kind of file; the others are not told then.
    Kind,
    Content,
    Target,
    Device,
    Mode,
    Owner,
    Xattrs,
    Time,
}

impl FileDifference {
    pub fn path(&self) -> &[u8] {
        let found = self.after.as_ref().or(self.before.as_ref());
        found.map_or(&[], |found| &found.path)
    }
}

/// All differences, in the order of paths. Times count only where asked for.
pub fn compare_files(before: &View, after: &View, times: bool) -> Result<Vec<FileDifference>> {
    let mut differences = Vec::new();
    let same = |view: &View| view.layers().iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
    if same(before) == same(after) {
        return Ok(differences);
    }
    let (mut old, mut new) = (before.walk(b""), after.walk(b""));
    let (mut left, mut right) = (old.next().transpose()?, new.next().transpose()?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(differences),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => compare_paths(&left.path, &right.path),
        };
        let (mut before, mut after) = (None, None);
        if order.is_le() {
            before = std::mem::replace(&mut left, old.next().transpose()?);
        }
        if order.is_ge() {
            after = std::mem::replace(&mut right, new.next().transpose()?);
        }
        let aspects = match (&before, &after) {
            (Some(before), Some(after)) => aspects(before, after, times),
            _ => Vec::new(),
        };
        if !order.is_eq() || !aspects.is_empty() {
            differences.push(FileDifference { before, after, aspects });
        }
    }
}

fn aspects(before: &Found, after: &Found, times: bool) -> Vec<Aspect> {
    let mut aspects = Vec::new();
    let mut note = |differs: bool, aspect| aspects.extend(differs.then_some(aspect));
    match (&before.node, &after.node) {
        (Node::Directory { .. }, Node::Directory { .. }) | (Node::Fifo, Node::Fifo) => {}
        (Node::File(_), Node::File(_)) => note(before.digest != after.digest, Aspect::Content),
        (Node::Symlink(a), Node::Symlink(b)) => note(a != b, Aspect::Target),
        (Node::CharDevice { major, minor }, Node::CharDevice { major: a, minor: b })
        | (Node::BlockDevice { major, minor }, Node::BlockDevice { major: a, minor: b }) => {
            note((major, minor) != (a, b), Aspect::Device);
        }
        _ => return vec![Aspect::Kind],
    }
    let (a, b) = (&before.meta, &after.meta);
    // The mode of a symbolic link means nothing.
    note(a.mode != b.mode && !matches!(before.node, Node::Symlink(_)), Aspect::Mode);
    note((a.uid, a.gid) != (b.uid, b.gid), Aspect::Owner);
    note(a.xattrs != b.xattrs, Aspect::Xattrs);
    note(times && a.mtime != b.mtime, Aspect::Time);
    aspects
}
