//! Makes the index of a layer that came as a tar, in one pass over it.

use std::io::{self, Read};
use std::sync::Arc;

use kiln_types::{Digest, Hasher};

use super::{Builder, Index, Kind};
use crate::digesting::Digesting;
use crate::error::{Error, Result};
use crate::tar::{Found, Item, MemberKind, Reader, Tree};

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
        let tree = read_tree(&mut reader)?;
        let size = reader.drain()?;
        let diff_id = tee.digesting.finish();
        let mut builder = Builder::new();
        for (path, meta, found) in tree.into_sorted() {
            builder.push(&path, &meta, kind(&found))?;
        }
        Ok((builder.finish(diff_id, size)?, diff_id, size))
    }
}

fn read_tree(reader: &mut Reader<impl Read>) -> Result<Tree<Place>> {
    let mut tree = Tree::new(true);
    let mut buffer = vec![0; 64 << 10];
    while let Some(member) = reader.next()? {
        let item = match member.kind {
            MemberKind::File => {
                let digest = digest(reader.content(), &mut buffer).map_err(Error::io("read the tar"))?;
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
