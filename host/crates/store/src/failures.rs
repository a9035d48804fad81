//! Failed steps: `failures/<hex>.json`, one for each thing that can fail (a Dockerfile's target, say), until it does not
//! fail any more or a prune takes it. What is said of the step is the caller's business.
//!
//! Unlike the record of a step that was done, one of these keeps its layers as an image does: nothing else has them.

use std::path::PathBuf;
use std::time::SystemTime;

use kiln_types::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::{self, Durability};
use crate::steps::StepRecord;
use crate::{Result, Store};

/// A step that failed and can be looked into.
#[derive(Debug, Clone)]
pub struct Failed<T> {
    /// What it is kept under.
    pub name: Digest,
    pub when: SystemTime,
    pub record: T,
}

impl Store {
    /// Keeps a failed step in place of the one that had the name before. `layers` are the diff ids that it needs.
    pub fn put_failure<T: Serialize>(&self, name: &Digest, layers: &[Digest], record: &T) -> Result<()> {
        let kept = StepRecord { layers: layers.to_vec(), record };
        self.write_json(&self.failure_path(name), &kept, Durability::WhenNeeded)
    }

    /// All whose layers are there, the latest first.
    pub fn failures<T: DeserializeOwned>(&self) -> Result<Vec<Failed<T>>> {
        let mut failures = Vec::new();
        for entry in self.entries("failures")? {
            let file_name = entry.file_name();
            let name = file_name.to_str().and_then(|name| Digest::from_hex(name.strip_suffix(".json")?).ok());
            let bytes = files::read_optional(&entry.path()).ok().flatten().unwrap_or_default();
            let (Some(name), Ok(found)) = (name, serde_json::from_slice::<StepRecord<T>>(&bytes)) else { continue };
            let mut whole = true;
            for layer in &found.layers {
                whole = whole && !self.layer_blobs(layer)?.is_empty();
            }
            let when = entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            if whole {
                failures.push(Failed { name, when, record: found.record });
            }
        }
        failures.sort_by(|a, b| b.when.cmp(&a.when).then(a.name.cmp(&b.name)));
        Ok(failures)
    }

    /// Forgets a failed step; the next collection frees what only it needed. Whether there was one.
    pub fn remove_failure(&self, name: &Digest) -> Result<bool> {
        let path = self.failure_path(name);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.io("remove", &path, source)),
        }
    }

    fn failure_path(&self, name: &Digest) -> PathBuf {
        self.root().join(format!("failures/{}.json", name.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CacheWish;
    use crate::testing::{TestStore, one_file};

    fn records(store: &TestStore) -> Vec<String> {
        store.another().failures::<String>().expect("failures").into_iter().map(|failed| failed.record).collect()
    }

    #[test]
    fn a_failure_keeps_its_layers_until_it_is_replaced_or_pruned() {
        let store = TestStore::new();
        let layer = |text: &str| store.add_layer(one_file("file", text)).expect("layer").diff_id;
        let (first, second, other) = (layer("first"), layer("second"), layer("other"));
        let name = Digest::of("name");
        store.put_failure(&name, &[first], &"first").expect("put");
        store.collect().expect("collect");
        assert_eq!([first, second, other].map(|layer| store.has_blob(&layer)), [true, false, false]);

        let second = layer("second");
        store.put_failure(&name, &[second], &"second").expect("put");
        store.collect().expect("collect");
        assert_eq!((records(&store), store.has_blob(&first)), (vec!["second".to_owned()], false));
        store.layer(&second).expect("kept");

        let usage = store.disk_usage().expect("usage");
        assert!(usage.cache.iter().any(|entry| entry.kind == "failed step" && entry.bytes > 4096), "{usage:?}");
        store.prune(None, Some(&CacheWish::default()), false).expect("prune");
        assert_eq!((records(&store).len(), store.files_below("blobs"), store.files_below("failures")), (0, 0, 0));
    }

    #[test]
    fn what_is_damaged_or_lacks_a_layer_is_none() {
        let store = TestStore::new();
        store.put_failure(&Digest::of("a"), &[Digest::of("gone")], &"a").expect("put");
        std::fs::write(store.root().join("failures").join(format!("{}.json", Digest::of("b").hex())), "{").expect("b");
        std::fs::write(store.root().join("failures/c.json"), "garbage").expect("c");
        assert!(records(&store).is_empty());
        store.collect().expect("collect");
        assert_eq!(store.files_below("failures"), 0);
        assert!(!store.remove_failure(&Digest::of("a")).expect("remove"));
    }
}
