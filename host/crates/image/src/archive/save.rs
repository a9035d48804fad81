//! Writes an archive, or the same files into a directory: streaming, and the same bytes for the same images.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

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
    Plan::of(images)?.write(blobs, format, &mut Archive { out })
}

/// Writes images as an OCI image layout into a directory, which is made if need be. In one that already is a layout the
/// index is replaced, and blobs of other images stay.
///
/// # Errors
/// The directory holds something else, or a blob is missing or damaged: the index does not name the images then.
pub fn save_directory(images: &[SavedImage], blobs: &dyn BlobSource, directory: &Path) -> Result<()> {
    Plan::of(images)?.write(blobs, ArchiveFormat::Oci, &mut Folder::open(directory)?)
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
    fn of(images: &[SavedImage]) -> Result<Self> {
        let mut plan = Self::default();
        images.iter().try_for_each(|image| plan.add(image))?;
        Ok(plan)
    }

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

    fn write(self, blobs: &dyn BlobSource, format: ArchiveFormat, out: &mut dyn Out) -> Result<()> {
        out.directory("blobs/")?;
        out.directory(BLOBS)?;
        for (digest, part) in &self.blobs {
            let name = format!("{BLOBS}{}", digest.hex());
            match part {
                Part::Bytes(bytes) => out.file(&name, bytes)?,
                Part::Blob(size) => out.blob(&name, digest, &mut blobs.open(digest)?, *size)?,
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

/// Where the files go.
trait Out {
    fn directory(&mut self, name: &str) -> Result<()>;
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()>;
    /// A file whose content is checked as it goes by.
    fn blob(&mut self, name: &str, digest: &Digest, content: &mut dyn Read, size: u64) -> Result<()>;
    fn finish(&mut self) -> Result<()>;
}

struct Folder<'a>(&'a Path);

impl<'a> Folder<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let io = |source| Error::HostPath { action: "read", path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let is_empty = fs::read_dir(path).map_err(io)?.next().is_none();
        if !is_empty && !path.join("oci-layout").exists() {
            return Err(Error::NotALayout { path: path.to_owned() });
        }
        Ok(Self(path))
    }

    fn put(&self, name: &str, write: impl FnOnce(&mut fs::File) -> Result<()>) -> Result<()> {
        let path = self.0.join(name);
        let failure = |source| Error::HostPath { action: "write", path: path.clone(), source };
        let folder = path.parent().unwrap_or(self.0);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.prefix(".kiln-").tempfile_in(folder).map_err(failure)?;
        write(file.as_file_mut())?;
        file.persist(&path).map_err(|error| failure(error.error))?;
        Ok(())
    }
}

impl Out for Folder<'_> {
    fn directory(&mut self, name: &str) -> Result<()> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).map_err(|source| Error::HostPath { action: "make", path, source })
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(name, |file| file.write_all(bytes).map_err(Error::io("write the layout")))
    }

    fn blob(&mut self, name: &str, digest: &Digest, content: &mut dyn Read, size: u64) -> Result<()> {
        self.put(name, |file| copy_checked(name, digest, content, size, file))
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn copy_checked(
    name: &str,
    digest: &Digest,
    content: &mut dyn Read,
    size: u64,
    out: &mut (impl Write + ?Sized),
) -> Result<()> {
    let (found, _) = copy_digesting(&mut content.take(size), out).map_err(|error| match error {
        CopyError::Read(source) => Error::At { action: "read", path: name.to_owned(), source },
        CopyError::Write(source) => Error::Io { action: "write the archive", source },
    })?;
    if found == *digest { Ok(()) } else { Err(Error::DamagedBlob { digest: *digest, found }) }
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

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io("write the archive"))
    }
}

impl<W: Write> Out for Archive<W> {
    fn directory(&mut self, name: &str) -> Result<()> {
        self.header(b'5', name, 0o755, 0)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let size = bytes.len() as u64;
        self.header(b'0', name, 0o644, size)?;
        self.write(bytes)?;
        self.write(&END[..padding(size)])
    }

    fn blob(&mut self, name: &str, digest: &Digest, content: &mut dyn Read, size: u64) -> Result<()> {
        self.header(b'0', name, 0o644, size)?;
        copy_checked(name, digest, content, size, &mut self.out)?;
        self.write(&END[..padding(size)])
    }

    fn finish(&mut self) -> Result<()> {
        self.write(&END)?;
        self.out.flush().map_err(Error::io("write the archive"))
    }
}
