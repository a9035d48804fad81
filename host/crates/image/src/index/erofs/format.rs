//! The structures of EROFS, as `fs/erofs/erofs_fs.h` of Linux has them. All numbers are little-endian.

use kiln_types::Digest;

use crate::index::Entry;
use crate::index::record::Tag;

pub(super) const BLOCK: u64 = 512;
const BLOCK_BITS: u8 = 9;
/// Bytes of an inode of the extended form, the only one that has room for every owner, time and size.
pub(super) const INODE: u64 = 64;
/// Bytes of a directory entry without its name.
pub(super) const DIRENT: u64 = 12;
/// Where the slot of the tar is; slots have 128 bytes, and so has the superblock before it.
pub(super) const SLOT: usize = 1152;

const MAGIC: u32 = 0xe0f5_e1e2;
/// There are devices beside the one that holds the image.
const DEVICE_TABLE: u32 = 8;

pub(super) struct Superblock {
    pub(super) root: u16,
    pub(super) inodes: u64,
    pub(super) blocks: u32,
    pub(super) diff_id: Digest,
    pub(super) tar_blocks: u32,
}

impl Superblock {
    /// Writes it and the slot after it.
    pub(super) fn write(&self, out: &mut [u8]) {
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(12, &[BLOCK_BITS]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(48, &self.diff_id.as_bytes()[..16]);
        put(80, &DEVICE_TABLE.to_le_bytes());
        put(86, &1u16.to_le_bytes());
        put(88, &((SLOT / 128) as u16).to_le_bytes());
        // The slot: what the device is, how many blocks it has, and the number of its first one.
        put(128, self.diff_id.hex().as_bytes());
        put(192, &self.tar_blocks.to_le_bytes());
        put(196, &self.blocks.to_le_bytes());
    }
}

/// What an inode says about its data.
#[derive(Clone, Copy)]
pub(super) enum Data {
    /// A run of blocks.
    Plain { block: u32, size: u64 },
    /// The same, but what does not fill a block stands after the inode.
    Inline { block: u32, size: u64 },
    /// None: the numbers of a device.
    Device(u32),
}

/// `None` for numbers that Linux has no room for.
pub(super) fn device(major: u32, minor: u32) -> Option<Data> {
    let fits = major < 1 << 12 && minor < 1 << 20;
    fits.then_some(Data::Device((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)))
}

/// As directory entries have it.
#[derive(Clone, Copy)]
pub(super) enum Type {
    File = 1,
    Directory = 2,
    CharDevice = 3,
    BlockDevice = 4,
    Fifo = 5,
    Symlink = 7,
}

impl Type {
    pub(super) fn of(tag: Tag) -> Self {
        match tag {
            Tag::File | Tag::HardLink => Self::File,
            Tag::Directory => Self::Directory,
            Tag::CharDevice | Tag::Whiteout => Self::CharDevice,
            Tag::BlockDevice => Self::BlockDevice,
            Tag::Fifo => Self::Fifo,
            Tag::Symlink => Self::Symlink,
        }
    }

    /// As it stands in a mode.
    fn mode(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Symlink => 0o120_000,
        }
    }
}

pub(super) struct Inode {
    pub(super) kind: Type,
    pub(super) data: Data,
    /// Bytes of its attributes.
    pub(super) attributes: usize,
    pub(super) number: u32,
    pub(super) links: u32,
}

impl Inode {
    pub(super) fn write(&self, entry: &Entry<'_>, out: &mut [u8]) {
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        // The extended form is 1; how data is laid out follows from bit 1 on.
        let (format, size, place) = match self.data {
            Data::Plain { block, size } => (1, size, block),
            Data::Inline { block, size } => (1 | 2 << 1, size, block),
            Data::Device(device) => (1, 0, device),
        };
        put(0, &(format as u16).to_le_bytes());
        put(2, &super::attributes::count(self.attributes).to_le_bytes());
        put(4, &((self.kind.mode() | entry.mode) as u16).to_le_bytes());
        put(8, &size.to_le_bytes());
        put(16, &place.to_le_bytes());
        put(20, &(self.number + 1).to_le_bytes());
        put(24, &entry.uid.to_le_bytes());
        put(28, &entry.gid.to_le_bytes());
        put(32, &entry.mtime.to_le_bytes());
        put(44, &self.links.to_le_bytes());
    }
}
