//! Image manifests and indexes: descriptors of a configuration and layers, of OCI's and Docker's media types.

use std::collections::BTreeMap;

use kiln_types::{Digest, Platform};
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compress::Compression;
use crate::config::{null_is_empty, parse_document};
use crate::error::{Error, Result};

/// Docker's names for the same documents.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// BuildKit's mark on what says how an image was built.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What a blob is, and how to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl Descriptor {
    pub fn new(media_type: impl ToString, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_string(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
            unknown: BTreeMap::new(),
        }
    }

    /// Lets it describe another document of the same kind.
    pub fn lead_to(&mut self, document: &[u8]) {
        (self.digest, self.size) = (Digest::of(document), document.len() as u64);
    }

    /// Does an entry of an index lead to an image, and not to what only tells of one (an attestation)?
    pub fn is_image(&self) -> bool {
        let unknown = self.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
        is_manifest(&self.media_type) && !unknown && !self.annotations.contains_key(REFERENCE_TYPE)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl Manifest {
    /// An OCI manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::ImageManifest.to_string()),
            config,
            layers,
            annotations: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// # Errors
    /// What is no manifest of an image of schema 2, or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let manifest: Self = parse_document("image manifest", bytes)?;
        if manifest.schema_version != 2 {
            return Err(Error::Json {
                what: "image manifest",
                reason: format!("schema version {} is not supported", manifest.schema_version),
            });
        }
        Ok(manifest)
    }

    /// The same value always gives the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and maps with string keys are always JSON")
    }

    /// The media type that the document is served under.
    pub fn media_type(&self) -> String {
        self.media_type.clone().unwrap_or_else(|| MediaType::ImageManifest.to_string())
    }
}

/// A list of manifests: of several platforms, or of what an image layout holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestList {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub manifests: Vec<Descriptor>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl ManifestList {
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        let media_type = Some(MediaType::ImageIndex.to_string());
        Self { schema_version: 2, media_type, manifests, unknown: BTreeMap::new() }
    }

    /// # Errors
    /// What is no list of manifests, or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse_document("image index", bytes)
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and maps with string keys are always JSON")
    }

    /// The media type that the document is served under.
    pub fn media_type(&self) -> String {
        self.media_type.clone().unwrap_or_else(|| MediaType::ImageIndex.to_string())
    }

    /// The manifest that serves `platform` best, if one does.
    pub fn choose(&self, platform: &Platform) -> Option<&Descriptor> {
        self.manifests
            .iter()
            .filter_map(|descriptor| Some((platform.rank(descriptor.platform.as_ref()?)?, descriptor)))
            .min_by_key(|&(rank, _)| rank)
            .map(|(_, descriptor)| descriptor)
    }
}

/// Is this the media type of a list of manifests?
pub fn is_manifest_list(media_type: &str) -> bool {
    media_type == DOCKER_MANIFEST_LIST || media_type == MediaType::ImageIndex.to_string()
}

/// Is this the media type of an image's manifest?
pub fn is_manifest(media_type: &str) -> bool {
    media_type == DOCKER_MANIFEST || media_type == MediaType::ImageManifest.to_string()
}

/// Is this the media type of an image's configuration? Anything else makes the manifest one of an artifact.
pub fn is_image_config(media_type: &str) -> bool {
    // The last one is what Docker 1.10 wrote.
    [MediaType::ImageConfig.to_string().as_str(), DOCKER_CONFIG, "application/octet-stream"].contains(&media_type)
}

/// The media type of a layer in an OCI manifest.
pub fn layer_media_type(compression: Compression) -> String {
    match compression {
        Compression::Gzip => MediaType::ImageLayerGzip.to_string(),
        Compression::Zstd => MediaType::ImageLayerZstd.to_string(),
        Compression::None => MediaType::ImageLayer.to_string(),
        // Not among OCI's; readers look at the content.
        Compression::Bzip2 => "application/vnd.oci.image.layer.v1.tar+bzip2".to_owned(),
        Compression::Xz => "application/vnd.oci.image.layer.v1.tar+xz".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(name: &str) -> Descriptor {
        Descriptor::new(MediaType::ImageManifest, Digest::of(name), name.len() as u64)
    }

    #[test]
    fn round_trips_with_what_is_unknown() {
        let digest = Digest::of("x");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"m","config":{{"mediaType":"c","digest":"{digest}","size":1}},"layers":[{{"mediaType":"l","digest":"{digest}","size":2,"annotations":{{"a":"b"}},"urls":["u"]}}],"subject":{{}}}}"#
        );
        let manifest = Manifest::parse(text.as_bytes()).expect("valid");
        assert_eq!(String::from_utf8_lossy(&manifest.to_json()), text);
    }

    #[test]
    fn chooses_what_serves_the_platform_best() {
        let entry = |name: &str, os: &str, architecture: &str, variant: Option<&str>| Descriptor {
            platform: Some(Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: variant.map(str::to_owned),
            }),
            ..descriptor(name)
        };
        let list = ManifestList::new(vec![
            descriptor("none"),
            entry("unknown", "unknown", "unknown", None),
            entry("v3", "linux", "amd64", Some("v3")),
            entry("amd64", "linux", "amd64", None),
            entry("arm64", "linux", "arm64", Some("v8")),
            entry("old wasi", "wasi", "wasm", None),
            entry("wasi", "wasip1", "wasm", None),
        ]);
        for (platform, expected) in [
            ("linux/amd64", Some("amd64")),
            ("linux/arm64", Some("arm64")),
            ("linux/amd64/v3", Some("v3")),
            ("linux/s390x", None),
            ("wasi/wasm", Some("wasi")),
            ("wasip2/wasm", None),
        ] {
            let chosen = list.choose(&platform.parse().expect("platform")).map(|descriptor| descriptor.digest);
            assert_eq!(chosen, expected.map(Digest::of), "{platform}");
        }
    }
}
