//! How large the store can be at most, without looking at all of it.
//!
//! `size` holds what was counted last, and what processes that ended since have added to blobs, images, layers, steps and
//! directory forms. What was removed meanwhile is not subtracted, so it is never too little, but for what a process added
//! that was killed: its folder under `tmp/` tells, and the store is counted anew. So is one without the file, which may
//! be deleted at any time. Nobody writes it as long as nobody wants a limit.
//!
//! What grows where this cannot see it is looked at each time: it is one file for each thing, but for caches of steps.
//! How large one of those is stands beside it until it is taken the next time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::part::{measure, occupied};
use crate::{Result, Store, files, locks, scratch};

const COUNTED: [&str; 6] = ["blobs", "failures", "images", "layers", "steps", "unpacked"];
const LOOKED_AT: [&str; 5] = ["context-hashes", "downloads", "image-list", "incoming", "modules"];
/// Beside the lock of a cache.
const CACHE_SIZE: &str = "size";

pub(crate) struct Ledger {
    root: PathBuf,
    /// By this process, since it last said so.
    added: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), added: AtomicU64::new(0) }
    }

    /// Notes a file of `length` bytes that takes its place at `path`.
    pub(crate) fn add_file(&self, path: &Path, length: u64) {
        let folder = path.strip_prefix(&self.root).ok().and_then(|path| path.iter().next());
        if folder.is_some_and(|folder| COUNTED.iter().any(|counted| folder == *counted)) {
            self.add(occupied(length));
        }
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.added.fetch_add(bytes, Ordering::Relaxed);
    }

    fn path(&self) -> PathBuf {
        self.root.join("size")
    }

    /// What is in the counted folders at most; `None` where it has to be counted.
    fn read(&self) -> io::Result<Option<u64>> {
        let bytes = files::read_optional(&self.path())?;
        // Anything but a line of a number was cut off.
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.and_then(|text| text.strip_suffix('\n')?.parse().ok()))
    }

    /// Under its lock: the file becomes what `change` makes of it, or goes.
    fn update(&self, change: impl FnOnce(Option<u64>) -> Option<u64>) -> io::Result<Option<u64>> {
        let lock = locks::open(&self.root.join("locks/size"))?;
        locks::exclusive(&lock)?;
        let before = self.read()?;
        let after = change(before);
        match after {
            _ if after == before => {}
            None => files::remove_tree(&self.path())?,
            Some(bytes) => {
                // While it is locked nobody else uses this name.
                let fresh = self.path().with_extension("new");
                fs::write(&fresh, format!("{bytes}\n"))?;
                fs::rename(fresh, self.path())?;
            }
        }
        Ok(after)
    }

    /// Adds what this process has added.
    fn settle(&self) -> io::Result<Option<u64>> {
        let added = self.added.swap(0, Ordering::Relaxed);
        if added == 0 && !self.path().exists() {
            return Ok(None);
        }
        self.update(|known| known.map(|known| known.saturating_add(added)))
    }

    /// Something may have been added that nobody noted.
    pub(crate) fn forget(&self) -> io::Result<()> {
        if self.path().exists() {
            self.update(|_| None)?;
        }
        Ok(())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // Where it cannot be written, it must not say too little.
        if self.settle().is_err() {
            let _ = fs::remove_file(self.path());
        }
    }
}

impl Store {
    /// What the store occupies at most, as far as that is known without counting.
    pub(super) fn size_at_most(&self) -> Result<Option<u64>> {
        let failed = |source| self.io("read", &self.ledger.path(), source);
        if scratch::has_leftovers(self.root()).map_err(failed)? {
            self.ledger.forget().map_err(failed)?;
        }
        let Some(counted) = self.ledger.settle().map_err(failed)? else { return Ok(None) };
        let looked_at: u64 = LOOKED_AT.iter().map(|name| measure(&self.root().join(name)).bytes).sum();
        Ok(Some(counted + looked_at + self.caches_size()?))
    }

    /// Counts, and remembers it. What others add meanwhile they note when they end, even if it was counted here.
    pub(super) fn count(&self) -> Result<u64> {
        let counted = COUNTED.iter().map(|name| measure(&self.root().join(name)).bytes).sum();
        self.note_count(counted)?;
        let looked_at: u64 = LOOKED_AT.iter().map(|name| measure(&self.root().join(name)).bytes).sum();
        Ok(counted + looked_at + self.caches_size()?)
    }

    pub(super) fn note_count(&self, counted: u64) -> Result<()> {
        self.ledger.added.store(0, Ordering::Relaxed);
        let written = self.ledger.update(|_| Some(counted));
        written.map(|_| ()).map_err(|source| self.io("write", &self.ledger.path(), source))
    }

    fn caches_size(&self) -> Result<u64> {
        let mut bytes = 0;
        for cache in self.entries("cache-mounts")? {
            for copy in files::list(&cache.path()).unwrap_or_default() {
                bytes += cache_size(&copy.path());
            }
        }
        Ok(bytes)
    }
}

/// A cache is about to be used: whatever it held, it will hold something else.
pub(crate) fn cache_is_taken(directory: &Path) {
    let _ = fs::remove_file(directory.join(CACHE_SIZE));
}

fn cache_size(directory: &Path) -> u64 {
    let noted = directory.join(CACHE_SIZE);
    let known = files::read_optional(&noted).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(known) = known.and_then(|text| text.strip_suffix('\n')?.parse().ok()) {
        return known;
    }
    let lock = locks::open(&directory.join("lock"));
    let unused = lock.as_ref().is_ok_and(|lock| locks::try_exclusive(lock).unwrap_or(false));
    let bytes = measure(directory).bytes;
    if unused {
        // It only saves the next one from counting.
        let _ = fs::write(&noted, format!("{bytes}\n"));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;
    use crate::{CacheSharing, RemoveOptions};
    use kiln_types::Digest;

    fn counted(store: &Store) -> u64 {
        COUNTED.iter().map(|name| measure(&store.root().join(name)).bytes).sum()
    }

    #[test]
    fn it_never_says_too_little() {
        let store = TestStore::new();
        store.make_image(&["before"], None, false);
        assert_eq!(store.size_at_most().expect("size"), None);
        store.count().expect("count");
        let size = |store: &Store| store.size_at_most().expect("size").expect("known");
        let before = size(&store);
        assert_eq!(before, counted(&store));
        let other = store.another();
        let layer = other.add_layer(crate::testing::one_file("a", &"b".repeat(10_000))).expect("layer");
        other.put_record(&Digest::of("key"), &[layer.diff_id], &1).expect("record");
        drop(other);
        assert_eq!(size(&store), counted(&store));
        store.make_image(&["after"], None, false);
        assert_eq!(size(&store), counted(&store));
        store.tag(&store.make_image(&["after"], None, false), &"a".parse().expect("name")).expect("tag");
        store.remove_image("a", RemoveOptions::default()).expect("removed");
        assert!(size(&store) > counted(&store));
        store.count().expect("count");
        assert_eq!(size(&store), counted(&store));
    }

    #[test]
    fn what_a_killed_process_added_is_counted() {
        let store = TestStore::new();
        store.count().expect("count");
        fs::create_dir_all(store.root().join("tmp/1-0")).expect("create");
        fs::write(store.root().join("tmp/1-0/lock"), "").expect("write");
        assert_eq!(store.size_at_most().expect("size"), None);
        for damaged in ["", "12", "x\n", "-1\n"] {
            fs::remove_dir_all(store.root().join("tmp/1-0")).ok();
            fs::write(store.root().join("size"), damaged).expect("write");
            assert_eq!(store.size_at_most().expect("size"), None, "{damaged:?}");
        }
    }

    #[test]
    fn caches_are_counted_once_they_were_used() {
        let store = TestStore::new();
        store.count().expect("count");
        let take = || store.try_cache(&Digest::of("c"), CacheSharing::Locked).expect("cache").expect("free");
        let path = store.root().join("cache-mounts").join(Digest::of("c").hex()).join("0/something");
        let cache = take();
        fs::write(&path, "x").expect("write");
        assert_eq!(store.size_at_most().expect("size"), Some(4096));
        fs::write(&path, vec![0; 5000]).expect("write");
        assert_eq!(store.size_at_most().expect("size"), Some(8192));
        drop(cache);
        assert_eq!(store.size_at_most().expect("size"), Some(8192));
        assert!(path.with_file_name(CACHE_SIZE).exists());
        drop(take());
        assert!(!path.with_file_name(CACHE_SIZE).exists());
    }
}
