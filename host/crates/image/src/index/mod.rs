//! The index of a layer: path → metadata and place in the tar, read without parsing.
//!
//! ```text
//! header    magic, version, counts, diff id, content digest, digests of the parts, its own digest     1024 bytes
//! image     an EROFS image of the same entries, for the kernel: see `erofs`; starts with the header
//! records   one of 88 bytes for each entry, sorted by path: a directory stands directly before
//!           its content and knows the number of the first record after it
//! heap      paths, link targets, extended attributes
//! ```
//! A path is found by binary search, the children of a directory by jumping from subtree to subtree. The same layer
//! always gives the same bytes, whether indexed while it is written or from its tar.
//!
//! Of an index that is known to be whole only what is asked for is read, so whoever asks has to expect an error: offsets are
//! checked where they are used.

mod body;
mod build;
mod check;
mod erofs;
mod header;
mod record;
mod scan;

use std::cmp::Ordering;
use std::ops::Range;

use kiln_types::Digest;

use crate::change::compare_paths;
use crate::error::{Error, Result};
use crate::meta::{Meta, Xattrs};
use crate::tar::MAX_ENTRIES;
use body::Body;
pub(crate) use build::Builder;
use check::check_xattrs;
pub use header::Header;
use header::{HEADER, Shape, encode};
use record::{IMPLIED, OPAQUE, RECORD, Record, Span, Tag, u32_at};
pub use scan::{survey, survey_file};

/// See the module's head.
pub struct Index {
    /// Records and heap.
    body: Body,
    header: Header,
    entries: usize,
}

/// One path of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub path: &'a [u8],
    pub kind: Kind<'a>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    /// A directory that other paths imply but the layer does not list: the one below keeps its metadata.
    pub implied: bool,
    /// Counts from 0 in the order of [`Index::iter`].
    pub number: usize,
    /// Of a file or hard link.
    pub(crate) holder: Option<Holder>,
    xattrs: &'a [u8],
}

/// The `File` entry that holds the content of a file or hard link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) number: usize,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    Directory {
        opaque: bool,
    },
    /// `offset` is that of the first byte of content in the tar.
    File {
        offset: u64,
        size: u64,
        digest: Digest,
    },
    Symlink(&'a [u8]),
    /// Path of the `File` entry, which stands earlier.
    HardLink(&'a [u8]),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    Whiteout,
}

impl<'a> Entry<'a> {
    pub fn meta(&self) -> Meta {
        let xattrs: Xattrs = self.xattrs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        Meta { mode: self.mode, uid: self.uid, gid: self.gid, mtime: self.mtime, xattrs }
    }

    pub fn xattrs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.xattrs;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (name, value) = (u32_at(rest, 0) as usize, u32_at(rest, 4) as usize);
            let (pair, after) = rest[8..].split_at(name + value);
            rest = after;
            Some(pair.split_at(name))
        })
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
}

/// Where the way from the root to a path ends in one layer.
pub(crate) enum Descent<'a> {
    Found(Entry<'a>),
    /// The layer has nothing there, and nothing that hides what is below.
    Absent,
    /// Something on the way is no directory or was removed: the path does not exist here nor below.
    Hidden,
}

impl Index {
    /// The whole index, as it is kept in a file. What was read of one is checked again.
    ///
    /// # Errors
    /// The file that it is read from cannot be read or is damaged.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        /// Two digests of less are not worth a thread.
        const LONG: usize = 1 << 20;
        let body = match &self.body {
            Body::Memory(bytes) => bytes,
            Body::File(partial) => return Self::read(partial.file())?.to_bytes(),
        };
        let mut out = erofs::image(self)?.unwrap_or_else(|| vec![0; HEADER]);
        let (image_digest, body_digest) = (|| Digest::of(&out[HEADER..]), || Digest::of(body));
        let (image, digest) =
            if body.len() < LONG { (image_digest(), body_digest()) } else { rayon::join(image_digest, body_digest) };
        let shape = Shape {
            entries: self.entries as u32,
            heap: (body.len() - self.entries * RECORD) as u64,
            image_end: out.len() as u64,
            image,
            body: digest,
        };
        out[..HEADER].copy_from_slice(&encode(&self.header, &shape));
        out.extend_from_slice(body);
        Ok(out)
    }

    pub fn header(&self) -> Header {
        self.header
    }

    pub fn diff_id(&self) -> Digest {
        self.header.diff_id
    }

    /// See [`Header::content_digest`].
    pub fn content_digest(&self) -> Digest {
        self.header.content_digest
    }

    /// See [`Header::tar_size`].
    pub fn tar_size(&self) -> u64 {
        self.header.tar_size
    }

    /// See [`Header::files_size`].
    pub fn files_size(&self) -> u64 {
        self.header.files_size
    }

    /// Number of entries with those implied; never 0, as the root is always there.
    #[expect(clippy::len_without_is_empty, reason = "an index is never empty")]
    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn get(&self, path: &[u8]) -> Result<Option<Entry<'_>>> {
        self.position(path)?.ok().map(|number| self.entry(number)).transpose()
    }

    /// What is directly in a directory, bytewise by name; nothing where there is no such directory.
    pub fn children(&self, directory: &[u8]) -> Result<Vec<Entry<'_>>> {
        self.get(directory)?.map_or(Ok(Vec::new()), |directory| self.inside(&directory))
    }

    /// The same of an entry of this index.
    pub(crate) fn inside(&self, directory: &Entry<'_>) -> Result<Vec<Entry<'_>>> {
        let mut children = Vec::new();
        for number in self.children_of(directory.number)? {
            let child = self.entry(number)?;
            // Whoever goes down from child to child comes to an end.
            if kiln_types::paths::parent(child.path) != Some(directory.path) {
                return Err(damaged(NESTING));
            }
            children.push(child);
        }
        Ok(children)
    }

    /// The numbers of what is directly in the directory with this number.
    fn children_of(&self, number: usize) -> Result<Vec<usize>> {
        let end = self.subtree(number)?.end;
        let mut children = Vec::new();
        let mut next = number + 1;
        while next < end {
            children.push(next);
            next = self.subtree(next)?.end;
        }
        Ok(children)
    }

    /// The numbers of an entry and of all below it.
    fn subtree(&self, number: usize) -> Result<Range<usize>> {
        let end = self.record(number)?.end as usize;
        let nests = number < end && end <= self.entries;
        if nests { Ok(number..end) } else { Err(damaged(NESTING)) }
    }

    fn is_directory(&self, number: usize) -> Result<bool> {
        Ok(self.record(number)?.tag == Tag::Directory)
    }

    /// All entries sorted by path, parents first. Ends after an error.
    pub fn iter(&self) -> impl Iterator<Item = Result<Entry<'_>>> {
        let unreadable = self.body.whole().err();
        let entries = if unreadable.is_some() { 0..0 } else { 0..self.len() };
        unreadable.into_iter().map(Err).chain(entries.map(|number| self.entry(number)))
    }

    /// Those at `path` and after it.
    pub fn iter_from(&self, path: &[u8]) -> Result<impl Iterator<Item = Result<Entry<'_>>> + use<'_>> {
        let (Ok(start) | Err(start)) = self.position(path)?;
        Ok((start..self.len()).map(|number| self.entry(number)))
    }

    /// Walks from the root to `path`; says also whether a directory strictly above it is opaque.
    pub(crate) fn descend(&self, path: &[u8]) -> Result<(Descent<'_>, bool)> {
        let mut opaque = false;
        // What comes next is among these: the root is the first of all.
        let mut below = 0..1;
        if !path.is_empty() {
            for part in std::iter::once(&b""[..]).chain(kiln_types::paths::ancestors(path)) {
                let Ok(number) = self.position_in(part, below)? else { return Ok((Descent::Absent, opaque)) };
                let record = self.record(number)?;
                opaque |= record.flags & OPAQUE != 0;
                if record.tag != Tag::Directory {
                    return Ok((Descent::Hidden, opaque));
                }
                below = self.subtree(number)?;
            }
        }
        let found = match self.position_in(path, below)? {
            Ok(number) => self.entry(number)?,
            Err(_) => return Ok((Descent::Absent, opaque)),
        };
        let descent = if found.kind == Kind::Whiteout { Descent::Hidden } else { Descent::Found(found) };
        Ok((descent, opaque))
    }

    /// The entry with this number.
    pub fn entry(&self, number: usize) -> Result<Entry<'_>> {
        let record = self.record(number)?;
        let device = || (u32::try_from(record.first).unwrap_or(0), u32::try_from(record.second).unwrap_or(0));
        let mut holder = None;
        let kind = match record.tag {
            Tag::Directory => Kind::Directory { opaque: record.flags & OPAQUE != 0 },
            Tag::File => {
                let held = self.holder(number, &record)?;
                holder = Some(held);
                Kind::File { offset: held.offset, size: held.size, digest: held.digest }
            }
            Tag::Symlink => Kind::Symlink(self.slice(record.link()?)?),
            Tag::HardLink => {
                let target = usize::try_from(record.first).ok().filter(|target| *target < number);
                let target = target.ok_or(damaged(NO_TARGET))?;
                let record = self.record(target)?;
                if record.tag != Tag::File {
                    return Err(damaged(NO_TARGET));
                }
                holder = Some(self.holder(target, &record)?);
                Kind::HardLink(self.slice(record.path)?)
            }
            Tag::CharDevice => {
                let (major, minor) = device();
                Kind::CharDevice { major, minor }
            }
            Tag::BlockDevice => {
                let (major, minor) = device();
                Kind::BlockDevice { major, minor }
            }
            Tag::Fifo => Kind::Fifo,
            Tag::Whiteout => Kind::Whiteout,
        };
        let xattrs = self.slice(record.xattrs)?;
        check_xattrs(xattrs).ok_or(damaged("attributes are cut off"))?;
        Ok(Entry {
            path: self.slice(record.path)?,
            kind,
            mode: u32::from(record.mode),
            uid: record.uid,
            gid: record.gid,
            mtime: record.mtime,
            implied: record.flags & IMPLIED != 0,
            number,
            holder,
            xattrs,
        })
    }

    fn holder(&self, number: usize, record: &Record) -> Result<Holder> {
        let (offset, size) = (record.first, record.second);
        match offset.checked_add(size) {
            Some(end) if end <= self.tar_size() => Ok(Holder { number, offset, size, digest: record.digest }),
            _ => Err(damaged("a file lies outside of the layer")),
        }
    }

    fn record(&self, number: usize) -> Result<Record> {
        if number >= self.entries {
            return Err(damaged("an entry lies outside"));
        }
        let bytes = self.body.bytes(number * RECORD, RECORD)?;
        bytes.first_chunk().and_then(Record::from_bytes).ok_or(damaged("it has an unknown kind of entry"))
    }

    fn path(&self, number: usize) -> Result<&[u8]> {
        let span = self.body.bytes(number * RECORD, 8)?;
        self.slice(Span { offset: u32_at(span, 0), length: u32_at(span, 4) })
    }

    fn slice(&self, span: Span) -> Result<&[u8]> {
        self.body.bytes(self.entries * RECORD + span.offset as usize, span.length as usize)
    }

    fn position(&self, path: &[u8]) -> Result<Result<usize, usize>> {
        self.position_in(path, 0..self.entries)
    }

    fn position_in(&self, path: &[u8], numbers: Range<usize>) -> Result<Result<usize, usize>> {
        search(numbers, path, |number| self.path(number))
    }
}

const NESTING: &str = "its directories do not nest";
const NO_TARGET: &str = "a hard link has no target";

fn damaged(reason: &'static str) -> Error {
    Error::DamagedIndex { reason }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("diff_id", &self.diff_id()).field("entries", &self.len()).finish()
    }
}

impl Record {
    /// The target of a symbolic link.
    fn link(&self) -> Result<Span> {
        match (u32::try_from(self.first), u32::try_from(self.second)) {
            (Ok(offset), Ok(length)) => Ok(Span { offset, length }),
            _ => Err(damaged("a link lies outside")),
        }
    }
}

fn search<'a, E>(
    numbers: Range<usize>,
    path: &[u8],
    path_of: impl Fn(usize) -> Result<&'a [u8], E>,
) -> Result<Result<usize, usize>, E> {
    let Range { start: mut low, end: mut high } = numbers;
    while low < high {
        let middle = low.midpoint(high);
        match compare_paths(path_of(middle)?, path) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Ok(Ok(middle)),
        }
    }
    Ok(Err(low))
}
