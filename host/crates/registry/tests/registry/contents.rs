//! What a registry of the tests has: images made of any bytes, and how an honest registry would hand them out.

use std::collections::BTreeMap;

use kiln_image::{Descriptor, ImageConfig, Manifest, ManifestList};
use kiln_types::{Digest, Platform};

use crate::server::{Answer, Received};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Documents and blobs by the end of their path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    pub(crate) files: BTreeMap<String, (String, Vec<u8>)>,
}

/// An image in the contents.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: Digest,
    pub(crate) layers: Vec<Digest>,
    pub(crate) manifest: Descriptor,
}

impl Contents {
    /// An image of such layers, under a tag.
    pub(crate) fn tagged(tag: &str, layers: &[&[u8]]) -> (Self, Image) {
        let mut contents = Self::default();
        let image = contents.add(&Platform::host(), layers);
        contents.tag(tag, &image.manifest.digest);
        (contents, image)
    }

    /// An image of layers that each are one file with that content.
    pub(crate) fn add(&mut self, platform: &Platform, layers: &[&[u8]]) -> Image {
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| tar(layer)).collect();
        let diff_ids = layers.iter().map(Digest::of).collect();
        self.add_as(platform, diff_ids, &layers)
    }

    /// An image whose configuration says anything of its layers.
    pub(crate) fn add_as(&mut self, platform: &Platform, diff_ids: Vec<Digest>, layers: &[Vec<u8>]) -> Image {
        let mut config = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = diff_ids;
        let config = config.to_json();
        let id = self.blob(&config);
        let descriptor = |media_type, bytes: &[u8]| Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64);
        let layers: Vec<Digest> = layers.iter().map(|layer| self.blob(layer)).collect();
        let described = layers.iter().map(|layer| {
            let (_, bytes) = &self.files[&format!("/blobs/{layer}")];
            descriptor(LAYER, bytes)
        });
        let bytes = Manifest::new(descriptor(CONFIG, &config), described.collect()).to_json();
        let mut manifest = descriptor(MANIFEST, &bytes);
        manifest.platform = Some(platform.clone());
        self.document(MANIFEST, bytes);
        Image { id, layers, manifest }
    }

    pub(crate) fn index(&mut self, images: &[&Image]) -> Digest {
        let list = ManifestList::new(images.iter().map(|image| image.manifest.clone()).collect());
        self.document(INDEX, list.to_json())
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let file = ("application/octet-stream".to_owned(), bytes.to_vec());
        self.files.insert(format!("/blobs/{digest}"), file);
        digest
    }

    pub(crate) fn document(&mut self, media_type: &str, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.files.insert(format!("/manifests/{digest}"), (media_type.to_owned(), bytes));
        digest
    }

    pub(crate) fn tag(&mut self, tag: &str, digest: &Digest) {
        let file = self.files[&format!("/manifests/{digest}")].clone();
        self.files.insert(format!("/manifests/{tag}"), file);
    }

    /// As a registry does that can do everything.
    pub(crate) fn answer(&self, request: &Received) -> Answer {
        let found = self.files.iter().find(|(end, _)| request.path.ends_with(end.as_str()));
        let Some((_, (media_type, bytes))) = found.filter(|_| matches!(request.method.as_str(), "GET" | "HEAD")) else {
            return Answer {
                body: br#"{"errors":[{"code":"UNKNOWN","message":"not here"}]}"#.into(),
                ..Answer::status(404)
            };
        };
        let answer =
            Answer::of(bytes.clone()).with("Content-Type", media_type).with("Docker-Content-Digest", Digest::of(bytes));
        let start = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        match start.and_then(|start| start.parse::<usize>().ok()) {
            None => answer,
            Some(start) if start >= bytes.len() => Answer::status(416),
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Answer { status: 206, body: bytes[start..].to_vec(), ..answer }.with("Content-Range", range)
            }
        }
    }
}

/// A tar of one file without what may be missing at its end: 512 bytes more than the file.
pub(crate) fn tar(content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..4].copy_from_slice(b"file");
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    [&header, content].concat()
}
