//! Digests of context files, by what stat says of them: an unchanged context costs one stat for each file.
//!
//! A file that was changed within the tick of the filesystem's clock in which it was stat'ed looks the same afterwards
//! (git calls it racy). So only files are remembered that had not changed for [`SETTLED`] when this process opened the
//! store, thus before it looked at any: whoever changes one of them later cannot but move its ctime. Where a
//! filesystem's clock is not this machine's, the difference has to be smaller than that.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_types::Digest;

use crate::hash_records::{self, Key, Records};
use crate::{Error, Result, Store, locks};

/// Coarser than the clock of any filesystem: FAT counts in steps of 2 s.
const SETTLED: Duration = Duration::from_millis(2100);

/// What tells one state of a file from another. Taken before the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, i64),
    pub ctime: (i64, i64),
}

impl Stat {
    fn key(&self) -> Key {
        // A fraction of a second has less than 30 bits.
        let fractions = (self.mtime.1 as u64) << 32 | (self.ctime.1 as u64 & 0xffff_ffff);
        hash_records::key([self.device, self.inode, self.ctime.0 as u64, self.size, self.mtime.0 as u64, fractions])
    }

    fn changed(&self) -> i128 {
        let nanoseconds = |time: (i64, i64)| i128::from(time.0) * 1_000_000_000 + i128::from(time.1);
        nanoseconds(self.mtime).max(nanoseconds(self.ctime))
    }
}

/// Shared between threads.
pub struct HashCache {
    root: PathBuf,
    /// What changed before this is remembered; nanoseconds since 1970.
    settled_before: i128,
    loaded: OnceLock<Records>,
    inserted: Mutex<Inserted>,
}

#[derive(Default)]
struct Inserted {
    digests: HashMap<Key, Digest>,
    unsaved: bool,
}

impl Store {
    /// Loaded at its first use.
    pub fn context_hashes(&self) -> &HashCache {
        &self.context_hashes
    }
}

impl HashCache {
    pub(crate) fn new(root: &Path) -> Self {
        let settled = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(SETTLED);
        Self {
            root: root.to_owned(),
            settled_before: i128::try_from(settled.as_nanos()).unwrap_or(i128::MAX),
            loaded: OnceLock::new(),
            inserted: Mutex::default(),
        }
    }

    pub fn get(&self, stat: &Stat) -> Option<Digest> {
        self.finder().get(stat)
    }

    /// For looking up many files that lie together.
    pub fn finder(&self) -> Finder<'_> {
        Finder { cache: self, near: 0 }
    }

    /// Remembers a digest that is not known, unless the file might change without looking changed, or has no number that
    /// tells it from another of the same size and times (Windows).
    pub fn insert(&self, stat: &Stat, digest: Digest) {
        if stat.inode == 0 || stat.changed() >= self.settled_before {
            return;
        }
        let mut inserted = self.inserted();
        inserted.unsaved |= inserted.digests.insert(stat.key(), digest) != Some(digest);
    }

    /// Merges what was inserted with what other processes saved; writes nothing where nothing was inserted.
    pub fn save(&self) -> Result<()> {
        let mut inserted = self.inserted();
        if !inserted.unsaved {
            return Ok(());
        }
        let path = self.path();
        self.write(&path, &inserted.digests).map_err(|source| Error::io(&self.root, "write", &path, source))?;
        inserted.unsaved = false;
        Ok(())
    }

    fn write(&self, path: &Path, inserted: &HashMap<Key, Digest>) -> io::Result<()> {
        let lock = locks::open(&self.root.join("locks/hashes"))?;
        locks::exclusive(&lock)?;
        let merged = Records::read(path).merge(inserted);
        // While it is locked nobody else uses this name; what a dead process left under it is overwritten. A power loss
        // may spoil the file: its checksum says so.
        let fresh = path.with_extension("new");
        fs::write(&fresh, merged)?;
        fs::rename(fresh, path)
    }

    fn path(&self) -> PathBuf {
        self.root.join("context-hashes")
    }

    fn loaded(&self) -> &Records {
        self.loaded.get_or_init(|| Records::read(&self.path()))
    }

    fn inserted(&self) -> MutexGuard<'_, Inserted> {
        self.inserted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`HashCache::finder`].
pub struct Finder<'a> {
    cache: &'a HashCache,
    /// Where the last one was.
    near: usize,
}

impl Finder<'_> {
    pub fn get(&mut self, stat: &Stat) -> Option<Digest> {
        let key = stat.key();
        let found = self.cache.loaded().get(&key, &mut self.near);
        found.or_else(|| self.cache.inserted().digests.get(&key).copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stat(number: u64) -> Stat {
        Stat { device: 1, inode: number, size: 3, mtime: (1_000, 5), ctime: (2_000 + number as i64, 7) }
    }

    fn cache(root: &Path) -> HashCache {
        HashCache::new(root)
    }

    fn root() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(directory.path().join("locks")).expect("create");
        directory
    }

    #[test]
    fn two_processes_lose_nothing_of_each_other() {
        let root = root();
        let (one, two) = (cache(root.path()), cache(root.path()));
        assert_eq!((one.get(&stat(1)), two.get(&stat(1))), (None, None));
        one.insert(&stat(1), Digest::of("1"));
        two.insert(&stat(2), Digest::of("2"));
        two.insert(&stat(1), Digest::of("newer"));
        one.save().and_then(|()| two.save()).expect("save");
        let three = cache(root.path());
        assert_eq!(three.get(&stat(1)), Some(Digest::of("newer")));
        assert_eq!(three.get(&stat(2)), Some(Digest::of("2")));
        assert_eq!(one.get(&stat(1)), Some(Digest::of("1")), "loaded once");
    }

    #[test]
    fn nothing_new_writes_nothing() {
        let root = root();
        let one = cache(root.path());
        one.insert(&stat(1), Digest::of("1"));
        one.save().expect("save");
        fs::remove_file(one.path()).expect("remove");
        one.insert(&stat(1), Digest::of("1"));
        one.save().expect("save");
        assert!(!one.path().exists());
    }

    #[test]
    fn what_has_just_changed_is_not_remembered() {
        let root = root();
        let one = cache(root.path());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
        for (age, remembered) in [(-100, false), (0, false), (1, false), (4, true)] {
            for (mtime, ctime) in [((now - age, 0), (0, 0)), ((0, 0), (now - age, 0))] {
                let stat = Stat { mtime, ctime, ..stat(1) };
                one.insert(&stat, Digest::of("1"));
                assert_eq!(one.get(&stat).is_some(), remembered, "{stat:?}");
            }
        }
    }

    #[test]
    fn files_without_a_number_are_not_remembered() {
        let root = root();
        let one = cache(root.path());
        one.insert(&stat(0), Digest::of("1"));
        assert_eq!(one.get(&stat(0)), None, "another file of the same size and times looks the same");
    }

    #[test]
    fn every_number_tells_states_apart() {
        let one = stat(1);
        let others = [
            Stat { device: 2, ..one },
            Stat { inode: 2, ..one },
            Stat { size: 2, ..one },
            Stat { mtime: (1_000, 6), ..one },
            Stat { mtime: (1_001, 5), ..one },
            Stat { ctime: (one.ctime.0, 8), ..one },
            Stat { ctime: (1, 7), ..one },
        ];
        assert!(others.iter().all(|other| other.key() != one.key()));
    }

    #[test]
    fn fifty_thousand_are_loaded_in_a_few_milliseconds() {
        let root = root();
        let one = cache(root.path());
        for number in 1..=50_000 {
            one.insert(&stat(number), Digest::from_bytes([7; 32]));
        }
        one.save().expect("save");
        let start = std::time::Instant::now();
        let two = cache(root.path());
        assert!(two.get(&stat(50_000)).is_some());
        let took = start.elapsed();
        assert!(took < Duration::from_millis(100), "{took:?}");
    }

    proptest! {
        #[test]
        fn damage_never_gives_a_digest(at in 0_usize..192, with in 1_u8.., cut in any::<bool>()) {
            let root = root();
            let one = cache(root.path());
            one.insert(&stat(1), Digest::of("1"));
            one.insert(&stat(2), Digest::of("2"));
            one.save().expect("save");
            let mut bytes = fs::read(one.path()).expect("read");
            prop_assert_eq!(bytes.len(), 192);
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= with;
            }
            fs::write(one.path(), &bytes).expect("write");
            let two = cache(root.path());
            prop_assert_eq!((two.get(&stat(1)), two.get(&stat(2))), (None, None));
            two.insert(&stat(3), Digest::of("3"));
            two.save().expect("save");
            prop_assert_eq!(cache(root.path()).get(&stat(3)), Some(Digest::of("3")));
        }
    }
}
