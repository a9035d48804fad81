//! Writes an archive: streaming, and the same bytes for the same images.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use kiln_types::Digest;

use super::docker::DockerImage;
use super::{ArchiveFormat, BLOBS, BlobSource, NAME_ANNOTATION, REF_NAME_ANNOTATION, SavedImage};
use crate::digesting::{CopyError, copy_digesting};
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Manifest, ManifestList};
use crate::meta::Meta;
use crate::tar::{END, Header, append_header, padding};

/// Writes images with all that belongs to them.
///
/// # Errors
/// A blob is missing or damaged: what was written by then is no archive.
pub fn save(images: &[SavedImage], blobs: &dyn BlobSource, format: ArchiveFormat, out: impl Write) -> Result<()> {
    let mut plan = Plan::default();
    for image in images {
        plan.add(image)?;
    }
    let mut archive = Archive { out };
    archive.directory("blobs/")?;
    archive.directory(BLOBS)?;
    for (digest, part) in &plan.blobs {
        let name = format!("{BLOBS}{}", digest.hex());
        match part {
            Part::Bytes(bytes) => archive.file(&name, bytes)?,
            Part::Blob(size) => archive.blob(&name, digest, blobs.open(digest)?, *size)?,
        }
    }
    archive.file("index.json", &ManifestList::new(plan.descriptors).to_json())?;
    if format == ArchiveFormat::Docker {
        archive.file("manifest.json", &DockerImage::list_to_json(&plan.docker))?;
    }
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.finish()
}

enum Part {
    Bytes(Vec<u8>),
    /// Of this size.
    Blob(u64),
}

#[derive(Default)]
struct Plan {
    blobs: BTreeMap<Digest, Part>,
    descriptors: Vec<Descriptor>,
    docker: Vec<DockerImage>,
}

impl Plan {
    fn add(&mut self, image: &SavedImage) -> Result<()> {
        let manifest = Manifest::parse(&image.manifest)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            self.blobs.entry(blob.digest).or_insert(Part::Blob(blob.size));
        }
        let digest = Digest::of(&image.manifest);
        self.blobs.insert(digest, Part::Bytes(image.manifest.clone()));

        let plain = Descriptor::new(manifest.media_type(), digest, image.manifest.len() as u64);
        let names: BTreeSet<_> = image.names.iter().filter_map(|name| Some((name, name.tag.as_ref()?))).collect();
        for (name, tag) in &names {
            let annotations = [(NAME_ANNOTATION, name.to_string()), (REF_NAME_ANNOTATION, (*tag).clone())];
            let annotations = annotations.map(|(key, value)| (key.to_owned(), value)).into();
            self.descriptors.push(Descriptor { annotations, ..plain.clone() });
        }
        if names.is_empty() {
            self.descriptors.push(plain);
        }
        self.docker.push(DockerImage {
            config: format!("{BLOBS}{}", manifest.config.digest.hex()),
            repo_tags: names.iter().map(|(name, _)| name.familiar()).collect(),
            layers: manifest.layers.iter().map(|layer| format!("{BLOBS}{}", layer.digest.hex())).collect(),
        });
        Ok(())
    }
}

struct Archive<W> {
    out: W,
}

impl<W: Write> Archive<W> {
    fn header(&mut self, kind: u8, name: &str, mode: u32, size: u64) -> Result<()> {
        let mut bytes = Vec::new();
        let meta = Meta { mode, ..Meta::default() };
        append_header(
            &mut bytes,
            &Header { kind, path: name.as_bytes(), link: b"", meta: &meta, size, device: (0, 0) },
        )?;
        self.write(&bytes)
    }

    fn directory(&mut self, name: &str) -> Result<()> {
        self.header(b'5', name, 0o755, 0)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let size = bytes.len() as u64;
        self.header(b'0', name, 0o644, size)?;
        self.write(bytes)?;
        self.write(&END[..padding(size)])
    }

    /// A file whose content is checked as it goes by.
    fn blob(&mut self, name: &str, digest: &Digest, content: impl Read, size: u64) -> Result<()> {
        self.header(b'0', name, 0o644, size)?;
        let (found, _) = copy_digesting(&mut content.take(size), &mut self.out).map_err(|error| match error {
            CopyError::Read(source) => Error::At { action: "read", path: name.to_owned(), source },
            CopyError::Write(source) => Error::Io { action: "write the archive", source },
        })?;
        if found != *digest {
            return Err(Error::DamagedBlob { digest: *digest, found });
        }
        self.write(&END[..padding(size)])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io("write the archive"))
    }

    fn finish(mut self) -> Result<()> {
        self.write(&END)?;
        self.out.flush().map_err(Error::io("write the archive"))
    }
}
