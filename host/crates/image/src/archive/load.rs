//! Reads an archive in one pass: blobs may come before or after the documents that name them.

use std::collections::HashMap;
use std::io::{self, Read};

use kiln_types::{Digest, paths};

use super::docker::DockerImage;
use super::{BLOBS, BlobSink, LoadedImage, layout};
use crate::compress::{Compression, MAGIC_LENGTH, sniff};
use crate::config::{ImageConfig, MAX_DOCUMENT};
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Manifest};
use crate::tar::{MemberKind, Reader, clean_name};

/// Most members of an archive; one of a thousand images with a hundred layers each has fewer.
const MAX_MEMBERS: usize = 500_000;
const MAX_LINKS: usize = 8;
const NOT_LOADED_BUT_IMPORTED: &str = "a tar of a root filesystem is imported, not loaded";

/// Reads an archive of `docker save` of any age or an OCI image layout, compressed or not.
///
/// Every file that can be a blob goes to `sink` as it comes; what no image needs is the sink's to forget, and everything
/// where this fails.
///
/// # Errors
/// Anything that is damaged, missing or not what its digest says.
pub fn load(input: impl Read + Send, sink: &mut dyn BlobSink) -> Result<Vec<LoadedImage>> {
    let (compression, input) = sniff(input).map_err(Error::io("read the archive"))?;
    let input = compression.decoder(input).map_err(Error::io("read the archive"))?;
    read_members(Reader::new(input), sink).and_then(|files| files.images(sink)).map_err(in_words_of_archives)
}

fn read_members(mut reader: Reader<impl Read>, sink: &mut dyn BlobSink) -> Result<Files> {
    let mut files = Files::default();
    while let Some(member) = reader.next()? {
        let path = clean_name(&member.path)?;
        if files.has_no_document() && member.kind != MemberKind::Directory && !may_be_of_an_image(&path) {
            let reason = format!("`{}` does not belong into one; {NOT_LOADED_BUT_IMPORTED}", paths::display(&path));
            return Err(Error::Archive { reason });
        }
        if files.blobs.len() + files.links.len() >= MAX_MEMBERS {
            return Err(Error::entry(&member.path, "the archive has too many members"));
        }
        match member.kind {
            MemberKind::File => files.take(path, member.size, reader.content(), sink)?,
            MemberKind::Symlink => {
                let target = paths::join(paths::parent(&path).unwrap_or_default(), &member.link);
                files.links.insert(path, target);
            }
            MemberKind::HardLink => drop(files.links.insert(path, clean_name(&member.link)?)),
            _ => {}
        }
    }
    Ok(files)
}

/// Whoever loads an archive knows nothing of the tar and the streams that it is made of.
fn in_words_of_archives(error: Error) -> Error {
    match error {
        Error::Tar { offset: 0, .. } => Error::Archive { reason: "it is not a tar".to_owned() },
        Error::Tar { offset, reason } => Error::DamagedArchive { reason: format!("at byte {offset}: {reason}") },
        Error::TarEntry { path, reason } => Error::Archive { reason: format!("`{path}`: {reason}") },
        Error::Json { what, reason } => Error::Archive { reason: format!("its {what} is wrong: {reason}") },
        // The decoders' own errors have no number of the system.
        Error::Io { source, .. } if source.raw_os_error().is_none() => {
            Error::DamagedArchive { reason: source.to_string() }
        }
        error => error,
    }
}

/// Could a file of this name be in an archive of images? Then the first file of most root filesystems is refused before
/// all the others have been read.
fn may_be_of_an_image(path: &[u8]) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let has_digest = path.split(|&byte| !hexadecimal(byte)).any(|digits| digits.len() == 64);
    let endings: [&[u8]; 6] = [b".json", b".tar", b".tar.gz", b".tgz", b"/VERSION", b"/json"];
    has_digest
        || path.starts_with(b"blobs/")
        || matches!(path, b"oci-layout" | b"repositories")
        || endings.iter().any(|ending| path.ends_with(ending))
}

#[derive(Clone, Copy)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) compression: Compression,
}

#[derive(Default)]
struct Files {
    index: Option<Vec<u8>>,
    docker: Option<Vec<u8>>,
    blobs: HashMap<Vec<u8>, Blob>,
    links: HashMap<Vec<u8>, Vec<u8>>,
}

impl Files {
    /// Nothing is known yet that makes it an archive of images.
    fn has_no_document(&self) -> bool {
        self.index.is_none() && self.docker.is_none()
    }

    fn take(&mut self, path: Vec<u8>, size: u64, mut content: impl Read, sink: &mut dyn BlobSink) -> Result<()> {
        let text = std::str::from_utf8(&path).unwrap_or_default();
        match text {
            "index.json" => self.index = Some(document("index.json", size, content)?),
            "manifest.json" => self.docker = Some(document("manifest.json", size, content)?),
            "oci-layout" | "repositories" => {}
            // What every layer of old archives had beside its tar.
            _ if text.ends_with("/VERSION") || text.ends_with("/json") => {}
            _ => {
                let mut content = Peek { input: &mut content, beginning: Vec::new(), failure: None };
                let kept = sink.blob(&mut content);
                if let Some(failure) = content.failure {
                    return Err(Error::io("read the archive")(failure));
                }
                let (digest, kept) = kept?;
                // Some tools add an ending to the digest.
                let expected = text.strip_prefix(BLOBS).and_then(|hex| Digest::from_hex(hex).ok());
                if expected.is_some_and(|expected| expected != digest) {
                    return Err(Error::DamagedArchive {
                        reason: format!("the content of `{text}` has the digest {digest}"),
                    });
                }
                if kept != size {
                    return Err(Error::entry(&path, "it was not read to its end"));
                }
                let compression = Compression::detect(&content.beginning);
                self.blobs.insert(path, Blob { digest, size, compression });
            }
        }
        Ok(())
    }

    fn images(self, sink: &dyn BlobSink) -> Result<Vec<LoadedImage>> {
        let Self { index, docker, blobs: files, links } = self;
        let by_digest = files.values().map(|blob| (blob.digest, *blob)).collect();
        let blobs = Blobs { files, links, by_digest, sink };
        let docker = docker.as_deref().map(DockerImage::parse_list).transpose()?;
        match (index, docker) {
            (None, None) => {
                let reason = if blobs.files.is_empty() {
                    "it has no files"
                } else {
                    "it has neither manifest.json nor index.json"
                };
                Err(Error::Archive { reason: format!("{reason}; {NOT_LOADED_BUT_IMPORTED}") })
            }
            (None, Some(docker)) => docker.iter().map(|image| image.load(&blobs)).collect(),
            // The layout has the manifests as they were made; Docker's list may know more names.
            (Some(index), docker) => {
                let mut images = layout::load(&index, &blobs)?;
                for listed in docker.iter().flatten() {
                    let config = blobs.named(&listed.config)?.digest;
                    if let Some(image) = images.iter_mut().find(|image| image.config == config) {
                        image.names.extend(listed.names()?);
                    }
                }
                for image in &mut images {
                    image.names.sort();
                    image.names.dedup();
                }
                Ok(images)
            }
        }
    }
}

/// The files of an archive that has been read.
pub(super) struct Blobs<'a> {
    files: HashMap<Vec<u8>, Blob>,
    links: HashMap<Vec<u8>, Vec<u8>>,
    by_digest: HashMap<Digest, Blob>,
    sink: &'a dyn BlobSink,
}

impl Blobs<'_> {
    /// The file of that name, through the links of old archives.
    pub(super) fn named(&self, name: &str) -> Result<Blob> {
        let mut path = paths::clean(name);
        for _ in 0..MAX_LINKS {
            if let Some(blob) = self.files.get(&path) {
                return Ok(*blob);
            }
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        Err(Error::Archive { reason: format!("it has no file `{name}`, which manifest.json names") })
    }

    pub(super) fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.sink.read(digest, MAX_DOCUMENT)
    }

    /// A document that is in the archive and as long as its descriptor says.
    pub(super) fn read_described(&self, what: &'static str, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.check(what, descriptor)?;
        self.read(&descriptor.digest)
    }

    fn check(&self, what: &'static str, descriptor: &Descriptor) -> Result<Blob> {
        let digest = descriptor.digest;
        let blob = self.by_digest.get(&digest).ok_or(Error::IncompleteArchive { what, digest })?;
        if blob.size != descriptor.size {
            let reason = format!("blob {digest} has {} bytes, its descriptor says {}", blob.size, descriptor.size);
            return Err(Error::Archive { reason });
        }
        Ok(*blob)
    }

    /// All layers are there, as many as the configuration has, and those that are not compressed are what it says.
    pub(super) fn check_layers(&self, manifest: &Manifest, config: &ImageConfig) -> Result<()> {
        let diff_ids = &config.rootfs.diff_ids;
        if manifest.layers.len() != diff_ids.len() {
            let reason =
                format!("an image has {} layers, but its configuration {}", manifest.layers.len(), diff_ids.len());
            return Err(Error::Archive { reason });
        }
        for (layer, &diff_id) in manifest.layers.iter().zip(diff_ids) {
            let blob = self.check("layer", layer)?;
            if blob.compression == Compression::None && blob.digest != diff_id {
                let reason = format!("its image has the layer {diff_id}, but it the layer {}", blob.digest);
                return Err(Error::DamagedArchive { reason });
            }
        }
        Ok(())
    }
}

fn document(what: &'static str, size: u64, mut content: impl Read) -> Result<Vec<u8>> {
    if size > MAX_DOCUMENT {
        return Err(Error::Json { what, reason: format!("it is longer than {MAX_DOCUMENT} bytes") });
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(Error::io("read the archive"))?;
    Ok(bytes)
}

/// Keeps the first bytes that are read, and the failure to read: whoever reads may tell it in other words.
struct Peek<R> {
    input: R,
    beginning: Vec<u8>,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Peek<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.input.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let copy = io::Error::from(error.kind());
                self.failure = Some(error);
                return Err(copy);
            }
            read => read?,
        };
        let missing = MAGIC_LENGTH - self.beginning.len();
        self.beginning.extend_from_slice(&buffer[..read.min(missing)]);
        Ok(read)
    }
}
