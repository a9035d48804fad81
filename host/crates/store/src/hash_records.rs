//! The file of the hash cache, read whole and searched as it is. Files that lie together mostly have numbers that do, too:
//! who looks for one after the other finds each near the one before.
//!
//! ```text
//! header    magic, version, count, checksum of the records        32 bytes
//! records   device, inode, ctime, size, mtime, fractions, digest: 80 bytes each, sorted
//! ```

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use kiln_types::Digest;

use crate::files;

const MAGIC: &[u8; 8] = b"kilnhash";
const VERSION: u64 = 2;
const HEADER: usize = 32;
const KEY: usize = 48;
/// Device and inode, with which a key begins.
const FILE: usize = 16;
const RECORD: usize = KEY + 32;
/// About 42 MB. Beyond it those go that changed longest ago.
const MAX_RECORDS: usize = 1 << 19;

/// What stat says of a file: device, inode, time of the last change, and the rest.
pub(crate) type Words = [u64; KEY / 8];
pub(crate) type Key = [u8; KEY];

pub(crate) fn key(words: Words) -> Key {
    let mut key = [0; KEY];
    for (to, word) in key.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    key
}

fn word_of(record: &[u8], number: usize) -> u64 {
    record[number * 8..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Records as in the file: the header is left there.
#[derive(Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    start: usize,
}

impl Records {
    /// Nothing where the file is missing or damaged: all it costs is hashing again.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = files::read_optional(path).ok().flatten().unwrap_or_default();
        match bytes.split_first_chunk::<HEADER>() {
            Some((header, records)) if *header == Self::header(records) => Self { bytes, start: HEADER },
            _ => Self::default(),
        }
    }

    fn header(records: &[u8]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let count = (records.len() / RECORD) as u64;
        let words = [u64::from_be_bytes(*MAGIC), VERSION, count, checksum(records)];
        for (to, word) in header.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        header
    }

    fn records(&self) -> &[[u8; RECORD]] {
        self.bytes[self.start..].as_chunks().0
    }

    /// Searches from the record numbered `near` on, in both directions, and says where it ended.
    pub(crate) fn get(&self, key: &Key, near: &mut usize) -> Option<Digest> {
        let records = self.records();
        let is_before = |number: usize| records[number][..KEY] < key[..];
        let start = (*near).min(records.len());
        let (mut low, mut high, mut step) = (start, start, 1);
        // Ever longer steps, until it lies between the last two.
        while high < records.len() && is_before(high) {
            low = high + 1;
            high = records.len().min(low + step);
            step *= 2;
        }
        while low > 0 && !is_before(low - 1) {
            high = low - 1;
            low = high.saturating_sub(step);
            step *= 2;
        }
        *near = low + records[low..high].partition_point(|record| record[..KEY] < key[..]);
        let found = records.get(*near).filter(|record| record[..KEY] == key[..])?;
        found.last_chunk().copied().map(Digest::from_bytes)
    }

    /// As a file, with what was inserted: it takes the place of what was known of the same files before.
    pub(crate) fn merge(&self, inserted: &HashMap<Key, Digest>) -> Vec<u8> {
        let file_of = |key: &[u8]| key.first_chunk::<FILE>().copied().unwrap_or_default();
        let files: HashSet<[u8; FILE]> = inserted.keys().map(|key| file_of(key)).collect();
        let replaced = |record: &&[u8; RECORD]| files.contains(&file_of(*record));
        let mut records: Vec<[u8; RECORD]> =
            self.records().iter().filter(|record| !replaced(record)).copied().collect();
        records.extend(inserted.iter().map(|(key, digest)| {
            let mut record = [0; RECORD];
            record[..KEY].copy_from_slice(key);
            record[KEY..].copy_from_slice(digest.as_bytes());
            record
        }));
        if records.len() > MAX_RECORDS {
            records.sort_unstable_by_key(|record| Reverse(word_of(record, 2)));
            records.truncate(MAX_RECORDS);
        }
        records.sort_unstable();
        let mut bytes = Vec::with_capacity(HEADER + records.len() * RECORD);
        bytes.resize(HEADER, 0);
        records.iter().for_each(|record| bytes.extend_from_slice(record));
        let header = Self::header(&bytes[HEADER..]);
        bytes[..HEADER].copy_from_slice(&header);
        bytes
    }
}

/// Finds accidents, quickly; nobody else writes into the store.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let sum = words.iter().fold(bytes.len() as u64, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}

fn mix(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(bytes: Vec<u8>) -> Records {
        Records { bytes, start: HEADER }
    }

    #[test]
    fn the_longest_unchanged_go_first() {
        let entry = |time: usize| (key([1, time as u64 + 1, time as u64, 3, 4, 5]), Digest::of("x"));
        let inserted: HashMap<Key, Digest> = (0..MAX_RECORDS + 10).map(entry).collect();
        let records = of_file(Records::default().merge(&inserted));
        assert_eq!(records.records().len(), MAX_RECORDS);
        for (time, kept) in [(0, false), (9, false), (10, true), (MAX_RECORDS + 9, true)] {
            assert_eq!(records.get(&entry(time).0, &mut 0).is_some(), kept, "{time}");
        }
    }

    #[test]
    fn of_a_file_only_its_last_state_is_kept() {
        let state = |inode, changed| key([1, inode, changed, 3, 4, 5]);
        let digest = Digest::of("x");
        let first = of_file(Records::default().merge(&[(state(7, 1), digest), (state(8, 1), digest)].into()));
        let second = of_file(first.merge(&[(state(7, 2), digest)].into()));
        let known = |inode, changed| second.get(&state(inode, changed), &mut 0).is_some();
        assert_eq!([known(7, 1), known(7, 2), known(8, 1)], [false, true, true]);
    }

    #[test]
    fn found_from_wherever_the_search_begins() {
        let even = |number: u64| key([1, number * 2 + 2, 0, 0, 0, 0]);
        for count in 0..40_u64 {
            let inserted = (0..count).map(|number| (even(number), Digest::of(number.to_string()))).collect();
            let records = of_file(Records::default().merge(&inserted));
            for near in 0..count as usize + 3 {
                for inode in 0..count * 2 + 4 {
                    let found = records.get(&key([1, inode, 0, 0, 0, 0]), &mut near.clone());
                    let expected = (inode >= 2 && inode % 2 == 0 && inode / 2 <= count).then(|| inode / 2 - 1);
                    assert_eq!(
                        found,
                        expected.map(|number| Digest::of(number.to_string())),
                        "{inode} of {count} from {near}"
                    );
                }
            }
        }
    }
}
