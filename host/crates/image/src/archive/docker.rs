//! Docker's `manifest.json`: a list of images by the names of their files in the archive.

use kiln_types::Reference;
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};

use super::LoadedImage;
use super::load::Blobs;
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
    pub(super) fn load(&self, blobs: &Blobs<'_>) -> Result<LoadedImage> {
        let config = blobs.named(&self.config)?;
        let parsed = ImageConfig::parse(&blobs.read(&config.digest)?)?;
        let layers: Vec<_> = self.layers.iter().map(|name| blobs.named(name)).collect::<Result<_>>()?;
        let descriptors =
            layers.iter().map(|layer| Descriptor::new(layer_media_type(layer.compression), layer.digest, layer.size));
        let manifest =
            Manifest::new(Descriptor::new(MediaType::ImageConfig, config.digest, config.size), descriptors.collect());
        blobs.check_layers(&manifest, &parsed)?;
        Ok(LoadedImage { names: self.names()?, manifest: manifest.to_json(), config: config.digest })
    }
}
