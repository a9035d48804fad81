//! Loads an index: whole, with every offset checked, or known to be whole and then read where it is needed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use kiln_types::{Digest, Hasher, paths};

use super::body::{Body, Partial};
use super::header::{self, HEADER, Header, Shape};
use super::record::{RECORD, Record, Tag, u32_at};
use super::{Index, MAX_ENTRIES};
use crate::change::compare_paths;
use crate::error::{Error, Result};

impl Index {
    /// Reads what [`Index::to_bytes`] gave. The image for the kernel is passed over.
    ///
    /// # Errors
    /// Damaged bytes and other versions; the index can then be made anew with [`Index::from_tar`].
    pub fn read(mut input: impl Read + Seek) -> Result<Self> {
        let failed = || Error::io("read the index of a layer");
        input.rewind().map_err(failed())?;
        let (header, shape, length) = Self::read_beginning(&mut input)?;
        input.seek(SeekFrom::Start(shape.image_end)).map_err(failed())?;
        // Not more than there is.
        let mut bytes = Vec::with_capacity(length);
        input.take(length as u64).read_to_end(&mut bytes).map_err(failed())?;
        check(&bytes, &header, &shape).map_err(|reason| Error::DamagedIndex { reason })?;
        Ok(Self { body: Body::Memory(bytes), header, entries: shape.entries as usize })
    }

    /// An index in a file that is known to be what [`Index::to_bytes`] gives. Of it only what is asked for is read, and
    /// checked so far that nothing worse than an error comes of it if it is damaged nevertheless.
    ///
    /// # Errors
    /// It does not begin like an index, or is not as long as it says.
    pub fn open_known(file: File) -> Result<Self> {
        let (header, shape, length) = Self::read_beginning(&file)?;
        let body = Body::File(Partial::new(file, shape.image_end, length));
        Ok(Self { body, header, entries: shape.entries as usize })
    }

    /// The header, what it says about the rest, and the bytes of records and heap, which are there.
    fn read_beginning(mut input: impl Read + Seek) -> Result<(Header, Shape, usize)> {
        let (header, shape) = header::read(&mut input)?;
        let end = input.seek(SeekFrom::End(0)).map_err(Error::io("read the index of a layer"))?;
        let length = shape.body_length().filter(|length| shape.image_end.checked_add(*length) == Some(end));
        let length = length.and_then(|length| usize::try_from(length).ok());
        Ok((header, shape, length.ok_or(Error::DamagedIndex { reason: LENGTH })?))
    }

    /// Whether `input`, which is known to be what [`Index::to_bytes`] gives of an index, is that of this one, and has an
    /// image that the kernel can mount.
    ///
    /// # Errors
    /// It is another index.
    pub fn has_image(&self, mut input: impl Read) -> Result<bool> {
        let (header, shape) = header::read(&mut input)?;
        if header != self.header {
            return Err(Error::DamagedIndex { reason: ANOTHER });
        }
        Ok(shape.image_end > HEADER as u64)
    }

    /// Is `input` what [`Index::to_bytes`] gives of this index, with an image that the kernel can mount? Only layers with
    /// things that EROFS cannot hold have none.
    ///
    /// # Errors
    /// It is another index, or damaged: the kernel must not see it.
    pub fn check_image(&self, mut input: impl Read) -> Result<bool> {
        let (header, shape) = header::read(&mut input)?;
        if header != self.header {
            return Err(Error::DamagedIndex { reason: ANOTHER });
        }
        let mut left = shape.image_end - HEADER as u64;
        let has_image = left > 0;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match input.read(&mut buffer[..most]).map_err(Error::io("read the index of a layer"))? {
                0 => return Err(Error::DamagedIndex { reason: LENGTH }),
                read => {
                    hasher.update(&buffer[..read]);
                    left -= read as u64;
                }
            }
        }
        if hasher.finish() == shape.image { Ok(has_image) } else { Err(Error::DamagedIndex { reason: DIGEST }) }
    }
}

const ANOTHER: &str = "it is that of another layer";
const LENGTH: &str = "its length is wrong";
const DIGEST: &str = "its digest is wrong";

impl Shape {
    /// Bytes of records and heap; `None` where there cannot be so many.
    fn body_length(&self) -> Option<u64> {
        let possible = (1..=MAX_ENTRIES).contains(&(self.entries as usize));
        let length = (u64::from(self.entries) * RECORD as u64).checked_add(self.heap)?;
        (possible && u32::try_from(length).is_ok()).then_some(length)
    }
}

fn check(bytes: &[u8], header: &Header, shape: &Shape) -> Result<(), &'static str> {
    let entries = shape.entries as usize;
    if shape.body_length() != Some(bytes.len() as u64) {
        return Err(LENGTH);
    }
    if Digest::of(bytes) != shape.body {
        return Err(DIGEST);
    }
    let heap = &bytes[entries * RECORD..];
    let slice = |offset: u64, length: u64| -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        heap.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    };
    let record_at = |number: usize| {
        bytes[number * RECORD..].first_chunk().and_then(Record::from_bytes).ok_or("it has an unknown kind of entry")
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
    Ok(())
}

pub(super) fn check_xattrs(mut rest: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        let lengths = rest.get(..8)?;
        let length = (u32_at(lengths, 0) as usize).checked_add(u32_at(lengths, 4) as usize)?;
        rest = rest.get(8..)?.get(length..)?;
    }
    Some(())
}
