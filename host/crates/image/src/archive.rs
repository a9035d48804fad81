//! Tar archives of images: what `save` writes and `load` reads.
//!
//! ```text
//! blobs/sha256/<digest>   configurations, manifests, layers
//! index.json              the manifests with their names: OCI's image layout
//! manifest.json           the same for Docker: names, configuration, layers
//! oci-layout
//! ```

mod docker;
mod layout;
mod load;
mod save;

use std::io::Read;

use kiln_types::{Digest, Reference};

use crate::error::Result;

pub use load::load;
pub use save::{save, save_directory};

const NAME_ANNOTATION: &str = "io.containerd.image.name";
const REF_NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";
const BLOBS: &str = "blobs/sha256/";

/// Where the blobs of saved images come from.
pub trait BlobSource {
    fn open(&self, digest: &Digest) -> Result<Box<dyn Read + Send>>;
}

/// Where the blobs of loaded images go.
pub trait BlobSink {
    /// Keeps a blob, reading it to its end; says what it was.
    fn blob(&mut self, content: &mut dyn Read) -> Result<(Digest, u64)>;

    /// A blob that was kept, if it has at most `limit` bytes.
    fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>>;
}

#[derive(Debug, Clone)]
pub struct SavedImage {
    pub names: Vec<Reference>,
    /// The manifest's bytes as they are kept.
    pub manifest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// For `docker load` and everyone else: an image layout with Docker's `manifest.json`.
    Docker,
    /// An OCI image layout only.
    Oci,
}

#[derive(Debug, Clone)]
pub struct LoadedImage {
    pub names: Vec<Reference>,
    /// As received; made here for archives that have only Docker's `manifest.json`.
    pub manifest: Vec<u8>,
    pub config: Digest,
}
