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

mod build;
mod check;
mod erofs;
mod header;
mod record;
mod scan;

use std::cmp::Ordering;

use kiln_types::Digest;

use crate::change::compare_paths;
use crate::meta::{Meta, Xattrs};
use crate::tar::MAX_ENTRIES;
pub(crate) use build::Builder;
pub use header::Header;
use header::{HEADER, Shape, encode};
use record::{IMPLIED, OPAQUE, RECORD, Record, Span, Tag, u32_at};
pub use scan::{survey, survey_file};

/// See the module's head. Every offset in the bytes has been checked.
#[derive(Clone)]
pub struct Index {
    /// Records and heap.
    bytes: Vec<u8>,
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
    xattrs: &'a [u8],
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
    /// The whole index, as it is kept in a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        /// Two digests of less are not worth a thread.
        const LONG: usize = 1 << 20;
        let mut out = erofs::image(self).unwrap_or_else(|| vec![0; HEADER]);
        let (image, body) = (|| Digest::of(&out[HEADER..]), || Digest::of(&self.bytes));
        let (image, body) = if self.bytes.len() < LONG { (image(), body()) } else { rayon::join(image, body) };
        let shape = Shape {
            entries: self.entries as u32,
            heap: (self.bytes.len() - self.entries * RECORD) as u64,
            image_end: out.len() as u64,
            image,
            body,
        };
        out[..HEADER].copy_from_slice(&encode(&self.header, &shape));
        out.extend_from_slice(&self.bytes);
        out
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

    pub fn get(&self, path: &[u8]) -> Option<Entry<'_>> {
        self.position(path).ok().map(|number| self.entry(number))
    }

    /// What is directly in a directory, bytewise by name; nothing where there is no such directory.
    pub fn children(&self, directory: &[u8]) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        let number = self.position(directory).ok();
        number.into_iter().flat_map(|number| self.children_of(number)).map(|child| self.entry(child))
    }

    /// The numbers of what is directly in the directory with this number.
    fn children_of(&self, number: usize) -> impl Iterator<Item = usize> + use<'_> {
        let end = self.record(number).end as usize;
        let mut next = number + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let child = next;
            next = self.record(child).end as usize;
            Some(child)
        })
    }

    fn is_directory(&self, number: usize) -> bool {
        self.record(number).tag == Tag::Directory
    }

    /// All entries sorted by path, parents first.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|number| self.entry(number))
    }

    /// Those at `path` and after it.
    pub fn iter_from(&self, path: &[u8]) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        let (Ok(start) | Err(start)) = self.position(path);
        (start..self.len()).map(|number| self.entry(number))
    }

    /// Walks from the root to `path`; says also whether a directory strictly above it is opaque.
    pub(crate) fn descend(&self, path: &[u8]) -> (Descent<'_>, bool) {
        let mut opaque = false;
        let mut step = |part: &[u8]| {
            let number = self.position(part).ok()?;
            let record = self.record(number);
            opaque |= record.flags & OPAQUE != 0;
            Some(record.tag == Tag::Directory)
        };
        if !path.is_empty() {
            for part in std::iter::once(&b""[..]).chain(kiln_types::paths::ancestors(path)) {
                match step(part) {
                    Some(true) => {}
                    Some(false) => return (Descent::Hidden, opaque),
                    None => return (Descent::Absent, opaque),
                }
            }
        }
        match self.get(path) {
            Some(Entry { kind: Kind::Whiteout, .. }) => (Descent::Hidden, opaque),
            Some(entry) => (Descent::Found(entry), opaque),
            None => (Descent::Absent, opaque),
        }
    }

    /// The entry with this number.
    pub fn entry(&self, number: usize) -> Entry<'_> {
        let record = self.record(number);
        let device = || (u32::try_from(record.first).unwrap_or(0), u32::try_from(record.second).unwrap_or(0));
        let kind = match record.tag {
            Tag::Directory => Kind::Directory { opaque: record.flags & OPAQUE != 0 },
            Tag::File => Kind::File { offset: record.first, size: record.second, digest: record.digest },
            Tag::Symlink => Kind::Symlink(self.slice(record.link())),
            Tag::HardLink => Kind::HardLink(self.path(record.first as usize)),
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
        Entry {
            path: self.slice(record.path),
            kind,
            mode: u32::from(record.mode),
            uid: record.uid,
            gid: record.gid,
            mtime: record.mtime,
            implied: record.flags & IMPLIED != 0,
            number,
            xattrs: self.slice(record.xattrs),
        }
    }

    /// The `File` entry that holds the content of a file or hard link.
    pub(crate) fn link_target(&self, number: usize) -> Entry<'_> {
        let record = self.record(number);
        self.entry(if record.tag == Tag::HardLink { record.first as usize } else { number })
    }

    fn record(&self, number: usize) -> Record {
        let at = number * RECORD;
        let bytes = self.bytes[at..at + RECORD].first_chunk().expect("the slice is as long as a record");
        Record::from_bytes(bytes).expect("tags were checked when the index was made or loaded")
    }

    fn path(&self, number: usize) -> &[u8] {
        let at = number * RECORD;
        self.slice(Span { offset: u32_at(&self.bytes, at), length: u32_at(&self.bytes, at + 4) })
    }

    fn slice(&self, span: Span) -> &[u8] {
        let start = self.len() * RECORD + span.offset as usize;
        &self.bytes[start..start + span.length as usize]
    }

    fn position(&self, path: &[u8]) -> Result<usize, usize> {
        search(self.len(), path, |number| self.path(number))
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("diff_id", &self.diff_id()).field("entries", &self.len()).finish()
    }
}

impl Record {
    /// The target of a symbolic link; its numbers were checked to fit.
    fn link(&self) -> Span {
        Span { offset: self.first as u32, length: self.second as u32 }
    }
}

fn search<'a>(length: usize, path: &[u8], path_of: impl Fn(usize) -> &'a [u8]) -> Result<usize, usize> {
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = low.midpoint(high);
        match compare_paths(path_of(middle), path) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Ok(middle),
        }
    }
    Err(low)
}
