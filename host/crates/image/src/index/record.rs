//! The fixed-size record of one entry.

use kiln_types::Digest;

pub(super) const RECORD: usize = 88;

/// A piece of the string heap.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// What the two numbers `first` and `second` mean depends on the kind.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Directory = 0,
    /// Offset in the tar and size.
    File = 1,
    /// Offset and length in the heap.
    Symlink = 2,
    /// Number of the target's record.
    HardLink = 3,
    /// Major and minor number.
    CharDevice = 4,
    BlockDevice = 5,
    Fifo = 6,
    Whiteout = 7,
}

impl Tag {
    fn from_byte(byte: u8) -> Option<Self> {
        use Tag::*;
        [Directory, File, Symlink, HardLink, CharDevice, BlockDevice, Fifo, Whiteout]
            .into_iter()
            .find(|&tag| tag as u8 == byte)
    }
}

pub(super) const OPAQUE: u8 = 1;
pub(super) const IMPLIED: u8 = 2;

#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) path: Span,
    pub(super) tag: Tag,
    pub(super) flags: u8,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Number of the first record that is not below this one.
    pub(super) end: u32,
    pub(super) mtime: i64,
    pub(super) first: u64,
    pub(super) second: u64,
    pub(super) xattrs: Span,
    pub(super) digest: Digest,
}

impl Record {
    pub(super) fn to_bytes(self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&self.path.offset.to_le_bytes());
        put(&self.path.length.to_le_bytes());
        put(&[self.tag as u8, self.flags]);
        put(&self.mode.to_le_bytes());
        put(&self.uid.to_le_bytes());
        put(&self.gid.to_le_bytes());
        put(&self.end.to_le_bytes());
        put(&self.mtime.to_le_bytes());
        put(&self.first.to_le_bytes());
        put(&self.second.to_le_bytes());
        put(&self.xattrs.offset.to_le_bytes());
        put(&self.xattrs.length.to_le_bytes());
        put(self.digest.as_bytes());
        out
    }

    /// `None` where the tag is unknown.
    pub(super) fn from_bytes(bytes: &[u8; RECORD]) -> Option<Self> {
        Some(Self {
            path: Span { offset: u32_at(bytes, 0), length: u32_at(bytes, 4) },
            tag: Tag::from_byte(bytes[8])?,
            flags: bytes[9],
            mode: u16::from_le_bytes([bytes[10], bytes[11]]),
            uid: u32_at(bytes, 12),
            gid: u32_at(bytes, 16),
            end: u32_at(bytes, 20),
            mtime: u64_at(bytes, 24).cast_signed(),
            first: u64_at(bytes, 32),
            second: u64_at(bytes, 40),
            xattrs: Span { offset: u32_at(bytes, 48), length: u32_at(bytes, 52) },
            digest: digest_at(bytes, 56),
        })
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(super) fn digest_at(bytes: &[u8], at: usize) -> Digest {
    Digest::from_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
