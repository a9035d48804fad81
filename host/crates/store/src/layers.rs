//! Layers: an uncompressed tar among the blobs and an index beside it.

use std::io::Read;
use std::sync::Arc;

use kiln_image::{Change, Layer};
use kiln_types::Digest;

use crate::{Result, Store};

impl Store {
    /// Writes a change set as a layer. Whether an empty one is worth a layer is the caller's to say.
    pub fn add_layer(&self, changes: Vec<Change>) -> Result<Arc<Layer>> {
        todo!()
    }

    /// The layer with that diff id. A received blob is decompressed when its layer is first asked for; an index that
    /// is missing or damaged is made again.
    pub fn layer(&self, diff_id: &Digest) -> Result<Arc<Layer>> {
        todo!()
    }

    /// Keeps a tar from outside, as it is, as a layer (`import`); it may be compressed.
    pub fn add_tar(&self, tar: impl Read + Send) -> Result<Arc<Layer>> {
        todo!()
    }
}
