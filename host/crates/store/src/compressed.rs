//! Compressed forms of the layers that were made here, for registries and archives: `layers/<diff id>.gzip` or `.zstd`
//! names the blob.
//!
//! One is made when it is first asked for, by an encoder whose bytes depend on the layer only, and kept as long as the
//! layer is. Layers that came compressed go as they came.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use kiln_image::compress::MAGIC_LENGTH;
use kiln_image::manifest::layer_media_type;
use kiln_image::{Compression, Descriptor, Manifest, compress};
use kiln_types::{Digest, Hasher};

use crate::files::{self, Durability};
use crate::growing::{Growing, Telling};
use crate::locks::LockFile;
use crate::{Error, Result, Store};

/// How often is looked whether another process has finished.
const TICK: Duration = Duration::from_millis(50);
/// The forms that are kept, and what the files that name them end with.
const FORMS: [(Compression, &str); 2] = [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")];

impl Store {
    /// The manifest of an image for those who want compressed layers. What was received stays as it is; an image that
    /// was made here has its layers in that form, which are among the blobs afterwards. For `told` see
    /// [`Store::layer_form`].
    pub fn compressed_manifest(
        &self,
        id: &Digest,
        compression: Compression,
        told: &(dyn Fn(u64, u64) -> io::Result<()> + Sync),
    ) -> Result<Vec<u8>> {
        let (_, bytes) = self.manifest(id)?;
        self.compressed(bytes, compression, told)
    }

    /// The same for a manifest that an index lists.
    pub fn compressed(
        &self,
        bytes: Vec<u8>,
        compression: Compression,
        told: &(dyn Fn(u64, u64) -> io::Result<()> + Sync),
    ) -> Result<Vec<u8>> {
        let mut manifest = Manifest::parse(&bytes)?;
        if !self.is_of_this_store(&manifest)? {
            return Ok(bytes);
        }
        for layer in &mut manifest.layers {
            *layer = self.layer_form(&layer.digest, compression, told, None)?;
        }
        Ok(manifest.to_json())
    }

    /// Whether an image was made here, so that the forms of its layers are ours to choose.
    pub fn is_made_here(&self, id: &Digest) -> Result<bool> {
        let (_, bytes) = self.manifest(id)?;
        self.is_of_this_store(&Manifest::parse(&bytes)?)
    }

    /// Whether a manifest is one that this store made of an image that was made here.
    pub fn is_of_this_store(&self, manifest: &Manifest) -> Result<bool> {
        let Some(record) = self.load_record(&manifest.config.digest)? else { return Ok(false) };
        Ok(says_nothing_else(manifest, &record.parse_config()?.rootfs.diff_ids))
    }

    /// A layer as others shall have it, which is among the blobs then: as it was received, if it was, else in that form.
    /// `told` hears how many bytes of how many are compressed, and may end it. One that has to be made can be read while
    /// it grows; whoever wants that says when it ends.
    pub fn layer_form(
        &self,
        diff_id: &Digest,
        compression: Compression,
        told: &(dyn Fn(u64, u64) -> io::Result<()> + Sync),
        growing: Option<&Growing>,
    ) -> Result<Descriptor> {
        let received = |source: &Digest| source != diff_id && self.has_blob(source);
        if let Some(source) = self.sources(diff_id)?.verified.into_iter().find(received) {
            return self.describe(&source);
        }
        let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == compression) else {
            self.layer(diff_id)?;
            return self.describe(diff_id);
        };
        if let Some(blob) = self.known_form(diff_id, form)? {
            return self.describe(&blob);
        }
        let path = self.lock_path(form, diff_id)?;
        let failed = |source| self.io("lock", &path, source);
        let _making = loop {
            if let Some(lock) = LockFile::try_acquire(path.clone()).map_err(failed)? {
                break lock;
            }
            // Another process makes it, which takes a while: this one can be ended meanwhile.
            told(0, 0).map_err(failed)?;
            std::thread::sleep(TICK);
        };
        match self.known_form(diff_id, form)? {
            Some(blob) => self.describe(&blob),
            None => self.describe(&self.make_form(diff_id, compression, form, told, growing)?),
        }
    }

    /// The blobs with compressed forms of a layer, as far as they were made.
    pub(crate) fn known_forms(&self, diff_id: &Digest) -> Result<Vec<Digest>> {
        FORMS.iter().filter_map(|(_, form)| self.known_form(diff_id, form).transpose()).collect()
    }

    /// The files that name them.
    pub(crate) fn form_paths(&self, diff_id: &Digest) -> [PathBuf; 2] {
        FORMS.map(|(_, form)| self.form_path(diff_id, form))
    }

    /// Whether a file beside a layer's index with that ending names one.
    pub(crate) fn is_form(ending: &str) -> bool {
        FORMS.iter().any(|(_, form)| *form == ending)
    }

    fn known_form(&self, diff_id: &Digest, form: &str) -> Result<Option<Digest>> {
        let path = self.form_path(diff_id, form);
        let bytes = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
        let blob = bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.trim_end().parse().ok());
        Ok(blob.filter(|blob| self.has_blob(blob)))
    }

    fn make_form(
        &self,
        diff_id: &Digest,
        compression: Compression,
        form: &str,
        told: &(dyn Fn(u64, u64) -> io::Result<()> + Sync),
        growing: Option<&Growing>,
    ) -> Result<Digest> {
        // It may have to be decompressed first.
        let total = self.layer(diff_id)?.size;
        let input = self.open_blob(diff_id)?;
        let hasher = (!self.is_sealed(&input, total)).then(Hasher::new);
        let mut tar = Checked { input, hasher, done: 0, total, told };
        let mut writer = self.writer()?;
        if let Some(growing) = growing {
            growing.begin(writer.reopen()?);
        }
        let out = Telling { out: &mut writer, growing };
        let compressed = match compression {
            Compression::Zstd => compress::zstd(&mut tar, out),
            _ => compress::gzip(&mut tar, out),
        };
        compressed.map_err(|source| self.io("compress", &self.blob_path(diff_id), source))?;
        if tar.hasher.is_some_and(|hasher| hasher.finish() != *diff_id) {
            return Err(self.remove_damaged(diff_id));
        }
        let blob = writer.finish()?;
        self.write_file(&self.form_path(diff_id, form), format!("{blob}\n").as_bytes(), Durability::WhenNeeded)?;
        Ok(blob)
    }

    fn describe(&self, blob: &Digest) -> Result<Descriptor> {
        let path = self.blob_path(blob);
        let read = || -> io::Result<(Compression, u64)> {
            let mut file = File::open(&path)?;
            let mut beginning = Vec::with_capacity(MAGIC_LENGTH);
            (&mut file).take(MAGIC_LENGTH as u64).read_to_end(&mut beginning)?;
            Ok((Compression::detect(&beginning), file.metadata()?.len()))
        };
        match read() {
            Ok((compression, size)) => Ok(Descriptor::new(layer_media_type(compression), *blob, size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::MissingBlob { digest: *blob }),
            Err(source) => Err(self.io("read", &path, source)),
        }
    }

    fn form_path(&self, diff_id: &Digest, form: &str) -> PathBuf {
        self.derived(format!("layers/{}.{form}", diff_id.hex()))
    }
}

/// Whether the manifest says nothing but what this store says of an image that it made.
fn says_nothing_else(manifest: &Manifest, diff_ids: &[Digest]) -> bool {
    let plain = |blob: &Descriptor| Descriptor::new(&blob.media_type, blob.digest, blob.size);
    let uncompressed = layer_media_type(Compression::None);
    manifest.layers.iter().all(|layer| layer.media_type == uncompressed)
        && manifest.layers.iter().map(|layer| &layer.digest).eq(diff_ids)
        && *manifest == Manifest::new(plain(&manifest.config), manifest.layers.iter().map(plain).collect())
}

/// Digests what is read, unless it is known, and tells how far it is.
struct Checked<'a, R> {
    input: R,
    hasher: Option<Hasher>,
    done: u64,
    total: u64,
    told: &'a (dyn Fn(u64, u64) -> io::Result<()> + Sync),
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        self.done += count as u64;
        (self.told)(self.done, self.total)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;
    use crate::{Error, RemoveOptions};

    #[test]
    fn layers_are_compressed_once_and_forgotten_with_their_image() {
        let store = TestStore::new();
        let id = store.make_image(&["one", "two"], None, false);
        store.tag(&id, &"app".parse().expect("name")).expect("tag");
        let plain = store.manifest(&id).expect("manifest").1;
        let bytes = store.compressed_manifest(&id, Compression::Gzip, &|_, _| Ok(())).expect("compressed");
        let manifest = Manifest::parse(&bytes).expect("manifest");
        for (layer, plain) in manifest.layers.iter().zip(Manifest::parse(&plain).expect("manifest").layers) {
            assert_eq!(layer.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
            let blob = store.read_blob(&layer.digest, layer.size).expect("blob");
            let mut tar = Vec::new();
            Compression::Gzip.decoder(&blob[..]).expect("gzip").read_to_end(&mut tar).expect("read");
            assert_eq!(Digest::of(tar), plain.digest);
        }
        store.sync().expect("sync");
        let modified = || {
            let file = std::fs::metadata(store.blob_path(&manifest.layers[0].digest)).expect("blob");
            file.modified().expect("time")
        };
        let before = modified();
        assert_eq!(store.another().compressed_manifest(&id, Compression::Gzip, &|_, _| Ok(())).expect("again"), bytes);
        assert_eq!(modified(), before);
        assert_eq!(store.manifest(&id).expect("manifest").1, plain, "its own manifest stays");

        assert_eq!(store.collect().expect("collect").files, 0);
        files::remove_tree(&store.blob_path(&manifest.layers[0].digest)).expect("remove");
        assert_eq!(store.compressed_manifest(&id, Compression::Gzip, &|_, _| Ok(())).expect("made again"), bytes);
        store.remove_image("app", RemoveOptions::default()).expect("remove");
        store.collect().expect("collect");
        assert_eq!((store.files_below("blobs"), store.files_below("layers")), (0, 0));
    }

    #[test]
    fn damaged_layers_are_not_compressed() {
        let store = TestStore::new();
        let id = store.make_image(&["content"], None, false);
        store.sync().expect("sync");
        let diff_id = store.image(&id).expect("image").expect("there").config.rootfs.diff_ids[0];
        let size = store.read_blob(&diff_id, 1 << 20).expect("blob").len();
        files::remove_tree(&store.blob_path(&diff_id)).expect("remove");
        std::fs::write(store.blob_path(&diff_id), vec![7; size]).expect("write");
        assert!(
            matches!(store.compressed_manifest(&id, Compression::Gzip, &|_, _| Ok(())), Err(Error::DamagedBlob { digest }) if digest == diff_id)
        );
    }

    #[test]
    fn what_was_received_stays_as_it_came() {
        let store = TestStore::new();
        let id = store.make_image(&["content"], None, false);
        let mut manifest = Manifest::parse(&store.manifest(&id).expect("manifest").1).expect("manifest");
        manifest.annotations.insert("from".to_owned(), "elsewhere".to_owned());
        store.add_received(&manifest.to_json()).expect("received");
        assert_eq!(
            store.compressed_manifest(&id, Compression::Gzip, &|_, _| Ok(())).expect("manifest"),
            manifest.to_json()
        );
    }
}
