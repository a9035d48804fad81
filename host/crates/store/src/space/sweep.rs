//! Removing what is to go, while nobody else is at work.
//!
//! Everybody who works with the store keeps a shared lock, so while the exclusive one is held nobody is writing a blob
//! that nothing refers to yet. Records go before what they need: whatever ends the process leaves blobs that the next
//! collection takes, and never a record that lacks them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::PoisonError;

use kiln_types::Digest;

use super::claims::Claims;
use super::facts::{Facts, Kind};
use super::part::measure;
use crate::locks::LockFile;
use crate::{Result, Store, files, locks};

/// What a collection freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Another kiln uses the store: nothing was collected, a later collection will.
    pub skipped: bool,
    pub files: u64,
    /// Of whole blocks.
    pub bytes: u64,
}

impl Store {
    /// Removes blobs, indexes and directories that no image has, and step records that no image comes from. Not while
    /// this process is building.
    pub fn collect(&self) -> Result<Collected> {
        self.alone(|| {
            let facts = Facts::read(self)?;
            self.sweep(&Claims::new(&facts))
        })
        .map(|collected| collected.unwrap_or(Collected { skipped: true, ..Collected::default() }))
    }

    /// A collection that removes all directory forms of layers as well, but for those that are in use.
    pub(crate) fn sweep_unpacked(&self) -> Result<Collected> {
        let facts = Facts::read(self)?;
        let mut claims = Claims::new(&facts);
        let held = facts.held_images();
        let held: HashSet<&Digest> =
            held.iter().filter_map(|id| facts.images.get(id)).flat_map(|image| &image.layers).collect();
        for (at, other) in facts.others.iter().enumerate() {
            if let Kind::Unpacked(layer) = other.kind
                && !held.contains(&layer)
            {
                claims.drop_other(at);
            }
        }
        self.sweep(&claims)
    }

    /// Does something while no other process is at work, beside containers that run; `None` where one is.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        let failed = |source| self.io("lock", self.root(), source);
        self.sync()?;
        self.in_use.unlock().map_err(failed)?;
        let alone = locks::try_exclusive(&self.in_use).map_err(failed);
        let result = match alone {
            Ok(true) => work().map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        self.in_use.unlock().and_then(|()| locks::shared(&self.in_use)).map_err(failed)?;
        result
    }

    /// Removes all that the claims do not keep.
    pub(super) fn sweep(&self, claims: &Claims<'_>) -> Result<Collected> {
        let facts = claims.facts;
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut freed = Collected::default();
        let lock = self.lock_images()?;
        for (name, _) in facts.names.iter().filter(|(_, kept)| !claims.keeps_name(kept)) {
            self.untag(name)?;
        }
        for (_, image) in facts.images.iter().filter(|(id, _)| !claims.keeps_image(id)) {
            self.free(&image.path, &mut freed)?;
        }
        self.tidy_container_names()?;
        drop(lock);
        for (_, failure) in facts.failures.iter().enumerate().filter(|(at, _)| !claims.keeps_failure(*at)) {
            self.free(&failure.path, &mut freed)?;
        }
        for (_, step) in facts.steps.iter().enumerate().filter(|(at, _)| !claims.keeps_step(*at)) {
            for path in &step.paths {
                self.free(path, &mut freed)?;
            }
        }
        for (_, other) in facts.others.iter().enumerate().filter(|(at, _)| !claims.keeps_other(*at)) {
            self.free(&other.path, &mut freed)?;
        }
        for diff_id in facts.layers.keys() {
            if !claims.keeps_index(diff_id) {
                self.free(&self.index_path(diff_id), &mut freed)?;
            }
            if !claims.keeps_layer(diff_id) {
                self.free(&self.source_path(diff_id), &mut freed)?;
                for path in self.form_paths(diff_id) {
                    self.free(&path, &mut freed)?;
                }
            }
        }
        for digest in facts.blobs.keys().filter(|digest| !claims.keeps_blob(digest)) {
            self.free(&self.blob_path(digest), &mut freed)?;
        }
        // Locks for one thing each that dead processes left.
        for entry in self.entries("locks")? {
            if entry.file_name().to_string_lossy().contains('-') {
                drop(LockFile::try_acquire(entry.path()));
            }
        }
        Ok(freed)
    }

    fn free(&self, path: &Path, freed: &mut Collected) -> Result<()> {
        let part = measure(path);
        if let Ok(metadata) = path.symlink_metadata() {
            files::remove_tree(path).map_err(|source| self.io("remove", path, source))?;
            if metadata.is_file() && files::identity(&metadata).is_some() {
                // Another name leads to it.
                return Ok(());
            }
            freed.files += part.files;
            freed.bytes += part.bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kiln_image::{History, ImageConfig};

    use super::*;
    use crate::RemoveOptions;
    use crate::testing::TestStore;

    #[test]
    fn what_is_named_stays_and_all_else_goes() {
        let store = TestStore::new();
        let kept = store.make_image(&["shared", "kept"], None, false);
        let gone = store.make_image(&["shared", "gone"], None, false);
        let (kept_key, gone_key) = (Digest::of("kept"), Digest::of("gone"));
        for (key, image) in [(&kept_key, &kept), (&gone_key, &gone)] {
            let layers = store.image(image).expect("image").expect("there").config.rootfs.diff_ids;
            store.put_record(key, &layers, &1).expect("put");
        }
        store.put_blob(b"nothing refers to this").expect("put");
        store.manifest(&kept).expect("manifest");
        store.tag(&kept, &"kept".parse().expect("name")).expect("tag");
        store.tag(&gone, &"gone".parse().expect("name")).expect("tag");
        std::fs::write(store.root().join("blobs/sha256/garbage"), "x").expect("write");

        store.remove_image("gone", RemoveOptions::default()).expect("remove");
        let collected = store.collect().expect("collect");
        assert!(!collected.skipped && collected.bytes > 0);
        // Two layers of `kept` with its config and manifest.
        assert_eq!((store.files_below("blobs"), store.files_below("layers"), store.files_below("steps")), (4, 2, 1));
        assert!(store.record::<u32>(&kept_key).expect("record").is_some());
        assert!(store.record::<u32>(&gone_key).expect("record").is_none());
        for diff_id in store.image(&kept).expect("image").expect("there").config.rootfs.diff_ids {
            store.layer(&diff_id).expect("layer");
        }
        assert_eq!(store.collect().expect("collect"), Collected::default());
    }

    #[test]
    fn records_without_layers_go_with_the_images_of_their_time() {
        let store = TestStore::new();
        let image = |created: &str, empty_layer| {
            let created = Some(created.to_owned());
            let history = vec![History { created, empty_layer, ..History::default() }];
            store.add_image(&ImageConfig { history, ..ImageConfig::default() }, None, true).expect("image")
        };
        let (kept, gone, _) = (image("10", true), image("20", true), image("30", false));
        let keys = ["10", "20", "30"].map(|created| {
            let key = Digest::of(created);
            store.put_record(&key, &[], &serde_json::json!({ "created": created })).expect("put");
            key
        });
        store.put_record(&Digest::of("timeless"), &[], &1).expect("put");
        store.remove_image(&gone.to_string(), RemoveOptions::default()).expect("remove");
        store.collect().expect("collect");
        let found = keys.map(|key| store.record::<serde_json::Value>(&key).expect("record").is_some());
        assert_eq!((found, store.files_below("steps")), ([true, false, false], 1));
        assert!(store.image(&kept).expect("image").is_some());
    }

    #[test]
    fn another_process_keeps_everything() {
        let store = TestStore::new();
        store.put_blob(b"unreferenced").expect("put");
        let other = store.another();
        assert!(store.collect().expect("collect").skipped);
        drop(other);
        assert_eq!(store.collect().expect("collect"), Collected { skipped: false, files: 1, bytes: 4096 });
    }
}
