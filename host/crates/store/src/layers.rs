//! Layers: an uncompressed tar among the blobs and an index beside it.
//!
//! A received layer stays compressed until it is first needed. `layers/<diff id>.source` says which blobs decompress to
//! it: as the images say that brought them, or `verified` (`verify.rs`), with the size of what is in them. Whenever one is
//! decompressed, what comes out is believed only if it has that diff id.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use kiln_image::{Change, Header, Index, Layer, Written, compress};
use kiln_types::Digest;

use crate::durable::Early;
use crate::files::{self, Durability, TemporaryFile};
use crate::locks::LockFile;
use crate::noted::Noted;
use crate::{Error, Result, Store};

/// Beyond this many claims about one layer the oldest are forgotten.
const MAX_SOURCES: usize = 32;
/// Bytes of an index from which on it pays to note that it was checked.
const BIG_INDEX: u64 = 64 << 10;
/// Behind a blob that was decompressed, and did give the layer; the bytes of its files follow.
const VERIFIED: &str = " verified";

/// The blobs that are said to decompress to a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) all: Vec<Digest>,
    /// Those of them that are known to, and the tar itself where it was received.
    pub(crate) verified: Vec<Digest>,
    /// Bytes of the files in the layer.
    pub(crate) files_size: Option<u64>,
}

/// A layer that was written and is not yet among the others; dropped, it is gone.
pub struct UnkeptLayer {
    temporary: TemporaryFile,
    written: Written,
}

impl UnkeptLayer {
    pub fn index(&self) -> &Index {
        &self.written.index
    }
}

impl Store {
    /// Writes a change set as a layer. Whether an empty one is worth a layer is the caller's to say.
    pub fn add_layer(&self, changes: Vec<Change>) -> Result<Arc<Layer>> {
        self.keep_layer(self.write_layer(changes)?)
    }

    /// The same for one that may turn out not to be needed.
    pub fn write_layer(&self, changes: Vec<Change>) -> Result<UnkeptLayer> {
        let temporary = self.temporary_file()?;
        let out = Early::new(&temporary.file);
        let written = kiln_image::write_layer(changes, out).map_err(|error| self.image_error(error))?;
        Ok(UnkeptLayer { temporary, written })
    }

    pub fn keep_layer(&self, layer: UnkeptLayer) -> Result<Arc<Layer>> {
        let UnkeptLayer { temporary, written: Written { diff_id, size, index } } = layer;
        self.keep_blob(temporary, &diff_id, size)?;
        self.keep_index(&diff_id, &index)?;
        let tar = Arc::new(self.open_blob(&diff_id)?);
        Ok(self.remember(Layer { diff_id, size, tar, index }))
    }

    /// The layer with that diff id. A received blob is decompressed when its layer is first asked for; an index that
    /// is missing or damaged is made again.
    pub fn layer(&self, diff_id: &Digest) -> Result<Arc<Layer>> {
        if let Some(layer) = self.remembered(diff_id) {
            return Ok(layer);
        }
        if let Some(layer) = self.load_layer(diff_id)? {
            return Ok(self.remember(layer));
        }
        let path = self.lock_path("layer", diff_id)?;
        let _making = LockFile::acquire(path.clone()).map_err(|source| self.io("lock", &path, source))?;
        // Whoever had the lock before has most likely made it.
        let layer = match self.load_layer(diff_id)? {
            Some(layer) => layer,
            None => self.make_layer(diff_id)?,
        };
        Ok(self.remember(layer))
    }

    /// Reads a layer from its beginning to its end: its tar is what the diff id says, and its index is the tar's.
    ///
    /// # Errors
    /// `DamagedBlob` where it is not; tar and index are then removed, so that the layer can be made again.
    pub fn verify_layer(&self, diff_id: &Digest) -> Result<()> {
        let tar = self.open_blob(diff_id)?;
        let path = self.index_path(diff_id);
        let index = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
        let made = Index::from_tar(BufReader::with_capacity(1 << 20, &tar));
        match made {
            Ok((made, found, _))
                if found == *diff_id && index.is_none_or(|index| made.to_bytes().is_ok_and(|made| index == made)) =>
            {
                Ok(())
            }
            Err(error) if self.is_sound(&tar, diff_id)? => Err(self.image_error(error)),
            _ => {
                files::remove_tree(&path).map_err(|source| self.io("remove the damaged", &path, source))?;
                Err(self.remove_damaged(diff_id))
            }
        }
    }

    /// The content digest of a layer. Where there is an index, no more than its head is read.
    pub fn layer_content(&self, diff_id: &Digest) -> Result<Digest> {
        match self.layer_header(diff_id) {
            Some(header) => Ok(header.content_digest),
            None => Ok(self.layer(diff_id)?.index.content_digest()),
        }
    }

    /// Keeps a tar from outside, as it is, as a layer (`import`); it may be compressed.
    pub fn add_tar(&self, tar: impl Read + Send) -> Result<Arc<Layer>> {
        let layer = self.take_tar(tar, None)?;
        Ok(self.remember(layer))
    }

    /// The head of a layer's index, where there is one.
    pub(crate) fn layer_header(&self, diff_id: &Digest) -> Option<Header> {
        if let Some(layer) = self.remembered(diff_id) {
            return Some(layer.index.header());
        }
        let header = Index::read_header(File::open(self.index_path(diff_id)).ok()?).ok()?;
        (header.diff_id == *diff_id).then_some(header)
    }

    /// Notes that `blob` is said to decompress to `diff_id`.
    pub(crate) fn add_source(&self, diff_id: &Digest, blob: &Digest) -> Result<()> {
        let mut sources = self.sources(diff_id)?;
        if blob == diff_id || sources.all.contains(blob) {
            return Ok(());
        }
        // An image with a name may need what was noted before: no power loss may take it.
        let durability = if sources.all.is_empty() { Durability::Later } else { Durability::Now };
        sources.all.push(*blob);
        self.write_sources(diff_id, &sources, durability)
    }

    /// From now on its tar need not be kept.
    pub(crate) fn note_verified(&self, diff_id: &Digest, source: &Digest, files_size: u64) -> Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        let _lock = self.lock_images()?;
        let mut sources = self.sources(diff_id)?;
        if sources.files_size == Some(files_size) && sources.verified.contains(source) {
            return Ok(());
        }
        let durability = if sources.all.is_empty() { Durability::Later } else { Durability::Now };
        sources.verified.retain(|known| known != source);
        sources.verified.push(*source);
        sources.files_size = Some(files_size);
        self.write_sources(diff_id, &sources, durability)
    }

    fn write_sources(&self, diff_id: &Digest, sources: &Sources, durability: Durability) -> Result<()> {
        let newest = |all: &[Digest]| all.len().saturating_sub(MAX_SOURCES);
        let size = sources.files_size.map(|size| format!(" {size}")).unwrap_or_default();
        let verified = &sources.verified[newest(&sources.verified)..];
        let said = sources.all[newest(&sources.all)..].iter().filter(|source| !verified.contains(source));
        let verified = verified.iter().map(|source| format!("{source}{VERIFIED}{size}\n"));
        let text: String = verified.chain(said.map(|source| format!("{source}\n"))).collect();
        self.write_file(&self.source_path(diff_id), text.as_bytes(), durability)
    }

    /// Lines that are none are passed over.
    pub(crate) fn sources(&self, diff_id: &Digest) -> Result<Sources> {
        let path = self.source_path(diff_id);
        let bytes = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        let mut sources = Sources::default();
        for line in text.lines() {
            let (digest, verified) =
                line.split_once(VERIFIED).map_or((line, None), |(digest, size)| (digest, Some(size)));
            let Ok(digest) = digest.parse() else { continue };
            sources.all.push(digest);
            if let Some(size) = verified {
                sources.verified.push(digest);
                sources.files_size = sources.files_size.or(size.trim_start().parse().ok());
            }
        }
        Ok(sources)
    }

    pub(crate) fn source_path(&self, diff_id: &Digest) -> PathBuf {
        self.root().join(format!("layers/{}.source", diff_id.hex()))
    }

    pub(crate) fn index_path(&self, diff_id: &Digest) -> PathBuf {
        self.derived(format!("layers/{}", diff_id.hex()))
    }

    fn remembered(&self, diff_id: &Digest) -> Option<Arc<Layer>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).get(diff_id).map(Arc::clone)
    }

    /// Whether this process has it at hand: then nobody removes it.
    pub(crate) fn is_remembered(&self, diff_id: &Digest) -> bool {
        self.remembered(diff_id).is_some()
    }

    fn remember(&self, layer: Layer) -> Arc<Layer> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(layers.entry(layer.diff_id).or_insert_with(|| Arc::new(layer)))
    }

    /// From its tar and index; `None` where one of them is missing or not whole.
    fn load_layer(&self, diff_id: &Digest) -> Result<Option<Layer>> {
        let Some(tar) = self.find_blob(diff_id)? else { return Ok(None) };
        let path = self.index_path(diff_id);
        let Some(Ok(index)) = File::open(&path).ok().map(|file| self.read_index(file, &path)) else { return Ok(None) };
        let size = tar.metadata().map_err(|source| self.io("read", &self.blob_path(diff_id), source))?.len();
        let fits = index.diff_id() == *diff_id && index.tar_size() == size;
        Ok(fits.then(|| Layer { diff_id: *diff_id, size, tar: Arc::new(tar), index }))
    }

    /// Checking a big index takes as long as a step: it is done once.
    fn read_index(&self, file: File, path: &Path) -> kiln_image::Result<Index> {
        if file.metadata().is_ok_and(|metadata| metadata.len() < BIG_INDEX) {
            let index = Index::read(file)?;
            files::touch(path);
            return Ok(index);
        }
        let has_image = self.is_noted(&file, Noted::Image);
        let is_known = self.is_noted(&file, Noted::Records);
        let checked = if is_known { None } else { Some(Index::read(&file)?) };
        files::touch(path);
        // Using it may have changed its time, though nobody wrote to it.
        if !self.is_noted(&file, Noted::Records) {
            self.note(&file, Noted::Records);
            if has_image {
                self.note(&file, Noted::Image);
            }
        }
        match checked {
            Some(index) => Ok(index),
            None => Index::open_known(file),
        }
    }

    fn make_layer(&self, diff_id: &Digest) -> Result<Layer> {
        let mut failure = Error::MissingBlob { digest: *diff_id };
        if let Some(tar) = self.find_blob(diff_id)? {
            match Index::from_tar(BufReader::with_capacity(1 << 20, &tar)) {
                Ok((index, found, size)) if found == *diff_id => {
                    self.keep_index(diff_id, &index)?;
                    return Ok(Layer { diff_id: *diff_id, size, tar: Arc::new(tar), index });
                }
                // Where the blob is what its name says, it is the image that is broken.
                Err(error) if self.is_sound(&tar, diff_id)? => return Err(self.image_error(error)),
                _ => failure = self.remove_damaged(diff_id),
            }
        }
        for source in self.sources(diff_id)?.all {
            let Some(blob) = self.find_blob(&source)? else { continue };
            match self.take_tar(&blob, Some((&source, diff_id))) {
                Ok(layer) => {
                    self.note_verified(diff_id, &source, layer.index.files_size())?;
                    return Ok(layer);
                }
                Err(error @ (Error::Full { .. } | Error::Io { .. })) => return Err(error),
                Err(_) if !self.is_sound(&blob, &source)? => failure = self.remove_damaged(&source),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Decompresses, indexes and keeps a tar in one pass; `source` is the blob that it is, and the diff id it shall have.
    fn take_tar(&self, tar: impl Read + Send, source: Option<(&Digest, &Digest)>) -> Result<Layer> {
        let temporary = self.temporary_file()?;
        let plain = compress::decompressed(tar);
        let plain = plain.map_err(|source| self.io("read the layer for", temporary.path(), source))?;
        let mut tee = Tee { from: plain, to: io::BufWriter::with_capacity(1 << 20, &temporary.file) };
        let indexed = Index::from_tar(&mut tee);
        let (index, diff_id, size) = indexed.map_err(|error| self.image_error(error))?;
        tee.to.flush().map_err(|source| self.io("write", temporary.path(), source))?;
        drop(tee);
        if let Some((layer, expected)) = source
            && *expected != diff_id
        {
            return Err(Error::WrongLayer { layer: *layer, diff_id: *expected, found: diff_id });
        }
        self.keep_blob(temporary, &diff_id, size)?;
        self.keep_index(&diff_id, &index)?;
        Ok(Layer { diff_id, size, tar: Arc::new(self.open_blob(&diff_id)?), index })
    }

    /// Its digests tell whether it is whole, and it can always be made again: nobody waits until it is on the disk.
    pub(crate) fn keep_index(&self, diff_id: &Digest, index: &Index) -> Result<()> {
        let path = self.index_path(diff_id);
        let bytes = index.to_bytes().map_err(|error| self.image_error(error))?;
        let mut temporary = self.temporary_file()?;
        temporary.file.write_all(&bytes).map_err(|source| self.io("write", &path, source))?;
        if bytes.len() as u64 >= BIG_INDEX {
            self.note(&temporary.file, Noted::Records);
            self.note(&temporary.file, Noted::Image);
        }
        self.place(temporary, &path, Durability::WhenNeeded)
    }
}

/// Writes down what is read.
struct Tee<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.to.write_all(&buffer[..count])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kiln_image::compress::{Compression, gzip};
    use kiln_image::{Descriptor, ImageConfig, Manifest};

    use super::*;
    use crate::testing::{TestStore, one_file};

    fn compressed(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::Gzip => gzip(bytes, &mut out).expect("gzip"),
            Compression::Zstd => out = zstd::encode_all(bytes, 3).expect("zstd"),
            _ => out.extend(bytes),
        }
        out
    }

    fn tar_of(text: &str) -> (Digest, Vec<u8>) {
        let store = TestStore::new();
        let layer = store.add_layer(one_file("file", text)).expect("layer");
        (layer.diff_id, store.read_blob(&layer.diff_id, 1 << 20).expect("tar"))
    }

    fn content(layer: &Layer) -> String {
        let entry = layer.index.get(b"file").expect("whole").expect("entry");
        io::read_to_string(layer.content(&entry).open().expect("open")).expect("read")
    }

    /// Puts an image into the store as a pull would: the layer `diff_id` as the blob `layer`.
    fn receive(store: &Store, diff_id: Digest, layer: &[u8]) -> Digest {
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids.push(diff_id);
        let config = config.to_json();
        let descriptor = |media_type: &str, bytes: &[u8]| {
            Descriptor::new(media_type, store.put_blob(bytes).expect("put"), bytes.len() as u64)
        };
        let manifest = Manifest::new(descriptor("config", &config), vec![descriptor("layer", layer)]).to_json();
        let id = store.add_received(&manifest).expect("received");
        assert_eq!(store.manifest(&id).expect("manifest").1, manifest, "kept as it came");
        id
    }

    #[test]
    fn received_layers_are_decompressed_when_needed() {
        let (diff_id, tar) = tar_of("content");
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let store = TestStore::new();
            let blob = compressed(&tar, compression);
            let id = receive(&store, diff_id, &blob);
            assert_eq!(store.files_below("blobs"), 3);
            store.verify_source(&diff_id, &Digest::of(&blob), &|_, _| Ok(())).expect("verified");
            assert_eq!((store.size(&id).expect("size"), store.layer_header(&diff_id).is_none()), (7, true));
            assert_eq!(store.files_below("blobs"), 3, "nothing is written");
            assert_eq!(store.another().size(&id).expect("size"), 7);
            store.tag(&id, &"a".parse().expect("name")).expect("tag");
            assert_eq!(content(&store.layer(&diff_id).expect("layer")), "content");
            assert_eq!(store.size(&id).expect("size"), 7);
            assert_eq!(
                store.layer_content(&diff_id).expect("digest"),
                store.another().layer_content(&diff_id).expect("digest")
            );
            // Derived, so it may go and comes again.
            if compression != Compression::None {
                files::remove_tree(&store.blob_path(&diff_id)).expect("remove");
                assert_eq!(content(&store.another().layer(&diff_id).expect("layer")), "content");
            }
        }
    }

    #[test]
    fn a_layer_is_what_its_diff_id_says() {
        let ((good, tar), (_, other)) = (tar_of("good"), tar_of("other"));
        let store = TestStore::new();
        let lie = compressed(&other, Compression::Gzip);
        receive(&store, good, &lie);
        let verified = |blob: &[u8]| store.verify_source(&good, &Digest::of(blob), &|_, _| Ok(()));
        assert!(matches!(verified(&lie), Err(Error::WrongLayer { .. })));
        assert!(matches!(store.layer(&good), Err(Error::WrongLayer { .. })));
        assert!(!store.has_blob(&good));
        // An image that lies does not spoil one that does not.
        receive(&store, good, &compressed(&tar, Compression::Gzip));
        assert_eq!(content(&store.layer(&good).expect("layer")), "good");
    }

    #[test]
    fn verified_layers_are_what_was_written() {
        let store = TestStore::new();
        let other = store.add_layer(one_file("file", "another")).expect("layer").diff_id;
        let add = || store.another().add_layer(one_file("file", "content")).expect("layer").diff_id;
        let diff_id = add();
        store.verify_layer(&diff_id).expect("just written");
        store.sync().expect("sync");
        let paths = [store.blob_path(&diff_id), store.index_path(&diff_id)];
        let mut flipped = fs::read(&paths[0]).expect("read");
        flipped[600] ^= 1;
        let foreign = fs::read(store.index_path(&other)).expect("read");
        for (path, bytes) in paths.iter().zip([flipped, foreign]) {
            files::remove_tree(path).expect("remove");
            fs::write(path, bytes).expect("write");
            assert!(matches!(store.verify_layer(&diff_id), Err(Error::DamagedBlob { .. })), "{}", path.display());
            assert!(!store.has_blob(&diff_id));
            assert_eq!(add(), diff_id);
            store.verify_layer(&diff_id).expect("made again");
        }
    }

    #[test]
    fn damaged_blobs_are_told_from_bad_images() {
        let (diff_id, tar) = tar_of("content");
        let store = TestStore::new();
        let blob = compressed(&tar, Compression::Gzip);
        receive(&store, diff_id, &blob);
        store.sync().expect("sync");
        files::remove_tree(&store.blob_path(&Digest::of(&blob))).expect("remove");
        fs::write(store.blob_path(&Digest::of(&blob)), &blob[..blob.len() / 2]).expect("write");
        assert!(matches!(store.layer(&diff_id), Err(Error::DamagedBlob { .. })));
        assert!(matches!(store.layer(&diff_id), Err(Error::MissingBlob { .. })));
        store.put_blob(&blob).expect("received again");
        assert_eq!(content(&store.layer(&diff_id).expect("layer")), "content");
        // And of the tar itself.
        files::remove_tree(&store.blob_path(&diff_id)).expect("remove");
        fs::write(store.blob_path(&diff_id), &tar[..512]).expect("write");
        assert_eq!(content(&store.another().layer(&diff_id).expect("layer")), "content");
    }

    #[test]
    fn a_lost_or_damaged_index_is_made_again() {
        let store = TestStore::new();
        let layer = store.add_layer(one_file("file", "content")).expect("layer");
        store.sync().expect("sync");
        let path = store.index_path(&layer.diff_id);
        let whole = fs::read(&path).expect("read");
        let mut flipped = whole.clone();
        flipped[whole.len() - 3] ^= 1;
        for damaged in [None, Some(&b""[..]), Some(b"garbage"), Some(&whole[..whole.len() - 1]), Some(&flipped)] {
            files::remove_tree(&path).expect("remove");
            if let Some(bytes) = damaged {
                fs::write(&path, bytes).expect("write");
            }
            let again = store.another().layer(&layer.diff_id).expect("layer");
            assert_eq!((content(&again), fs::read(&path).expect("read")), ("content".to_owned(), whole.clone()));
        }
    }

    #[test]
    fn imports_any_compression_and_refuses_what_is_no_tar() {
        let (diff_id, tar) = tar_of("content");
        let store = TestStore::new();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let layer = store.add_tar(&compressed(&tar, compression)[..]).expect("import");
            assert_eq!((layer.diff_id, content(&layer)), (diff_id, "content".to_owned()));
        }
        assert!(store.add_tar(&b"not a tar at all"[..]).is_err());
        assert!(store.add_tar(&compressed(&tar, Compression::Gzip)[..40]).is_err());
        assert_eq!((store.files_below("blobs"), store.files_below("tmp")), (1, 1));
    }
}
