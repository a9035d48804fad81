//! Loads an index: every offset is checked here once, so that nothing that reads one later can fail.

use kiln_types::{Digest, paths};

use super::header::{HEADER, Header, Shape, decode};
use super::record::{RECORD, Record, Tag, u32_at};
use super::{Index, MAX_ENTRIES};
use crate::change::compare_paths;
use crate::error::{Error, Result};

impl Index {
    /// Takes the bytes of [`Index::as_bytes`].
    ///
    /// # Errors
    /// Damaged bytes and other versions; the index can then be made anew with [`Index::from_tar`].
    pub fn load(bytes: Vec<u8>) -> Result<Self> {
        match check(&bytes) {
            Ok((header, entries)) => Ok(Self { bytes, header, entries }),
            Err(reason) => Err(Error::DamagedIndex { reason }),
        }
    }
}

fn check(bytes: &[u8]) -> Result<(Header, usize), &'static str> {
    let (header, Shape { entries, heap, body }) = decode(bytes)?;
    let entries = entries as usize;
    if entries == 0 || entries > MAX_ENTRIES || u32::try_from(bytes.len()).is_err() {
        return Err("its length is wrong");
    }
    let heap_start = HEADER + entries * RECORD;
    if (bytes.len() as u64).checked_sub(heap_start as u64) != Some(heap) {
        return Err("its length is wrong");
    }
    if Digest::of(&bytes[HEADER..]) != body {
        return Err("its digest is wrong");
    }
    let heap = &bytes[heap_start..];
    let slice = |offset: u64, length: u64| -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        heap.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    };
    let record_at = |number: usize| {
        bytes[HEADER + number * RECORD..]
            .first_chunk()
            .and_then(Record::from_bytes)
            .ok_or("it has an unknown kind of entry")
    };
    let mut previous: Option<&[u8]> = None;
    let mut open: Vec<(&[u8], usize)> = Vec::new();
    for number in 0..entries {
        let record = record_at(number)?;
        let path = slice(record.path.offset.into(), record.path.length.into()).ok_or("a path lies outside")?;
        if previous.map_or(!path.is_empty(), |previous| compare_paths(previous, path).is_ge()) {
            return Err("its paths are not in order");
        }
        while open.last().is_some_and(|&(_, end)| end <= number) {
            open.pop();
        }
        let limit = open.last().map_or(entries, |&(_, end)| end);
        let end = record.end as usize;
        let parent = open.last().map(|&(path, _)| path);
        if end <= number || end > limit || paths::parent(path) != parent {
            return Err("its directories do not nest");
        }
        match record.tag {
            Tag::Directory => open.push((path, end)),
            _ if end != number + 1 => return Err("something lies in what is no directory"),
            Tag::File if record.first.checked_add(record.second).is_none_or(|end| end > header.tar_size) => {
                return Err("a file lies outside of the layer");
            }
            Tag::Symlink if slice(record.first, record.second).is_none() => return Err("a link lies outside"),
            Tag::HardLink => match usize::try_from(record.first) {
                Ok(target) if target < number && record_at(target)?.tag == Tag::File => {}
                _ => return Err("a hard link has no target"),
            },
            _ => {}
        }
        let xattrs = slice(record.xattrs.offset.into(), record.xattrs.length.into()).ok_or("attributes lie outside")?;
        check_xattrs(xattrs).ok_or("attributes are cut off")?;
        previous = Some(path);
    }
    Ok((header, entries))
}

fn check_xattrs(mut rest: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        let lengths = rest.get(..8)?;
        let length = (u32_at(lengths, 0) as usize).checked_add(u32_at(lengths, 4) as usize)?;
        rest = rest.get(8..)?.get(length..)?;
    }
    Some(())
}
