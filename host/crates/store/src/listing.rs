//! What `images` shows.

use kiln_types::{Digest, Reference};

use crate::{Result, Store};

#[derive(Debug, Clone)]
pub struct ListedImage {
    pub id: Digest,
    /// Each name with the digest of the manifest it was given with.
    pub names: Vec<(Reference, Option<Digest>)>,
    /// RFC 3339, from the config.
    pub created: Option<String>,
    /// Bytes of the files in all its layers.
    pub size: u64,
    pub labels: std::collections::BTreeMap<String, String>,
    pub parent: Option<Digest>,
    pub intermediate: bool,
    /// Without a name, without children, and no intermediate image.
    pub dangling: bool,
}

impl Store {
    /// Every image, intermediate ones too, newest first.
    pub fn images(&self) -> Result<Vec<ListedImage>> {
        todo!()
    }

    /// Bytes of the files in all layers of an image.
    pub fn size(&self, id: &Digest) -> Result<u64> {
        todo!()
    }
}
