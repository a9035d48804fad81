//! Images: a config, its layers, and where it came from.

use kiln_image::{Descriptor, ImageConfig};
use kiln_types::Digest;

use crate::{Result, Store};

/// An image as it was found. Its id is the digest of its config's bytes.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: Digest,
    pub config: ImageConfig,
    /// The config's bytes, as they were made or received.
    pub config_bytes: Vec<u8>,
    /// The image it was built on in this store.
    pub parent: Option<Digest>,
    /// Made by a step that was not the last one of its build.
    pub intermediate: bool,
}

impl Store {
    /// Keeps an image that was made here (built, committed, imported). Its layers (`rootfs.diff_ids`) are in the store.
    /// An intermediate image costs one small file, and nothing at all where it exists.
    pub fn add_image(&self, config: &ImageConfig, parent: Option<&Digest>, intermediate: bool) -> Result<Digest> {
        todo!()
    }

    /// Keeps an image as it was received (pulled, loaded). Its config and layers are in the store as blobs already;
    /// nothing is decompressed yet.
    pub fn add_received(&self, manifest: &[u8]) -> Result<Digest> {
        todo!()
    }

    /// The image with exactly that id; `None` where there is none.
    pub fn image(&self, id: &Digest) -> Result<Option<Image>> {
        todo!()
    }

    /// The manifest of an image: as received, or for one that was made here over its uncompressed layers. All that it
    /// refers to is among the blobs afterwards, so the image can be saved or pushed.
    pub fn manifest(&self, id: &Digest) -> Result<(Descriptor, Vec<u8>)> {
        todo!()
    }
}
