//! Step records: what a step made, by its key. `steps/<first two digits>/<hex>.json`, a list of keys and records: those
//! of steps that made no layers and followed one another are in one file with a name for each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kiln_types::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};
use crate::locks::LockFile;
use crate::{Result, Store};

/// Records in one file: who wants one reads all.
const MOST: usize = 32;

#[derive(Serialize, Deserialize)]
pub(crate) struct StepRecord<T> {
    /// Diff ids.
    pub(crate) layers: Vec<Digest>,
    pub(crate) record: T,
}

/// What is in a file.
pub(crate) type Records<T> = Vec<(Digest, StepRecord<T>)>;

/// `None` where it holds no records.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<Records<T>> {
    serde_json::from_slice(bytes).ok()
}

/// Whose record a file of that name is.
pub(crate) fn key_of(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?.strip_suffix(".json")?).ok()
}

impl Store {
    /// The record of a step. One that cannot be read, or with a layer that is gone, is a miss.
    pub fn record<T: DeserializeOwned>(&self, key: &Digest) -> Result<Option<T>> {
        Ok(self.record_and_others(key)?.into_iter().next().map(|(_, record)| record))
    }

    /// The same, as the first of a list; after it records of steps without layers that were done before and after it: most
    /// likely they are looked for next.
    pub fn record_and_others<T: DeserializeOwned>(&self, key: &Digest) -> Result<Vec<(Digest, T)>> {
        let path = self.step_path(key);
        let bytes = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
        let mut records = bytes.and_then(|bytes| parse::<T>(&bytes)).unwrap_or_default();
        // A step that was done twice is in it twice.
        let Some(at) = records.iter().rposition(|(known, _)| known == key) else { return Ok(Vec::new()) };
        let (_, found) = records.remove(at);
        for diff_id in &found.layers {
            if self.layer_blobs(diff_id)?.is_empty() {
                return Ok(Vec::new());
            }
        }
        files::touch(&path);
        records.retain(|(other, record)| other != key && record.layers.is_empty());
        let others = records.into_iter().map(|(key, other)| (key, other.record));
        Ok([(*key, found.record)].into_iter().chain(others).collect())
    }

    /// All records that can be read, by their keys; whether their layers are there is not looked at.
    pub fn records<T: DeserializeOwned>(&self) -> Result<Vec<(Digest, T)>> {
        let mut records = Vec::new();
        // Those that other names lead to as well.
        let mut shared: HashMap<(u64, u64), Records<T>> = HashMap::new();
        for folder in self.entries("steps")? {
            let folder = folder.path();
            for entry in files::list(&folder).map_err(|source| self.io("list", &folder, source))? {
                let path = entry.path();
                let read = || files::read_optional(&path).ok().flatten().and_then(|bytes| parse(&bytes));
                let (Some(key), Ok(metadata)) = (key_of(&path), entry.metadata()) else { continue };
                let mut single = Records::new();
                let found = match files::identity(&metadata) {
                    Some(identity) => shared.entry(identity).or_insert_with(|| read().unwrap_or_default()),
                    None => {
                        single.extend(read().into_iter().flatten());
                        &mut single
                    }
                };
                if let Some(at) = found.iter().rposition(|(known, _)| *known == key) {
                    records.push((key, found.swap_remove(at).1.record));
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
        let kept = [(key, StepRecord { layers: layers.to_vec(), record })];
        self.write_json(&path, &kept, Durability::WhenNeeded)
    }

    /// Keeps the records of steps that made no layers and followed one another: one file for many of them. They live
    /// as long as one of them would.
    pub fn put_records<T: Serialize>(&self, records: &[(Digest, T)]) -> Result<()> {
        for records in records.chunks(MOST) {
            let kept: Vec<_> =
                records.iter().map(|(key, record)| (key, StepRecord { layers: Vec::new(), record })).collect();
            let names: Vec<PathBuf> = records.iter().map(|(key, _)| self.step_path(key)).collect();
            self.write_linked(&names, &self.to_json(&kept)?)?;
        }
        Ok(())
    }

    /// The right to make the step with this key; `None` while another process (or thread) has it. Look for the record
    /// again afterwards: who had it before has most likely written one.
    pub fn try_lock_key(&self, key: &Digest) -> Result<Option<KeyLock>> {
        let path = self.lock_path("step", key)?;
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
    fn records_without_layers_have_a_file_together() {
        let store = TestStore::new();
        let key = |number: u32| Digest::of(number.to_string());
        let all: Vec<(Digest, u32)> = (0..70).map(|number| (key(number), number)).collect();
        store.put_records(&all).expect("put");
        store.put_record(&key(100), &[], &100).expect("put");
        let again = |number: u32| store.another().record::<u32>(&key(number)).expect("record");
        assert!((0..70).chain([100]).all(|number| again(number) == Some(number)) && again(71).is_none());
        let others = store.record_and_others::<u32>(&key(40)).expect("records");
        assert_eq!((others.len(), others[0]), (MOST, (key(40), 40)));
        assert_eq!(store.records::<u32>().expect("records").len(), 71);

        // Whatever was there before, the last one counts; of a step that was done twice the second time.
        store.put_records(&[(key(5), 1), (key(6), 2), (key(5), 3)]).expect("put");
        assert_eq!((again(4), again(5), again(6), again(7)), (Some(4), Some(3), Some(2), Some(7)));
        assert_eq!(store.record_and_others::<u32>(&key(5)).expect("records"), [(key(5), 3), (key(6), 2)]);
        let mut records = store.records::<u32>().expect("records");
        records.retain(|(known, _)| *known == key(5));
        assert_eq!(records, [(key(5), 3)]);
        if cfg!(unix) {
            assert_eq!(crate::space::measure(&store.root().join("steps")).files, 5);
        }
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
