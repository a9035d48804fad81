//! The directory form of layers, for overlayfs.

use std::path::{Path, PathBuf};

use kiln_image::Layer;
use kiln_types::Digest;

use crate::{Result, Store};

impl Store {
    /// The directory form of a layer, made when first asked for. Another process that makes it is waited for.
    pub fn directory(&self, layer: &Layer) -> Result<PathBuf> {
        todo!()
    }

    /// Keeps `upper`, the upper directory that the layer `diff_id` was scanned from, as its directory form. Where there
    /// is one already, `upper` stays and goes with the scratch directory it is in.
    pub fn adopt_directory(&self, diff_id: &Digest, upper: &Path) -> Result<()> {
        todo!()
    }
}
