//! Archives of images, as a tar or a directory: what `save` writes and `load` reads.
//!
//! ```text
//! blobs/sha256/<digest>   configurations, manifests, indexes, layers
//! index.json              manifests and indexes with their names: OCI's image layout
//! manifest.json           the same for Docker: names, configuration, layers
//! oci-layout
//! ```

mod blobs;
mod docker;
mod layout;
mod load;
mod members;
mod save;

use std::io::Read;

use kiln_types::{Digest, Reference};

use crate::error::Result;

pub use load::{load, load_directory, load_file};
pub use save::{save, save_directory};

const NAME_ANNOTATION: &str = "io.containerd.image.name";
const REF_NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";
const BLOBS: &str = "blobs/sha256/";

/// Where the blobs of saved images come from.
pub trait BlobSource {
    fn open(&self, digest: &Digest) -> Result<Box<dyn Read + Send>>;

    /// Whether a blob of `size` bytes is known to be what its digest says: then it is not digested once more.
    fn vouches_for(&self, digest: &Digest, size: u64) -> bool {
        let _ = (digest, size);
        false
    }
}

/// Where the blobs of loaded images go; several may come at once.
pub trait BlobSink: Sync {
    /// Reads a blob of `size` bytes to its end and keeps it; says what it was. `expected` is what the archive calls it:
    /// if that is here already, nothing need be kept.
    fn blob(&self, content: &mut dyn Read, size: u64, expected: Option<&Digest>) -> Result<(Digest, u64)>;

    /// A blob that was kept, if it has at most `limit` bytes.
    fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>>;
}

#[derive(Debug, Clone)]
pub struct SavedImage {
    pub names: Vec<Reference>,
    /// The manifest's bytes as they are kept.
    pub manifest: Vec<u8>,
    /// What the names stand for, where that is more than this one image.
    pub index: Option<SavedIndex>,
}

/// An image index with the manifests that it lists.
#[derive(Debug, Clone)]
pub struct SavedIndex {
    pub bytes: Vec<u8>,
    /// Indexes within it.
    pub within: Vec<Vec<u8>>,
    pub manifests: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// For `docker load` and everyone else: an image layout with Docker's `manifest.json`. It has no indexes.
    Docker,
    /// An OCI image layout only.
    Oci,
}

#[derive(Debug, Clone)]
pub struct LoadedImage {
    pub names: Vec<Reference>,
    /// Names in a layout that are only tags, as most tools write them there.
    pub tags: Vec<String>,
    /// As received; made here for archives that have only Docker's `manifest.json`.
    pub manifest: Vec<u8>,
    pub config: Digest,
    /// What the names stand for, where that is more than this one image.
    pub index: Option<LoadedIndex>,
}

/// An index whose blob and those of its manifests were kept.
#[derive(Debug, Clone)]
pub struct LoadedIndex {
    pub digest: Digest,
    /// Manifests of its other images that the archive has.
    pub others: Vec<Vec<u8>>,
}
