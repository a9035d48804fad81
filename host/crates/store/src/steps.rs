//! Step records: what a step made, by its key. `steps/<first two digits>/<hex>.json`.

use std::path::PathBuf;

use kiln_types::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};
use crate::locks::LockFile;
use crate::{Result, Store};

#[derive(Serialize, Deserialize)]
pub(crate) struct StepRecord<T> {
    /// Diff ids.
    pub(crate) layers: Vec<Digest>,
    pub(crate) record: T,
}

impl Store {
    /// The record of a step. One that cannot be read, or with a layer that is gone, is a miss.
    pub fn record<T: DeserializeOwned>(&self, key: &Digest) -> Result<Option<T>> {
        let path = self.step_path(key);
        let bytes = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
        let Some(Ok(found)) = bytes.map(|bytes| serde_json::from_slice::<StepRecord<T>>(&bytes)) else {
            return Ok(None);
        };
        for diff_id in &found.layers {
            if self.layer_blobs(diff_id)?.is_empty() {
                return Ok(None);
            }
        }
        files::touch(&path);
        Ok(Some(found.record))
    }

    /// All records that can be read, by their keys; whether their layers are there is not looked at.
    pub fn records<T: DeserializeOwned>(&self) -> Result<Vec<(Digest, T)>> {
        let mut records = Vec::new();
        for folder in self.entries("steps")? {
            let folder = folder.path();
            for entry in files::list(&folder).map_err(|source| self.io("list", &folder, source))? {
                let name = entry.file_name();
                let key = name.to_str().and_then(|name| Digest::from_hex(name.strip_suffix(".json")?).ok());
                let bytes = files::read_optional(&entry.path()).ok().flatten().unwrap_or_default();
                if let (Some(key), Ok(found)) = (key, serde_json::from_slice::<StepRecord<T>>(&bytes)) {
                    records.push((key, found.record));
                }
            }
        }
        Ok(records)
    }

    /// Keeps the record of a step. `layers` are the diff ids it is worthless without. It does not keep them: they live as
    /// long as an image has them, an intermediate one for example, and the record goes with them. Where there are none,
    /// the record lives as long as the history of an image has an entry without a layer whose `created` is the record's
    /// field of that name.
    pub fn put_record<T: Serialize>(&self, key: &Digest, layers: &[Digest], record: &T) -> Result<()> {
        let path = self.step_path(key);
        if let Some(directory) = path.parent() {
            files::make_private_directory(directory, false).map_err(|source| self.io("create", directory, source))?;
        }
        let kept = StepRecord { layers: layers.to_vec(), record };
        self.write_json(&path, &kept, Durability::WhenNeeded)
    }

    /// The right to make the step with this key; `None` while another process (or thread) has it. Look for the record
    /// again afterwards: who had it before has most likely written one.
    pub fn try_lock_key(&self, key: &Digest) -> Result<Option<KeyLock>> {
        let path = self.lock_path("step", key);
        let lock = LockFile::try_acquire(path.clone()).map_err(|source| self.io("lock", &path, source))?;
        Ok(lock.map(KeyLock))
    }

    fn step_path(&self, key: &Digest) -> PathBuf {
        let hex = key.hex();
        self.root().join(format!("steps/{}/{hex}.json", &hex[..2]))
    }
}

/// Held while a step is being made; dropping it lets the next one go on.
pub struct KeyLock(#[expect(dead_code, reason = "held for its Drop")] LockFile);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::TestStore;

    #[test]
    fn a_record_without_its_layer_is_a_miss() {
        let store = TestStore::new();
        let (image, key) = (store.make_image(&["1"], None, true), Digest::of("key"));
        let layer = store.image(&image).expect("image").expect("there").config.rootfs.diff_ids[0];
        store.put_record(&key, &[layer], &"value").expect("put");
        let found = || store.another().record::<String>(&key).expect("record");
        assert_eq!(found().as_deref(), Some("value"));
        fs::rename(store.blob_path(&layer), store.root().join("aside")).expect("rename");
        assert_eq!(found(), None);
    }

    #[test]
    fn garbage_is_a_miss() {
        let store = TestStore::new();
        let key = Digest::of("key");
        store.put_record(&key, &[], &[1, 2, 3]).expect("put");
        let whole = fs::read(store.step_path(&key)).expect("read");
        for length in 0..whole.len() {
            fs::write(store.step_path(&key), &whole[..length]).expect("write");
            assert_eq!(store.record::<Vec<u32>>(&key).expect("record"), None);
        }
        fs::write(store.step_path(&key), &whole).expect("write");
        assert_eq!(store.record::<Vec<u32>>(&key).expect("record"), Some(vec![1, 2, 3]));
        assert_eq!(store.record::<String>(&key).expect("record"), None);
    }

    #[test]
    fn one_makes_it_and_the_others_find_the_record() {
        let store = TestStore::new();
        let key = Digest::of("key");
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = store.another();
                    let _lock = loop {
                        match store.try_lock_key(&key).expect("lock") {
                            Some(lock) => break lock,
                            None => std::thread::yield_now(),
                        }
                    };
                    assert!(store.try_lock_key(&key).expect("try").is_none());
                    if store.record::<u32>(&key).expect("record").is_none() {
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        store.put_record(&key, &[], &1_u32).expect("put");
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
