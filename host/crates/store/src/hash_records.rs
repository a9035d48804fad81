//! The file of the hash cache, read whole and searched as it is. What a key begins with is spread evenly, so that the
//! place of a record can be told from it within a few.
//!
//! ```text
//! header    magic, version, count, checksum of the records        32 bytes
//! records   spread, ctime, device, inode, size, mtime, fractions, digest: 88 bytes each, sorted
//! ```

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::path::Path;

use kiln_types::Digest;

use crate::files;

const MAGIC: &[u8; 8] = b"kilnhash";
const VERSION: u64 = 1;
const HEADER: usize = 32;
const KEY: usize = 56;
const RECORD: usize = KEY + 32;
/// About 46 MB. Beyond it those go that changed longest ago.
const MAX_RECORDS: usize = 1 << 19;

/// What stat says of a file: as many words as a key has beside its first.
pub(crate) type Words = [u64; KEY / 8 - 1];
pub(crate) type Key = [u8; KEY];

/// `words[0]` is the time of the last change.
pub(crate) fn key(words: Words) -> Key {
    let mut spread = words.iter().fold(0, |sum, word| mix(sum, *word));
    spread = (spread ^ (spread >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    spread ^= spread >> 32;
    let mut key = [0; KEY];
    for (to, word) in key.chunks_exact_mut(8).zip(std::iter::once(spread).chain(words)) {
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

    /// Interpolation search: two or three looks, where a binary search of many records takes one to memory for each halving.
    pub(crate) fn get(&self, key: &Key) -> Option<Digest> {
        let records = self.records();
        let count = records.len() as i128;
        // How far apart the places of two keys are to be expected.
        let distance = |from: u64, to: u64| ((i128::from(to) - i128::from(from)) * count) >> 64;
        let (mut low, mut high) = (0, count);
        let mut at = distance(0, word_of(key, 0));
        while low < high {
            at = at.clamp(low, high - 1);
            let record = &records[usize::try_from(at).ok()?];
            match record[..KEY].cmp(key) {
                Ordering::Equal => return record.last_chunk().copied().map(Digest::from_bytes),
                Ordering::Less => low = at + 1,
                Ordering::Greater => high = at,
            }
            at += distance(word_of(record, 0), word_of(key, 0));
        }
        None
    }

    pub(crate) fn merge(&self, inserted: &HashMap<Key, Digest>) -> Self {
        let new = inserted.iter().map(|(key, digest)| {
            let mut record = [0; RECORD];
            record[..KEY].copy_from_slice(key);
            record[KEY..].copy_from_slice(digest.as_bytes());
            record
        });
        let replaced = |record: &[u8; RECORD]| record.first_chunk().is_some_and(|key| inserted.contains_key(key));
        let old = self.records().iter().filter(|record| !replaced(record));
        let mut records: Vec<[u8; RECORD]> = old.copied().chain(new).collect();
        if records.len() > MAX_RECORDS {
            records.sort_unstable_by_key(|record| Reverse(word_of(record, 1)));
            records.truncate(MAX_RECORDS);
        }
        records.sort_unstable();
        Self { bytes: records.concat(), start: 0 }
    }

    pub(crate) fn to_file(&self) -> Vec<u8> {
        let records = &self.bytes[self.start..];
        [&Self::header(records)[..], records].concat()
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

    #[test]
    fn the_longest_unchanged_go_first() {
        let entry = |time: usize| (key([time as u64, 1, 2, 3, 4, 5]), Digest::of("x"));
        let inserted: HashMap<Key, Digest> = (0..MAX_RECORDS + 10).map(entry).collect();
        let records = Records::default().merge(&inserted);
        assert_eq!(records.records().len(), MAX_RECORDS);
        for (time, kept) in [(0, false), (9, false), (10, true), (MAX_RECORDS + 9, true)] {
            assert_eq!(records.get(&entry(time).0).is_some(), kept, "{time}");
        }
    }
}
