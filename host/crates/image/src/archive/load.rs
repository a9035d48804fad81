//! Loads images: documents first, then what they lead to; at last every layer is kept and checked.

use std::fs::File;
use std::io::{Read, Seek as _};
use std::path::Path;
use std::sync::Arc;

use kiln_types::{Digest, Reference};

use super::blobs::{Blobs, name_of};
use super::docker::DockerImage;
use super::members::{Files, NOT_LOADED_BUT_IMPORTED};
use super::{BlobSink, LoadedImage, LoadedIndex, layout};
use crate::compress::{Compression, decompressed, sniff};
use crate::error::{Error, Result};
use crate::manifest::Manifest;

/// Reads an archive of `docker save` of any age or an OCI image layout, compressed or not, in one pass.
///
/// Every file that can be a blob goes to `sink` as it comes; what no image needs is the sink's to forget, and everything
/// where this fails.
///
/// # Errors
/// Anything that is damaged, missing or not what its digest says.
pub fn load(input: impl Read + Send, sink: &dyn BlobSink) -> Result<Vec<LoadedImage>> {
    let input = decompressed(input).map_err(Error::io("read the archive"))?;
    let files = Files::of_stream(input, sink);
    files.and_then(|files| images(files, sink)).map_err(in_words_of_archives)
}

/// The same for an archive in a file. Where it is not compressed, only what images need is read, several blobs at once.
///
/// # Errors
/// As [`load`].
pub fn load_file(mut file: File, sink: &dyn BlobSink) -> Result<Vec<LoadedImage>> {
    let (compression, _) = sniff(&file).map_err(Error::io("read the archive"))?;
    file.rewind().map_err(Error::io("read the archive"))?;
    if compression != Compression::None {
        return load(file, sink);
    }
    let files = Files::of_file(&Arc::new(file));
    files.and_then(|files| images(files, sink)).map_err(in_words_of_archives)
}

/// The same for an OCI image layout in a directory.
///
/// # Errors
/// As [`load`], and where the directory is no layout.
pub fn load_directory(directory: &Path, sink: &dyn BlobSink) -> Result<Vec<LoadedImage>> {
    let files = Files::of_directory(directory);
    files.and_then(|files| images(files, sink)).map_err(in_words_of_archives)
}

/// An image whose layers were not looked at yet.
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    pub(super) manifest: Manifest,
    pub(super) diff_ids: Vec<Digest>,
}

/// What some names of an archive stand for.
pub(super) struct Entry {
    pub(super) names: Vec<Reference>,
    pub(super) tags: Vec<String>,
    pub(super) image: Image,
    pub(super) index: Option<Index>,
}

pub(super) struct Index {
    pub(super) digest: Digest,
    pub(super) others: Vec<Image>,
    /// Further blobs that belong to it, as the statements about how its images were made.
    pub(super) blobs: Vec<Digest>,
}

impl Entry {
    fn images(&self) -> impl Iterator<Item = &Image> {
        [&self.image].into_iter().chain(self.index.iter().flat_map(|index| &index.others))
    }

    fn layers(&self) -> impl Iterator<Item = &Digest> {
        let further = self.index.iter().flat_map(|index| &index.blobs);
        self.images().flat_map(|image| image.manifest.layers.iter().map(|layer| &layer.digest)).chain(further)
    }

    fn loaded(mut self) -> LoadedImage {
        let others = |index: Index| index.others.into_iter().map(|image| image.bytes).collect();
        let index = self.index.take().map(|index| LoadedIndex { digest: index.digest, others: others(index) });
        let Self { names, tags, image, .. } = self;
        LoadedImage { names, tags, config: image.manifest.config.digest, manifest: image.bytes, index }
    }
}

fn images(mut files: Files, sink: &dyn BlobSink) -> Result<Vec<LoadedImage>> {
    let (index, docker, has_repositories) = (files.index.take(), files.docker.take(), files.has_repositories);
    let docker = docker.as_deref().map(DockerImage::parse_list).transpose()?;
    let mut blobs = Blobs::new(files, sink);
    let mut entries = match &index {
        // The layout has the manifests as they were made; Docker's list may know more names.
        Some(index) => layout::load(index, &mut blobs)?,
        None if docker.is_some() => Vec::new(),
        None if has_repositories => {
            let reason = "a Docker older than 1.10 wrote it; load it with a Docker up to 24 and save it again";
            return Err(Error::Archive { reason: reason.to_owned() });
        }
        None => {
            let reason =
                if blobs.is_empty() { "it has no files" } else { "it has neither manifest.json nor index.json" };
            return Err(Error::Archive { reason: format!("{reason}; {NOT_LOADED_BUT_IMPORTED}") });
        }
    };
    let known = entries.len();
    for listed in docker.iter().flatten() {
        let config = blobs.named(&listed.config)?.digest;
        let is_of = |entry: &&mut Entry| entry.images().any(|image| image.manifest.config.digest == config);
        match entries[..known].iter_mut().find(is_of) {
            Some(entry) => entry.names.extend(listed.names()?),
            None => entries.push(listed.load(&mut blobs)?),
        }
    }
    if entries.is_empty() {
        return Err(Error::Archive { reason: "it names no image".to_owned() });
    }
    let wanted: Vec<&Digest> = entries.iter().flat_map(Entry::layers).filter(|digest| blobs.has(digest)).collect();
    blobs.keep_all(wanted.into_iter().map(name_of))?;
    for image in entries[..known].iter().flat_map(Entry::images) {
        blobs.check_layers(&image.manifest, &image.diff_ids)?;
    }
    for entry in &mut entries {
        entry.names.sort();
        entry.names.dedup();
    }
    Ok(entries.into_iter().map(Entry::loaded).collect())
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
