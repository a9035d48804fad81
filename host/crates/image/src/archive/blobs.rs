//! The blobs of an archive, found by name or digest and given to the sink when an image needs them.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kiln_types::{Digest, paths};

use super::members::{Files, named_digest};
use super::{BLOBS, BlobSink};
use crate::compress::{Compression, MAGIC_LENGTH};
use crate::config::MAX_DOCUMENT;
use crate::content::Content;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Manifest};

const MAX_LINKS: usize = 8;
/// Most bytes of manifests and configurations, each counted as often as something leads to it.
const MAX_DOCUMENTS: u64 = 128 << 20;
/// Most blobs that are read at once: each has some buffers and two threads.
const MAX_AT_ONCE: usize = 8;

/// A blob that the sink has, as it was found to be.
#[derive(Clone, Copy)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) compression: Compression,
}

pub(super) enum Place {
    Kept(Blob),
    /// Not read yet.
    There(Content),
}

pub(super) struct Blobs<'a> {
    places: HashMap<Vec<u8>, Place>,
    links: HashMap<Vec<u8>, Vec<u8>>,
    sink: &'a dyn BlobSink,
    /// Bytes of documents that may still be read.
    allowance: u64,
}

impl<'a> Blobs<'a> {
    pub(super) fn new(files: Files, sink: &'a dyn BlobSink) -> Self {
        Self { places: files.blobs, links: files.links, sink, allowance: MAX_DOCUMENTS }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.find(&name_of(digest)).is_some()
    }

    /// The file of that name; one that was not read yet is kept now.
    pub(super) fn named(&mut self, name: &str) -> Result<Blob> {
        self.keep_all([name.to_owned()])?;
        self.kept(name).ok_or_else(|| missing(name))
    }

    /// The blob that a descriptor describes, if it is in the archive and as long as that says.
    fn described(&mut self, what: &'static str, descriptor: &Descriptor) -> Result<Blob> {
        let digest = descriptor.digest;
        let name = name_of(&digest);
        if self.find(&name).is_none() {
            return Err(Error::IncompleteArchive { what, digest });
        }
        let blob = self.named(&name)?;
        // The name of a link promises nothing.
        if blob.digest != digest {
            return Err(wrong_digest(&name, &blob.digest));
        }
        if blob.size != descriptor.size {
            let reason = format!("blob {digest} has {} bytes, its descriptor says {}", blob.size, descriptor.size);
            return Err(Error::Archive { reason });
        }
        Ok(blob)
    }

    /// A document that a descriptor leads to.
    pub(super) fn document(&mut self, what: &'static str, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.size > MAX_DOCUMENT {
            return Err(Error::Json { what, reason: format!("it is longer than {MAX_DOCUMENT} bytes") });
        }
        self.described(what, descriptor)?;
        self.read(&descriptor.digest)
    }

    pub(super) fn read(&mut self, digest: &Digest) -> Result<Vec<u8>> {
        let bytes = self.sink.read(digest, MAX_DOCUMENT)?;
        match self.allowance.checked_sub(bytes.len() as u64) {
            Some(left) => self.allowance = left,
            None => return Err(Error::Archive { reason: "its documents are too long".to_owned() }),
        }
        Ok(bytes)
    }

    /// Has the sink keep all files of those names, several at once.
    pub(super) fn keep_all(&mut self, names: impl IntoIterator<Item = String>) -> Result<()> {
        let mut wanted = BTreeSet::new();
        for name in names {
            let path = self.find(&name).ok_or_else(|| missing(&name))?;
            if matches!(self.places.get(path), Some(Place::There(_))) {
                wanted.insert(path.to_vec());
            }
        }
        let wanted: Vec<Vec<u8>> = wanted.into_iter().collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut kept = Vec::new();
            while let Some(path) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(Place::There(content)) = self.places.get(path) else { continue };
                let opened = content.open().map_err(Error::at("read", path));
                let result = opened.and_then(|mut input| keep(&mut input, content.size(), path, self.sink));
                if result.is_err() {
                    next.store(wanted.len(), Ordering::Relaxed);
                }
                kept.push((path, result));
            }
            kept
        };
        let workers = thread::available_parallelism().map_or(2, usize::from).min(MAX_AT_ONCE).min(wanted.len());
        let kept = match workers {
            0 | 1 => work(),
            _ => thread::scope(|scope| {
                let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
                let kept = workers.into_iter().map(|worker| worker.join().expect("reading blobs does not panic"));
                kept.flatten().collect()
            }),
        };
        for (path, blob) in kept {
            self.places.insert(path.clone(), Place::Kept(blob?));
        }
        Ok(())
    }

    /// All layers of an image are there, and what its configuration says.
    pub(super) fn check_layers(&mut self, manifest: &Manifest, diff_ids: &[Digest]) -> Result<()> {
        let layers: Vec<_> =
            manifest.layers.iter().map(|layer| self.described("layer", layer)).collect::<Result<_>>()?;
        check_layers(&layers, diff_ids)
    }

    fn kept(&self, name: &str) -> Option<Blob> {
        match self.places.get(self.find(name)?)? {
            Place::Kept(blob) => Some(*blob),
            Place::There(_) => None,
        }
    }

    /// The path of a file, through the links of old archives.
    fn find(&self, name: &str) -> Option<&[u8]> {
        let clean = paths::clean(name);
        let mut path = self.places.get_key_value(&clean).map(|(path, _)| path);
        let mut target = self.links.get(&clean);
        for _ in 0..MAX_LINKS {
            let Some(at) = target.filter(|_| path.is_none()) else { break };
            path = self.places.get_key_value(at).map(|(path, _)| path);
            target = self.links.get(at);
        }
        path.map(Vec::as_slice)
    }
}

/// As many layers as the configuration has, and those that are not compressed are what it says. The others are looked at
/// when they are first decompressed.
pub(super) fn check_layers(layers: &[Blob], diff_ids: &[Digest]) -> Result<()> {
    if layers.len() != diff_ids.len() {
        let reason = format!("an image has {} layers, but its configuration {}", layers.len(), diff_ids.len());
        return Err(Error::Archive { reason });
    }
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        if layer.compression == Compression::None && layer.digest != *diff_id {
            let reason = format!("its image names the layer {diff_id}, but what it holds is {}", layer.digest);
            return Err(Error::DamagedArchive { reason });
        }
    }
    Ok(())
}

pub(super) fn name_of(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

fn missing(name: &str) -> Error {
    Error::Archive { reason: format!("it has no file `{name}`, which manifest.json names") }
}

fn wrong_digest(name: &str, found: &Digest) -> Error {
    Error::DamagedArchive { reason: format!("the content of `{name}` has the digest {found}") }
}

/// Gives a file of `size` bytes to the sink.
pub(super) fn keep(content: &mut dyn Read, size: u64, path: &[u8], sink: &dyn BlobSink) -> Result<Blob> {
    let expected = named_digest(path);
    let mut content = Peek { input: content, beginning: Vec::new(), failure: None };
    let kept = sink.blob(&mut content, size, expected.as_ref());
    if let Some(failure) = content.failure {
        return Err(Error::io("read the archive")(failure));
    }
    let (digest, kept) = kept?;
    if expected.is_some_and(|expected| expected != digest) {
        return Err(wrong_digest(&String::from_utf8_lossy(path), &digest));
    }
    if kept != size {
        return Err(Error::entry(path, "it was not read to its end"));
    }
    Ok(Blob { digest, size, compression: Compression::detect(&content.beginning) })
}

/// Keeps the first bytes that are read, and the failure to read: whoever reads may tell it in other words.
struct Peek<'a> {
    input: &'a mut dyn Read,
    beginning: Vec<u8>,
    failure: Option<io::Error>,
}

impl Read for Peek<'_> {
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
