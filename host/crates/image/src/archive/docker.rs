//! Docker's `manifest.json`: a list of images by the names of their files in the archive.

use kiln_types::Reference;
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};

use super::blobs::{Blobs, check_layers};
use super::load::{Entry, Image};
use crate::config::{ImageConfig, null_is_empty, parse_document};
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Manifest, layer_media_type};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    pub(super) config: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) layers: Vec<String>,
}

impl DockerImage {
    pub(super) fn list_to_json(images: &[Self]) -> Vec<u8> {
        serde_json::to_vec(images).expect("strings are always JSON")
    }

    pub(super) fn parse_list(bytes: &[u8]) -> Result<Vec<Self>> {
        parse_document("manifest.json", bytes)
    }

    pub(super) fn names(&self) -> Result<Vec<Reference>> {
        let parse = |text: &String| match text.parse::<Reference>() {
            Ok(name) => Ok(name.with_default_tag()),
            Err(error) => Err(Error::Archive { reason: error.to_string() }),
        };
        self.repo_tags.iter().map(parse).collect()
    }

    /// The image, with an OCI manifest made for it.
    pub(super) fn load(&self, blobs: &mut Blobs<'_>) -> Result<Entry> {
        let config = blobs.named(&self.config)?;
        let diff_ids = ImageConfig::parse(&blobs.read(&config.digest)?)?.rootfs.diff_ids;
        blobs.keep_all(self.layers.iter().cloned())?;
        let layers: Vec<_> = self.layers.iter().map(|name| blobs.named(name)).collect::<Result<_>>()?;
        check_layers(&layers, &diff_ids)?;
        let descriptors =
            layers.iter().map(|layer| Descriptor::new(layer_media_type(layer.compression), layer.digest, layer.size));
        let manifest =
            Manifest::new(Descriptor::new(MediaType::ImageConfig, config.digest, config.size), descriptors.collect());
        Ok(Entry {
            names: self.names()?,
            tags: Vec::new(),
            image: Image { bytes: manifest.to_json(), manifest, diff_ids },
            index: None,
        })
    }
}
