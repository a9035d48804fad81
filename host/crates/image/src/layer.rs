//! A layer at hand: its uncompressed tar and the index to it.

use std::fs::File;
use std::sync::Arc;

use kiln_types::Digest;

use crate::content::Content;
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
        match self.index.link_target(entry.number).kind {
            Kind::File { offset, size, .. } => Content::range(self.tar.clone(), offset, size),
            _ => Content::bytes(Vec::new()),
        }
    }
}
