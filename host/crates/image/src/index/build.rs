//! Makes an index from entries that come in order.

use std::convert::Infallible;

use kiln_types::{Digest, Hasher, paths};

use super::body::Body;
use super::header::Header;
use super::record::{IMPLIED, OPAQUE, RECORD, Record, Span, Tag};
use super::{Index, Kind, MAX_ENTRIES, search};
use crate::change::{compare_paths, is_below};
use crate::error::{Error, Result};
use crate::meta::{Meta, Xattrs};

/// Longest heap: names and attributes of a layer that is larger than this are an attack.
const MAX_HEAP: usize = 512 << 20;

pub(crate) struct Builder {
    records: Vec<Record>,
    heap: Vec<u8>,
    /// The directories that hold the last entry, from the root down, as record numbers.
    open: Vec<usize>,
    files_size: u64,
    /// See [`Header::content_digest`].
    content: Hasher,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { records: Vec::new(), heap: Vec::new(), open: Vec::new(), files_size: 0, content: Hasher::new() }
    }

    /// Adds an entry; `path` must come after all before it. The metadata of whiteouts and hard links is not looked at.
    pub(crate) fn push(&mut self, path: &[u8], meta: &Meta, kind: Kind<'_>) -> Result<()> {
        self.open_parents(path)?;
        self.add(path, meta, kind, 0)
    }

    fn open_parents(&mut self, path: &[u8]) -> Result<()> {
        let disorder = |reason| Error::Disorder { path: paths::display(path), reason };
        if let Some(last) = self.records.last() {
            if compare_paths(self.slice(last.path), path).is_ge() {
                return Err(disorder("it does not come after the path before it"));
            }
            if last.tag != Tag::Directory && is_below(path, self.slice(last.path)) {
                return Err(disorder("what it lies in is no directory"));
            }
        }
        if path.is_empty() {
            return Ok(());
        }
        while let Some(&directory) = self.open.last()
            && !is_below(path, self.slice(self.records[directory].path))
        {
            self.open.pop();
            self.records[directory].end = self.records.len() as u32;
        }
        let known = self.open.last().map(|&directory| self.records[directory].path.length as usize);
        for parent in std::iter::once(&b""[..]).chain(paths::ancestors(path)) {
            if known.is_none_or(|known| parent.len() > known) {
                self.add(parent, &Meta::implied_directory(), Kind::Directory { opaque: false }, IMPLIED)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &[u8], meta: &Meta, kind: Kind<'_>, flags: u8) -> Result<()> {
        let number = self.records.len();
        if number >= MAX_ENTRIES {
            return Err(Error::entry(path, "the layer has too many entries"));
        }
        let mut record = Record {
            path: self.intern(path)?,
            tag: Tag::Whiteout,
            flags,
            mode: (meta.mode & 0o7777) as u16,
            uid: meta.uid,
            gid: meta.gid,
            end: number as u32 + 1,
            mtime: meta.mtime,
            first: 0,
            second: 0,
            xattrs: Span::default(),
            digest: Digest::from_bytes([0; 32]),
        };
        match kind {
            Kind::Directory { opaque } => {
                record.tag = Tag::Directory;
                record.flags |= if opaque { OPAQUE } else { 0 };
                self.open.push(number);
            }
            Kind::File { offset, size, digest } => {
                (record.tag, record.first, record.second, record.digest) = (Tag::File, offset, size, digest);
                self.files_size = self.files_size.saturating_add(size);
            }
            Kind::Symlink(target) => {
                let span = self.intern(target)?;
                (record.tag, record.mode) = (Tag::Symlink, 0o777);
                (record.first, record.second) = (u64::from(span.offset), u64::from(span.length));
            }
            Kind::HardLink(target) => {
                let path_of = |number: usize| Ok::<_, Infallible>(self.slice(self.records[number].path));
                let Ok(found) = search(0..number, target, path_of);
                let target = match found {
                    Ok(target) if self.records[target].tag == Tag::File => target,
                    _ => return Err(Error::entry(path, "the target of the hard link is not an earlier file")),
                };
                let path = record.path;
                record = self.records[target];
                (record.tag, record.path, record.end) = (Tag::HardLink, path, number as u32 + 1);
                (record.first, record.second) = (target as u64, 0);
            }
            Kind::CharDevice { major, minor } => {
                (record.tag, record.first, record.second) = (Tag::CharDevice, major.into(), minor.into());
            }
            Kind::BlockDevice { major, minor } => {
                (record.tag, record.first, record.second) = (Tag::BlockDevice, major.into(), minor.into());
            }
            Kind::Fifo => record.tag = Tag::Fifo,
            Kind::Whiteout => (record.mode, record.uid, record.gid, record.mtime) = (0, 0, 0, 0),
        }
        if !matches!(kind, Kind::HardLink(_) | Kind::Whiteout) {
            record.xattrs = self.intern_xattrs(&meta.xattrs)?;
        }
        self.digest(&record);
        self.records.push(record);
        Ok(())
    }

    fn intern(&mut self, bytes: &[u8]) -> Result<Span> {
        let offset = self.heap.len();
        if bytes.len() > MAX_HEAP - offset {
            return Err(Error::entry(&bytes[..bytes.len().min(256)], "the names of the layer are too long in all"));
        }
        self.heap.extend_from_slice(bytes);
        Ok(Span { offset: offset as u32, length: bytes.len() as u32 })
    }

    fn intern_xattrs(&mut self, xattrs: &Xattrs) -> Result<Span> {
        let mut bytes = Vec::new();
        for (name, value) in xattrs {
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(value);
        }
        self.intern(&bytes)
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.heap[span.offset as usize..][..span.length as usize]
    }

    /// Of what was pushed.
    pub(crate) fn files_size(&self) -> u64 {
        self.files_size
    }

    pub(crate) fn finish(mut self, diff_id: Digest, tar_size: u64) -> Result<Index> {
        if self.records.is_empty() {
            self.add(b"", &Meta::implied_directory(), Kind::Directory { opaque: false }, IMPLIED)?;
        }
        for directory in std::mem::take(&mut self.open) {
            self.records[directory].end = self.records.len() as u32;
        }
        let mut bytes = Vec::with_capacity(self.records.len() * RECORD + self.heap.len());
        for record in &self.records {
            bytes.extend_from_slice(&record.to_bytes());
        }
        bytes.extend_from_slice(&self.heap);
        let header = Header {
            diff_id,
            content_digest: self.content.finish(),
            tar_size,
            files_size: self.files_size,
            is_complete: self.records.iter().skip(1).all(|record| record.flags & IMPLIED == 0),
        };
        Ok(Index { body: Body::Memory(bytes), header, entries: self.records.len() })
    }

    /// Digests everything of an entry but its time and its place in the tar.
    fn digest(&mut self, record: &Record) {
        let Self { records, heap, content: hasher, .. } = self;
        let slice = |span: Span| &heap[span.offset as usize..][..span.length as usize];
        hasher.field(slice(record.path));
        hasher.update([record.tag as u8, record.flags]);
        hasher.update(record.mode.to_le_bytes());
        hasher.update(record.uid.to_le_bytes());
        hasher.update(record.gid.to_le_bytes());
        match record.tag {
            Tag::File => {
                hasher.update(record.second.to_le_bytes());
                hasher.update(record.digest.as_bytes());
            }
            Tag::Symlink => hasher.field(slice(Span { offset: record.first as u32, length: record.second as u32 })),
            Tag::HardLink => hasher.field(slice(records[record.first as usize].path)),
            Tag::CharDevice | Tag::BlockDevice => {
                hasher.update(record.first.to_le_bytes());
                hasher.update(record.second.to_le_bytes());
            }
            Tag::Directory | Tag::Fifo | Tag::Whiteout => {}
        }
        hasher.field(slice(record.xattrs));
    }
}
