//! Images: `images/by-id/<hex>.json`, one record each.
//!
//! A record holds the config's very bytes, so the digest in its name vouches for it, and an intermediate image is one
//! small file, or has a part of one (series.rs). The config and the manifest of an image made here become blobs when somebody asks for them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kiln_image::config::MAX_DOCUMENT;
use kiln_image::manifest::layer_media_type;
use kiln_image::{Compression, Descriptor, ImageConfig, Manifest};
use kiln_types::Digest;
use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};
use crate::{Error, Result, Store, locks, series};

const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// An image as it was found. Its id is the digest of its config's bytes.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: Digest,
    pub config: ImageConfig,
    /// The image it was built on in this store.
    pub parent: Option<Digest>,
    /// Made by a step that was not the last one of its build.
    pub intermediate: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) config: String,
    pub(crate) manifest: Option<Descriptor>,
    pub(crate) parent: Option<Digest>,
    pub(crate) intermediate: bool,
}

impl Record {
    pub(crate) fn parse_config(&self) -> Result<ImageConfig> {
        Ok(ImageConfig::parse(self.config.as_bytes())?)
    }
}

impl Store {
    /// Keeps an image that was made here (built, committed, imported). Its layers (`rootfs.diff_ids`) are in the store.
    /// An intermediate image costs one small file, and nothing at all where it exists.
    pub fn add_image(&self, config: &ImageConfig, parent: Option<&Digest>, intermediate: bool) -> Result<Digest> {
        let config_bytes = config.to_json();
        let id = Digest::of(&config_bytes);
        let path = self.record_path(&id);
        if intermediate && self.note_use(&id) {
            return Ok(id);
        }
        self.check_layers(config)?;
        // What could not be read again would be in everybody's way.
        ImageConfig::parse(&config_bytes)?;
        let lock = self.lock_images()?;
        if self.load_record(&id)?.is_none() {
            let config = text_of(config_bytes)?;
            let record = Record { config, manifest: None, parent: parent.copied(), intermediate };
            let durability = if intermediate { Durability::WhenNeeded } else { Durability::Later };
            self.write_json(&path, &record, durability)?;
        } else if !intermediate {
            files::touch(&path);
            drop(lock);
            self.promote(&id)?;
        }
        Ok(id)
    }

    /// Notes that an image was used. Whether it is there.
    pub(crate) fn note_use(&self, id: &Digest) -> bool {
        // After a power loss an empty file may be left.
        files::touch(&self.record_path(id)).is_some_and(|metadata| metadata.len() > 0)
    }

    /// An image is nothing without its layers.
    pub(crate) fn check_layers(&self, config: &ImageConfig) -> Result<()> {
        for diff_id in &config.rootfs.diff_ids {
            if !self.is_remembered(diff_id) && self.layer_blobs(diff_id)?.is_empty() {
                return Err(Error::MissingBlob { digest: *diff_id });
            }
        }
        Ok(())
    }

    /// Keeps an image as it was received (pulled, loaded). Its config and layers are in the store as blobs already, and
    /// `verify_source` or an intake has looked at them.
    pub fn add_received(&self, manifest: &[u8]) -> Result<Digest> {
        let parsed = Manifest::parse(manifest)?;
        let id = parsed.config.digest;
        let config_bytes = self.read_blob(&id, MAX_DOCUMENT)?;
        let config = ImageConfig::parse(&config_bytes)?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != parsed.layers.len() {
            let reason = format!("its config names {} layers, its manifest {}", diff_ids.len(), parsed.layers.len());
            return Err(Error::InvalidImage { reason });
        }
        let _lock = self.lock_images()?;
        for (diff_id, layer) in diff_ids.iter().zip(&parsed.layers) {
            if !self.has_blob(&layer.digest) {
                return Err(Error::MissingBlob { digest: layer.digest });
            }
            self.add_source(diff_id, &layer.digest)?;
        }
        let digest = self.put_blob(manifest)?;
        let descriptor = Descriptor::new(parsed.media_type(), digest, manifest.len() as u64);
        let known = self.load_record(&id)?;
        let parent = known.as_ref().and_then(|record| record.parent);
        let config = text_of(config_bytes)?;
        let record = Record { config, manifest: Some(descriptor), parent, intermediate: false };
        if known.as_ref() != Some(&record) {
            // A record that exists may have a name already, which must lead to nothing that is not durable.
            let durability = if known.is_some() { Durability::Now } else { Durability::Later };
            if known.is_some() {
                self.sync()?;
            }
            self.write_json(&self.record_path(&id), &record, durability)?;
        } else {
            files::touch(&self.record_path(&id));
        }
        Ok(id)
    }

    /// The image with exactly that id; `None` where there is none.
    pub fn image(&self, id: &Digest) -> Result<Option<Image>> {
        Ok(self.read_record(id)?.map(|found| image_of(id, found)))
    }

    /// The manifest of an image: as received, or for one that was made here over its uncompressed layers. All that it
    /// refers to is among the blobs afterwards, so the image can be saved or pushed.
    pub fn manifest(&self, id: &Digest) -> Result<(Descriptor, Vec<u8>)> {
        let record = self.existing_record(id)?;
        self.put_blob(record.config.as_bytes())?;
        let known = record.manifest.as_ref().map(|known| (known, self.read_blob(&known.digest, MAX_DOCUMENT)));
        if let Some((descriptor, Ok(bytes))) = known {
            return Ok((descriptor.clone(), bytes));
        }
        let made = self.make_manifest(&record)?;
        let bytes = made.to_json();
        let descriptor = Descriptor::new(made.media_type(), Digest::of(&bytes), bytes.len() as u64);
        match known {
            // What was received cannot be made again.
            Some((known, Err(error))) if known.digest != descriptor.digest => return Err(error),
            _ => self.put_blob(&bytes)?,
        };
        if self.is_read_only() {
            return Ok((descriptor, bytes));
        }
        let _lock = self.lock_images()?;
        let mut record = self.existing_record(id)?;
        record.manifest = Some(descriptor.clone());
        self.write_json(&self.record_path(id), &record, Durability::Now)?;
        Ok((descriptor, bytes))
    }

    fn make_manifest(&self, record: &Record) -> Result<Manifest> {
        let config = Digest::of(&record.config);
        let mut layers = Vec::new();
        for diff_id in record.parse_config()?.rootfs.diff_ids {
            let size = match fs::metadata(self.blob_path(&diff_id)) {
                Ok(metadata) => metadata.len(),
                Err(_) => self.layer(&diff_id)?.size,
            };
            layers.push(Descriptor::new(layer_media_type(Compression::None), diff_id, size));
        }
        let config = Descriptor::new(CONFIG_MEDIA_TYPE, config, record.config.len() as u64);
        Ok(Manifest::new(config, layers))
    }

    /// An intermediate image that turned out to be somebody's result is one no more.
    pub(crate) fn promote(&self, id: &Digest) -> Result<()> {
        if !self.existing_record(id)?.intermediate {
            return Ok(());
        }
        let _lock = self.lock_images()?;
        let mut record = self.existing_record(id)?;
        record.intermediate = false;
        self.write_json(&self.record_path(id), &record, Durability::Now)
    }

    pub(crate) fn existing_record(&self, id: &Digest) -> Result<Record> {
        self.load_record(id)?.ok_or_else(|| Error::NoSuchImage { name: id.to_string() })
    }

    pub(crate) fn load_record(&self, id: &Digest) -> Result<Option<Record>> {
        Ok(self.read_record(id)?.map(|(record, _)| record))
    }

    /// A record that is damaged is removed: whoever made the image makes it again.
    fn read_record(&self, id: &Digest) -> Result<Option<(Record, ImageConfig)>> {
        let Some(bytes) = self.record_bytes(id)? else { return Ok(None) };
        match whole_record(id, &bytes) {
            Some(found) => Ok(Some(found)),
            None if self.is_read_only() => Ok(None),
            None => {
                let path = self.record_path(id);
                files::remove_tree(&path).map_err(|source| self.io("remove the damaged", &path, source))?;
                Ok(None)
            }
        }
    }

    pub(crate) fn record_bytes(&self, id: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.record_path(id);
        files::read_optional(&path).map_err(|source| self.io("read", &path, source))
    }

    /// Ids of all records.
    pub(crate) fn image_ids(&self) -> Result<Vec<Digest>> {
        let directory = self.root().join("images/by-id");
        let entries = files::list(&directory).map_err(|source| self.io("list", &directory, source))?;
        Ok(entries.into_iter().filter_map(|entry| id_of(entry.file_name().to_str()?)).collect())
    }

    pub(crate) fn record_path(&self, id: &Digest) -> PathBuf {
        self.root().join(format!("images/by-id/{}.json", id.hex()))
    }

    /// The blobs that a layer is in: its tar, or else what was received.
    pub(crate) fn layer_blobs(&self, diff_id: &Digest) -> Result<Vec<Digest>> {
        if self.has_blob(diff_id) {
            return Ok(vec![*diff_id]);
        }
        Ok(self.sources(diff_id)?.all.into_iter().filter(|source| self.has_blob(source)).collect())
    }

    /// Held while names or records are changed; the file unlocks when it is closed.
    pub(crate) fn lock_images(&self) -> Result<fs::File> {
        self.check_writable()?;
        let path = self.root().join("locks/images");
        let lock = locks::open(&path).and_then(|file| locks::exclusive(&file).map(|()| file));
        lock.map_err(|source| self.io("lock", &path, source))
    }

    pub(crate) fn remove_record(&self, id: &Digest) -> Result<()> {
        let path = self.record_path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.io("remove", &path, error)),
            _ => Ok(()),
        }
    }
}

/// Whose record a file of that name is.
pub(crate) fn id_of(file_name: &str) -> Option<Digest> {
    Digest::from_hex(file_name.strip_suffix(".json")?).ok()
}

/// The record in a file, which stays as it is if it is damaged.
pub(crate) fn read_whole(path: &Path, id: &Digest) -> Option<(Record, ImageConfig)> {
    whole_record(id, &files::read_optional(path).ok()??)
}

pub(crate) fn whole_record(id: &Digest, bytes: &[u8]) -> Option<(Record, ImageConfig)> {
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return series::record(id, bytes) };
    let config = record.parse_config().ok().filter(|_| Digest::of(&record.config) == *id)?;
    Some((record, config))
}

pub(crate) fn image_of(id: &Digest, (record, config): (Record, ImageConfig)) -> Image {
    Image { id: *id, config, parent: record.parent, intermediate: record.intermediate }
}

pub(crate) fn text_of(config: Vec<u8>) -> Result<String> {
    String::from_utf8(config).map_err(|_| Error::InvalidImage { reason: "its config is not UTF-8".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    #[test]
    fn an_intermediate_image_is_one_small_file() {
        let store = TestStore::new();
        let first = store.make_image(&["1"], None, true);
        let blobs = store.files_below("blobs");
        let mut config = store.image(&first).expect("image").expect("there").config;
        let mut parent = first;
        for step in 0..20 {
            config.author = step.to_string();
            parent = store.add_image(&config, Some(&parent), true).expect("image");
        }
        assert_eq!((store.files_below("images"), store.files_below("blobs")), (21, blobs));
        assert_eq!(store.image(&parent).expect("image").expect("there").config, config);
    }

    #[test]
    fn a_result_that_was_an_intermediate_image_is_one_no_more() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, true);
        let config = store.image(&id).expect("image").expect("there").config;
        for (intermediate, expected) in [(true, true), (false, false), (true, false)] {
            assert_eq!(store.add_image(&config, None, intermediate).expect("image"), id);
            assert_eq!(store.image(&id).expect("image").expect("there").intermediate, expected);
        }
    }

    #[test]
    fn the_manifest_of_an_image_made_here() {
        let store = TestStore::new();
        let id = store.make_image(&["1", "2"], None, true);
        let (descriptor, bytes) = store.manifest(&id).expect("manifest");
        let manifest = Manifest::parse(&bytes).expect("valid");
        assert_eq!((descriptor.digest, descriptor.size), (Digest::of(&bytes), bytes.len() as u64));
        assert_eq!(manifest.config.digest, id);
        for blob in manifest.layers.iter().chain([&manifest.config, &descriptor]) {
            assert_eq!(store.read_blob(&blob.digest, 1 << 20).expect("blob").len() as u64, blob.size);
        }
        // What was lost of it comes back the same.
        files::remove_tree(&store.blob_path(&descriptor.digest)).expect("remove");
        files::remove_tree(&store.blob_path(&id)).expect("remove");
        assert_eq!(store.manifest(&id).expect("manifest"), (descriptor, bytes));
        assert!(store.has_blob(&id));
    }

    #[test]
    fn a_damaged_record_is_no_image() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, true);
        let whole = fs::read_to_string(store.record_path(&id)).expect("read");
        for damaged in [
            "",
            "{}",
            &whole[..whole.len() - 1],
            &whole.replace("linux", "Linux"),
            &whole.replacen("layers", "Layers", 1),
        ] {
            if damaged == whole {
                continue;
            }
            fs::write(store.record_path(&id), damaged).expect("write");
            assert!(store.images().expect("images").is_empty(), "{damaged}");
            let checked = store.check(crate::CheckOptions::default()).expect("checked");
            assert!(checked.damages[0].what.starts_with("images/by-id/"), "{damaged}: {checked:?}");
            assert!(store.image(&id).expect("image").is_none(), "{damaged}");
            assert_eq!(store.make_image(&["1"], None, true), id);
            assert!(store.image(&id).expect("image").is_some());
        }
    }

    #[test]
    fn a_config_that_cannot_be_read_is_neither_written_nor_in_the_way() {
        let store = TestStore::new();
        let long = ImageConfig { author: "x".repeat(MAX_DOCUMENT as usize), ..ImageConfig::default() };
        for intermediate in [true, false] {
            let error = store.add_image(&long, None, intermediate).expect_err("too long");
            assert!(error.to_string().contains("is longer than"), "{error}");
        }
        assert!(store.images().expect("images").is_empty());
        let config = text_of(long.to_json()).expect("UTF-8");
        let record = Record { config, manifest: None, parent: None, intermediate: true };
        store.write_json(&store.record_path(&long.id()), &record, Durability::Later).expect("write");
        assert!(store.images().expect("images").is_empty());
    }

    #[test]
    fn refuses_images_that_are_not_whole() {
        let store = TestStore::new();
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids.push(Digest::of("missing"));
        assert!(matches!(store.add_image(&config, None, true), Err(Error::MissingBlob { .. })));
        let json = config.to_json();
        let descriptor = |digest| Descriptor::new("type", digest, 1);
        let manifest = |layers| Manifest::new(descriptor(Digest::of(&json)), layers).to_json();
        let layer = || descriptor(Digest::of("missing"));
        assert!(matches!(store.add_received(&manifest(vec![layer()])), Err(Error::MissingBlob { .. })));
        store.put_blob(&json).expect("put");
        assert!(matches!(store.add_received(&manifest(vec![layer()])), Err(Error::MissingBlob { .. })));
        assert!(matches!(store.add_received(&manifest(vec![])), Err(Error::InvalidImage { .. })));
        assert!(matches!(store.add_received(b"{}"), Err(Error::Image(_))));
        assert!(store.images().expect("images").is_empty());
    }
}
