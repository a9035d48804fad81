//! Writes an archive, or the same files into a directory: streaming, and the same bytes for the same images.

mod folder;
mod tar;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;

use kiln_types::{Digest, Reference};

use super::docker::DockerImage;
use super::{ArchiveFormat, BLOBS, BlobSource, NAME_ANNOTATION, REF_NAME_ANNOTATION, SavedImage, SavedIndex};
use crate::digesting::{CopyError, copy, copy_digesting};
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Manifest, ManifestList};
use folder::Folder;
use tar::Archive;

/// Writes images with all that belongs to them.
///
/// # Errors
/// A blob is missing or damaged: what was written by then is no archive.
pub fn save(images: &[SavedImage], blobs: &dyn BlobSource, format: ArchiveFormat, out: impl Write) -> Result<()> {
    Plan::of(images, format)?.write(blobs, format, Archive { out })
}

/// Writes images as an OCI image layout into a directory, which is made if need be. One that already is a layout keeps
/// what it has under other names.
///
/// # Errors
/// The directory holds something else, or a blob is missing or damaged: the images are not in the layout then.
pub fn save_directory(images: &[SavedImage], blobs: &dyn BlobSource, directory: &Path) -> Result<()> {
    let mut plan = Plan::of(images, ArchiveFormat::Oci)?;
    let (folder, known) = Folder::open(directory)?;
    plan.join(known);
    plan.write(blobs, ArchiveFormat::Oci, folder)
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
    fn of(images: &[SavedImage], format: ArchiveFormat) -> Result<Self> {
        let mut plan = Self::default();
        for image in images {
            let (plain, manifest) = plan.manifest(&image.manifest)?;
            match image.index.as_ref().filter(|_| format == ArchiveFormat::Oci) {
                Some(index) => {
                    let plain = plan.index(index)?;
                    plan.name(&plain, &image.names);
                }
                None => plan.name(&plain, &image.names),
            }
            plan.docker.push(DockerImage {
                config: format!("{BLOBS}{}", manifest.config.digest.hex()),
                repo_tags: tags(&image.names).map(|(name, _)| name.familiar()).collect(),
                layers: manifest.layers.iter().map(|layer| format!("{BLOBS}{}", layer.digest.hex())).collect(),
            });
        }
        Ok(plan)
    }

    fn manifest(&mut self, bytes: &[u8]) -> Result<(Descriptor, Manifest)> {
        let manifest = Manifest::parse(bytes)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            self.blobs.entry(blob.digest).or_insert(Part::Blob(blob.size));
        }
        Ok((self.document(manifest.media_type(), bytes), manifest))
    }

    fn index(&mut self, index: &SavedIndex) -> Result<Descriptor> {
        for manifest in &index.manifests {
            self.manifest(manifest)?;
        }
        for index in &index.within {
            self.document(ManifestList::parse(index)?.media_type(), index);
        }
        Ok(self.document(ManifestList::parse(&index.bytes)?.media_type(), &index.bytes))
    }

    fn document(&mut self, media_type: String, bytes: &[u8]) -> Descriptor {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest, Part::Bytes(bytes.to_vec()));
        Descriptor::new(media_type, digest, bytes.len() as u64)
    }

    fn name(&mut self, plain: &Descriptor, names: &[Reference]) {
        let mut named = false;
        for (name, tag) in tags(names) {
            let annotations = [(NAME_ANNOTATION, name.to_string()), (REF_NAME_ANNOTATION, tag.to_owned())];
            let annotations = annotations.map(|(key, value)| (key.to_owned(), value)).into();
            self.descriptors.push(Descriptor { annotations, ..plain.clone() });
            named = true;
        }
        if !named {
            self.descriptors.push(plain.clone());
        }
    }

    /// Keeps what a layout has besides the images of this plan.
    fn join(&mut self, known: Vec<Descriptor>) {
        let called = |descriptor: &Descriptor| {
            let annotation = |key| descriptor.annotations.get(key).cloned();
            annotation(NAME_ANNOTATION).or_else(|| annotation(REF_NAME_ANNOTATION))
        };
        let replaced = |old: &Descriptor| {
            self.descriptors.iter().any(|new| match called(old) {
                Some(name) => called(new) == Some(name),
                None => new.digest == old.digest,
            })
        };
        let mut descriptors: Vec<_> = known.into_iter().filter(|old| !replaced(old)).collect();
        descriptors.append(&mut self.descriptors);
        self.descriptors = descriptors;
    }

    fn write(self, blobs: &dyn BlobSource, format: ArchiveFormat, mut out: impl Out) -> Result<()> {
        out.directory("blobs/")?;
        out.directory(BLOBS)?;
        for (digest, part) in &self.blobs {
            let name = format!("{BLOBS}{}", digest.hex());
            match part {
                Part::Bytes(bytes) => out.file(&name, bytes)?,
                Part::Blob(size) => {
                    let expected = (!blobs.vouches_for(digest, *size)).then_some(digest);
                    out.blob(&name, expected, &mut blobs.open(digest)?, *size)?;
                }
            }
        }
        out.file("index.json", &ManifestList::new(self.descriptors).to_json())?;
        if format == ArchiveFormat::Docker {
            out.file("manifest.json", &DockerImage::list_to_json(&self.docker))?;
        }
        out.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        out.finish()
    }
}

/// Names with their tags, sorted; those without one are left out.
fn tags(names: &[Reference]) -> impl Iterator<Item = (&Reference, &str)> {
    let names: BTreeSet<_> = names.iter().filter_map(|name| Some((name, name.tag.as_deref()?))).collect();
    names.into_iter()
}

/// Where the files go.
trait Out {
    fn directory(&mut self, name: &str) -> Result<()>;
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()>;
    /// A file whose content is checked as it goes by, where it is not known to be right.
    fn blob(&mut self, name: &str, expected: Option<&Digest>, content: &mut dyn Read, size: u64) -> Result<()>;
    fn finish(self) -> Result<()>;
}

fn copy_blob(
    name: &str,
    expected: Option<&Digest>,
    content: &mut dyn Read,
    size: u64,
    out: &mut (impl Write + ?Sized),
) -> Result<()> {
    let content = &mut content.take(size);
    let unread = |source| Error::At { action: "read", path: name.to_owned(), source };
    let copied = match expected {
        Some(digest) => copy_digesting(content, out).map(|(found, size)| (Some((digest, found)), size)),
        None => copy(content, out).map(|size| (None, size)),
    };
    match copied {
        Ok((Some((digest, found)), _)) if found != *digest => Err(Error::DamagedBlob { digest: *digest, found }),
        Ok((_, copied)) if copied != size => Err(unread(io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => Ok(()),
        Err(CopyError::Read(source)) => Err(unread(source)),
        Err(CopyError::Write(source)) => Err(Error::Io { action: "write the archive", source }),
    }
}
