//! Change sets: what every operation of a build ends in, and the only thing layers are made of.
//!
//! A change set is a `Vec<Change>` sorted by [`compare_paths`]: bytewise by component, so that a directory stands
//! directly before all that is in it. A directory that exists below need not be listed.

use std::cmp::Ordering;

use crate::{Content, Meta};

/// One path that a layer adds, replaces or removes.
#[derive(Debug, Clone)]
pub struct Change {
    /// Clean, see `kiln_types::paths`; the root directory itself is `b""`.
    pub path: Vec<u8>,
    /// Ignored for whiteouts and hard links.
    pub meta: Meta,
    pub node: Node,
}

#[derive(Debug, Clone)]
pub enum Node {
    /// An opaque directory hides everything that the layers below have in it.
    Directory {
        opaque: bool,
    },
    File(Content),
    Symlink(Vec<u8>),
    /// Another name of the earlier `File` change with this clean path.
    HardLink(Vec<u8>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// The path no longer exists.
    Whiteout,
}

impl Node {
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }
}

/// The order of change sets and indexes: by component, bytewise. As no component holds a `/` or NUL, this is the order
/// of the bytes with `/` before all others.
pub fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(common), b.get(common)) {
        (Some(&a), Some(&b)) => rank(a).cmp(&rank(b)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Is `path` strictly inside `directory`?
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) if directory.is_empty() => !rest.is_empty(),
        Some(rest) => rest.first() == Some(&b'/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_directory_directly_follows_it() {
        let mut paths = ["a.b", "a/c", "a", "", "a b", "a/b", "b", "a-"];
        paths.sort_by(|a, b| compare_paths(a.as_bytes(), b.as_bytes()));
        assert_eq!(paths, ["", "a", "a/b", "a/c", "a b", "a-", "a.b", "b"]);
    }

    #[test]
    fn below_means_inside() {
        assert!(is_below(b"a/b", b"a") && is_below(b"a", b""));
        assert!(!is_below(b"ab", b"a") && !is_below(b"a", b"a") && !is_below(b"", b""));
    }
}
