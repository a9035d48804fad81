//! The beginning of an index: what is worth knowing of a layer without reading all of it.

use std::io::Read;

use kiln_types::Digest;

use super::Index;
use super::record::{digest_at, u32_at, u64_at};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"kilnidx\0";
const VERSION: u32 = 3;
/// What EROFS leaves to others at the beginning of an image.
pub(super) const HEADER: usize = 1024;
const UNSEALED: usize = HEADER - 32;

/// See [`Index::read_header`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub diff_id: Digest,
    /// Digest of what the layer does, times left out: equal for layers that differ in mtimes only.
    pub content_digest: Digest,
    /// Bytes of the tar.
    pub tar_size: u64,
    /// Sum of the sizes of all regular files, hard links counted once.
    pub files_size: u64,
    /// It lists each directory on the way to what it lists, but perhaps the root.
    pub is_complete: bool,
}

/// What the header says about the rest.
pub(super) struct Shape {
    pub(super) entries: u32,
    pub(super) heap: u64,
    /// Where the EROFS image ends and the records begin; [`HEADER`] where there is none.
    pub(super) image_end: u64,
    /// Digest of the image, without this header.
    pub(super) image: Digest,
    /// Digest of records and heap.
    pub(super) body: Digest,
}

/// The bytes end with their own digest, against torn writes and worn disks.
pub(super) fn encode(header: &Header, shape: &Shape) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(MAGIC);
    put(&VERSION.to_le_bytes());
    put(&shape.entries.to_le_bytes());
    put(&shape.heap.to_le_bytes());
    put(&header.tar_size.to_le_bytes());
    put(&header.files_size.to_le_bytes());
    put(header.diff_id.as_bytes());
    put(header.content_digest.as_bytes());
    put(shape.body.as_bytes());
    put(&shape.image_end.to_le_bytes());
    put(shape.image.as_bytes());
    put(&[u8::from(header.is_complete)]);
    let seal = Digest::of(&bytes[..UNSEALED]);
    bytes[UNSEALED..].copy_from_slice(seal.as_bytes());
    bytes
}

/// Reads the header that `input` begins with.
pub(super) fn read(input: impl Read) -> Result<(Header, Shape)> {
    let mut bytes = Vec::with_capacity(HEADER);
    input.take(HEADER as u64).read_to_end(&mut bytes).map_err(Error::io("read the index of a layer"))?;
    decode(&bytes).map_err(|reason| Error::DamagedIndex { reason })
}

fn decode(bytes: &[u8]) -> Result<(Header, Shape), &'static str> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return Err("it does not begin like one");
    }
    if u32_at(bytes, 8) != VERSION {
        return Err("it has another version");
    }
    if Digest::of(&bytes[..UNSEALED]) != digest_at(bytes, UNSEALED) {
        return Err("the digest of its header is wrong");
    }
    let header = Header {
        tar_size: u64_at(bytes, 24),
        files_size: u64_at(bytes, 32),
        diff_id: digest_at(bytes, 40),
        content_digest: digest_at(bytes, 72),
        is_complete: bytes[176] == 1,
    };
    let shape = Shape {
        entries: u32_at(bytes, 12),
        heap: u64_at(bytes, 16),
        body: digest_at(bytes, 104),
        image_end: u64_at(bytes, 136),
        image: digest_at(bytes, 144),
    };
    if shape.image_end < HEADER as u64 {
        return Err("its image has no end");
    }
    Ok((header, shape))
}

impl Index {
    /// Reads only the beginning of an index.
    ///
    /// # Errors
    /// It does not begin like an index of this version, or is damaged there.
    pub fn read_header(input: impl Read) -> Result<Header> {
        Ok(read(input)?.0)
    }
}
