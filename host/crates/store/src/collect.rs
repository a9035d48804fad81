//! Collection of what nothing refers to.
//!
//! Images keep their blobs and layers, intermediate images too. A step record goes with its layers, or with the last
//! image whose history it is part of. Everybody who has the store open keeps a shared lock, so while the exclusive one
//! is held nobody is writing a blob that nothing refers to yet.

use std::collections::HashSet;
use std::fs::DirEntry;
use std::path::Path;
use std::sync::PoisonError;

use kiln_image::Manifest;
use kiln_image::config::MAX_DOCUMENT;
use kiln_types::Digest;

use crate::locks::LockFile;
use crate::steps::StepRecord;
use crate::usage::measure;
use crate::{Result, Store, files, locks};

/// What a collection freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Another kiln uses the store: nothing was collected, a later collection will.
    pub skipped: bool,
    pub files: u64,
    pub bytes: u64,
}

impl Store {
    /// Removes blobs, indexes and directories that no image has, and step records that no image comes from. Not while
    /// this process is building.
    pub fn collect(&self) -> Result<Collected> {
        let failed = |source| self.io("lock", self.root(), source);
        self.sync()?;
        self.in_use.unlock().map_err(failed)?;
        let alone = locks::try_exclusive(&self.in_use).map_err(failed);
        let result = match alone {
            Ok(true) => self.sweep(),
            Ok(false) => Ok(Collected { skipped: true, ..Collected::default() }),
            Err(error) => Err(error),
        };
        self.in_use.unlock().and_then(|()| locks::shared(&self.in_use)).map_err(failed)?;
        result
    }

    fn sweep(&self) -> Result<Collected> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let marks = self.mark_images()?;
        let mut freed = Collected::default();
        self.sweep_steps(&marks, &mut freed)?;

        let digest = |name: &str| Digest::from_hex(name).ok();
        let layer = |name: &str| digest(name.split('.').next().unwrap_or(name));
        let unmarked =
            |marked: &HashSet<Digest>, found: Option<Digest>| found.is_none_or(|digest| !marked.contains(&digest));
        self.sweep_directory("blobs/sha256", &mut freed, |name| unmarked(&marks.blobs, digest(name)))?;
        self.sweep_directory("incoming", &mut freed, |_| true)?;
        self.sweep_directory("layers", &mut freed, |name| unmarked(&marks.layers, layer(name)))?;
        for owners in self.entries("unpacked")? {
            let name = format!("unpacked/{}", owners.file_name().to_string_lossy());
            self.sweep_directory(&name, &mut freed, |name| unmarked(&marks.layers, digest(name)))?;
        }
        // Locks for one thing each that dead processes left. Nobody else can hold one now.
        for entry in self.entries("locks")? {
            if entry.file_name().to_string_lossy().contains('-') {
                drop(LockFile::try_acquire(entry.path()));
            }
        }
        Ok(freed)
    }

    fn mark_images(&self) -> Result<Marks> {
        let mut marks = Marks::default();
        let mut ids: HashSet<Digest> = HashSet::new();
        let mut manifests = HashSet::new();
        for id in self.image_ids()? {
            let Some(record) = self.load_record(&id)? else { continue };
            ids.insert(id);
            marks.blobs.insert(id);
            manifests.extend(record.manifest.as_ref().map(|manifest| manifest.digest));
            let config = record.parse_config()?;
            let without_layer = config.history.iter().filter(|entry| entry.empty_layer);
            marks.times.extend(without_layer.filter_map(|entry| entry.created.clone()));
            for diff_id in config.rootfs.diff_ids {
                if marks.layers.insert(diff_id) {
                    marks.blobs.extend(self.layer_blobs(&diff_id)?);
                    marks.blobs.extend(self.known_gzip_form(&diff_id)?);
                }
            }
        }
        for (name, kept) in self.all_names()? {
            if ids.contains(&kept.id) {
                manifests.extend(kept.manifest);
                if let Some(index) = kept.index
                    && marks.blobs.insert(index)
                {
                    // Attestations are of no image, and belong to it as well.
                    manifests.extend(self.index_entries(&index)?.iter().map(|entry| entry.digest));
                }
            } else {
                self.untag(&name)?;
            }
        }
        for manifest in manifests {
            marks.blobs.insert(manifest);
            // Where it is missing or no manifest, there is nothing more to keep for it.
            let parsed = self.read_blob(&manifest, MAX_DOCUMENT).ok().and_then(|bytes| Manifest::parse(&bytes).ok());
            if let Some(parsed) = parsed {
                marks.blobs.insert(parsed.config.digest);
                marks.blobs.extend(parsed.layers.iter().map(|layer| layer.digest));
            }
        }
        Ok(marks)
    }

    fn sweep_steps(&self, marks: &Marks, freed: &mut Collected) -> Result<()> {
        for directory in self.entries("steps")? {
            for entry in files::list(&directory.path()).map_err(|source| self.io("list", &directory.path(), source))? {
                let bytes = files::read_optional(&entry.path()).ok().flatten().unwrap_or_default();
                let record = serde_json::from_slice::<StepRecord<serde_json::Value>>(&bytes);
                if !record.is_ok_and(|record| marks.have(&record)) {
                    self.free(&entry.path(), freed)?;
                }
            }
        }
        Ok(())
    }

    fn sweep_directory(&self, name: &str, freed: &mut Collected, unmarked: impl Fn(&str) -> bool) -> Result<()> {
        for entry in self.entries(name)? {
            if entry.file_name().to_str().is_none_or(&unmarked) {
                self.free(&entry.path(), freed)?;
            }
        }
        Ok(())
    }

    fn free(&self, path: &Path, freed: &mut Collected) -> Result<()> {
        let part = measure(path);
        files::remove_tree(path).map_err(|source| self.io("remove", path, source))?;
        freed.files += part.files;
        freed.bytes += part.bytes;
        Ok(())
    }

    pub(crate) fn entries(&self, name: &str) -> Result<Vec<DirEntry>> {
        let directory = self.root().join(name);
        files::list(&directory).map_err(|source| self.io("list", &directory, source))
    }
}

#[derive(Default)]
struct Marks {
    blobs: HashSet<Digest>,
    /// Diff ids: their indexes and directory forms stay.
    layers: HashSet<Digest>,
    /// When the steps that made no layer were done, as history has it.
    times: HashSet<String>,
}

impl Marks {
    /// Whether an image may come from that step.
    fn have(&self, StepRecord { layers, record }: &StepRecord<serde_json::Value>) -> bool {
        match layers[..] {
            [] => record["created"].as_str().is_some_and(|created| self.times.contains(created)),
            _ => layers.iter().all(|layer| self.layers.contains(layer)),
        }
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
        assert_eq!(store.collect().expect("collect"), Collected { skipped: false, files: 1, bytes: 12 });
    }
}
