//! A layer at hand: its uncompressed tar and the index to it.

use std::fs::File;
use std::sync::Arc;

use kiln_types::Digest;

use crate::change::{Change, Node};
use crate::content::Content;
use crate::error::Result;
use crate::index::{Entry, Index, Kind};

#[derive(Debug)]
pub struct Layer {
    pub diff_id: Digest,
    /// Bytes of the tar.
    pub size: u64,
    pub tar: Arc<File>,
    pub index: Index,
}

impl Layer {
    /// The bytes of a file, through a hard link too; nothing for any other kind of entry.
    pub fn content(&self, entry: &Entry<'_>) -> Content {
        match entry.holder {
            Some(holder) => Content::range(self.tar.clone(), holder.offset, holder.size),
            None => Content::bytes(Vec::new()),
        }
    }

    /// The layer as a change set again, contents as ranges of its tar.
    pub fn changes(&self) -> impl Iterator<Item = Result<Change>> {
        self.index.iter().filter_map(|entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            let node = match entry.kind {
                Kind::Directory { opaque } if entry.implied && !opaque => return None,
                Kind::Directory { opaque } => Node::Directory { opaque },
                Kind::File { .. } => Node::File(self.content(&entry)),
                Kind::Symlink(target) => Node::Symlink(target.to_vec()),
                Kind::HardLink(target) => Node::HardLink(target.to_vec()),
                Kind::CharDevice { major, minor } => Node::CharDevice { major, minor },
                Kind::BlockDevice { major, minor } => Node::BlockDevice { major, minor },
                Kind::Fifo => Node::Fifo,
                Kind::Whiteout => Node::Whiteout,
            };
            Some(Ok(Change { path: entry.path.to_vec(), meta: entry.meta(), node }))
        })
    }
}
