//! Layers that came as tars, in one pass over them: their index, or only what is in them all together.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use kiln_types::{Digest, Hasher};

use super::{Builder, Index, Kind};
use crate::digesting::Digesting;
use crate::error::{Error, Result};
use crate::tar::{Found, Item, Member, MemberKind, Reader, Tree};

#[derive(Clone, PartialEq)]
struct Place {
    offset: u64,
    size: u64,
    digest: Digest,
}

impl Index {
    /// Reads an uncompressed layer of any origin to its end: its index, its diff id and its size.
    ///
    /// # Errors
    /// Whatever is no layer, with the entry's name; memory stays bounded whatever comes.
    pub fn from_tar(tar: impl Read) -> Result<(Self, Digest, u64)> {
        let mut tee = Tee { input: tar, block: Arc::default(), position: 0, digesting: Digesting::start() };
        let mut reader = Reader::new(&mut tee);
        let mut buffer = vec![0; 64 << 10];
        let tree = read_tree(&mut reader, |reader, _| {
            digest(reader.content(), &mut buffer).map_err(Error::io("read the tar"))
        })?;
        let size = reader.drain()?;
        let diff_id = tee.digesting.finish();
        Ok((build(tree)?.finish(diff_id, size)?, diff_id, size))
    }
}

/// Reads an uncompressed layer to its end: its diff id, and the bytes of its files as its index would have them.
///
/// # Errors
/// Whatever [`Index::from_tar`] refuses.
pub fn survey(tar: impl Read) -> Result<(Digest, u64)> {
    let mut tee = Tee { input: tar, block: Arc::default(), position: 0, digesting: Digesting::start() };
    let mut reader = Reader::new(&mut tee);
    let tree = read_tree(&mut reader, |_, _| Ok(UNKNOWN))?;
    reader.drain()?;
    let diff_id = tee.digesting.finish();
    Ok((diff_id, build(tree)?.files_size()))
}

/// The bytes of the files in an uncompressed layer. Only its headers are read.
///
/// # Errors
/// Whatever [`Index::from_tar`] refuses.
pub fn survey_file(tar: &File) -> Result<u64> {
    let length = tar.metadata().map_err(Error::io("read the tar"))?.len();
    let mut reader = Reader::new(BufReader::with_capacity(64 << 10, tar));
    let tree = read_tree(&mut reader, |reader, member| {
        if member.offset.saturating_add(member.size) > length {
            return Err(Error::Tar { offset: length, reason: "it ends within the content of a member" });
        }
        reader.seek_past_content().map(|()| UNKNOWN)
    })?;
    Ok(build(tree)?.files_size())
}

/// Stands for the digest of a content where nobody asks for it.
const UNKNOWN: Digest = Digest::from_bytes([0; 32]);

fn build(tree: Tree<Place>) -> Result<Builder> {
    let mut builder = Builder::new();
    for (path, meta, found) in tree.into_sorted() {
        builder.push(&path, &meta, kind(&found))?;
    }
    Ok(builder)
}

/// `take` reads or passes over the content of a file and answers its digest.
fn read_tree<R: Read>(
    reader: &mut Reader<R>,
    mut take: impl FnMut(&mut Reader<R>, &Member) -> Result<Digest>,
) -> Result<Tree<Place>> {
    let mut tree = Tree::new(true);
    while let Some(member) = reader.next()? {
        let item = match member.kind {
            MemberKind::File => {
                let digest = take(reader, &member)?;
                Item::File(Place { offset: member.offset, size: member.size, digest })
            }
            MemberKind::HardLink => Item::HardLink(member.link),
            MemberKind::Symlink => Item::Symlink(member.link),
            MemberKind::CharDevice { major, minor } => Item::CharDevice { major, minor },
            MemberKind::BlockDevice { major, minor } => Item::BlockDevice { major, minor },
            MemberKind::Directory => Item::Directory,
            MemberKind::Fifo => Item::Fifo,
        };
        tree.add(&member.path, member.meta, item)?;
    }
    Ok(tree)
}

fn digest(mut content: impl Read, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    loop {
        match content.read(buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn kind(found: &Found<Place>) -> Kind<'_> {
    match found {
        Found::Directory { opaque } => Kind::Directory { opaque: *opaque },
        Found::File(Place { offset, size, digest }) => Kind::File { offset: *offset, size: *size, digest: *digest },
        Found::HardLink(target) => Kind::HardLink(target),
        Found::Symlink(target) => Kind::Symlink(target),
        Found::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
        Found::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
        Found::Fifo => Kind::Fifo,
        Found::Whiteout => Kind::Whiteout,
    }
}

/// Has every block that is read digested too.
struct Tee<R> {
    input: R,
    block: Arc<Vec<u8>>,
    position: usize,
    digesting: Digesting,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() {
            self.block = self.digesting.read(&mut self.input)?;
            self.position = 0;
        }
        let rest = &self.block[self.position..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.position += length;
        Ok(length)
    }
}
