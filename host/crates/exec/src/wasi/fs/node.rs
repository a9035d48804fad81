//! What the tree consists of: files, directories, links, devices.

use std::collections::BTreeMap;

use kiln_image::{Found, Meta};

use super::data::Data;
use super::mounts::VolumeId;
use crate::wasi::limits::Reservation;

/// A node's place in the tree's table.
pub(crate) type NodeId = usize;

pub(super) struct Node {
    pub(super) meta: Meta,
    /// The part of the modification time that layers do not keep.
    pub(super) nanoseconds: u32,
    /// Set by a program only: reading does not count.
    pub(super) accessed: Option<u64>,
    /// A program has set the times itself. What follows from changed entries is not a change of the directory.
    pub(super) times_set: bool,
    /// Names in directories.
    pub(super) links: u32,
    /// Open descriptors and the like.
    pub(super) handles: u32,
    /// The inode number, given when first asked for.
    pub(super) number: Option<u64>,
    /// The path in the volume's lower layers that it came from.
    pub(super) origin: Option<Vec<u8>>,
    /// What it belongs to: the image or a mount.
    pub(super) volume: VolumeId,
    /// A directory that was made for a mount point in it.
    pub(super) scaffold: bool,
    /// Part of the world, not of the image: never in the change set, cannot be removed.
    pub(super) synthetic: bool,
    /// Bytes counted against the step's limit for files.
    pub(super) charged: u64,
    /// And against that for memory.
    pub(super) reserved: Option<Reservation>,
    pub(super) body: Body,
}

pub(super) enum Body {
    Directory(Directory),
    File(Data),
    Symlink(Vec<u8>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// `/dev/stdin`, `/dev/stdout`, `/dev/stderr`: the opener's own descriptor of that number.
    Standard(u32),
}

pub(super) struct Directory {
    pub(super) parent: NodeId,
    /// The names looked at so far; `None` hides a name of the lower directory.
    pub(super) entries: BTreeMap<Vec<u8>, Option<NodeId>>,
    /// `entries` has all names; else the directory at the node's origin has more.
    pub(super) complete: bool,
    /// Nothing can be made here.
    pub(super) read_only: bool,
}

impl Directory {
    pub(super) fn new(parent: NodeId, complete: bool) -> Self {
        Self { parent, entries: BTreeMap::new(), complete, read_only: false }
    }
}

/// As preview 1 numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SymbolicLink = 7,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) number: u64,
    pub(crate) file_type: FileType,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    /// Type and permission bits as in `st_mode`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Node {
    pub(super) fn new(meta: Meta, body: Body) -> Self {
        Self {
            meta,
            nanoseconds: 0,
            accessed: None,
            times_set: false,
            links: 1,
            handles: 0,
            number: None,
            origin: None,
            volume: 0,
            scaffold: false,
            synthetic: false,
            charged: 0,
            reserved: None,
            body,
        }
    }

    pub(super) fn lower(found: Found, parent: NodeId, volume: VolumeId) -> Self {
        let body = match found.node {
            kiln_image::Node::Directory { .. } => Body::Directory(Directory::new(parent, false)),
            kiln_image::Node::File(content) => Body::File(Data::lower(content, found.digest)),
            kiln_image::Node::Symlink(target) => Body::Symlink(target),
            kiln_image::Node::CharDevice { major, minor } => Body::CharDevice { major, minor },
            kiln_image::Node::BlockDevice { major, minor } => Body::BlockDevice { major, minor },
            kiln_image::Node::Fifo => Body::Fifo,
            kiln_image::Node::HardLink(_) | kiln_image::Node::Whiteout => {
                unreachable!("a view resolves hard links and whiteouts")
            }
        };
        Self { origin: Some(found.path), volume, ..Self::new(found.meta, body) }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    pub(super) fn file_type(&self) -> FileType {
        match self.body {
            Body::Directory(_) => FileType::Directory,
            Body::File(_) => FileType::RegularFile,
            Body::Symlink(_) => FileType::SymbolicLink,
            Body::CharDevice { .. } | Body::Standard(_) => FileType::CharacterDevice,
            Body::BlockDevice { .. } => FileType::BlockDevice,
            Body::Fifo => FileType::Unknown,
        }
    }

    /// `S_IFMT` and the permission bits.
    pub(super) fn mode(&self) -> u32 {
        let file_type = match self.body {
            Body::Directory(_) => 0o040_000,
            Body::File(_) => 0o100_000,
            Body::Symlink(_) => 0o120_000,
            Body::CharDevice { .. } | Body::Standard(_) => 0o020_000,
            Body::BlockDevice { .. } => 0o060_000,
            Body::Fifo => 0o010_000,
        };
        file_type | self.meta.mode & 0o7777
    }

    pub(super) fn size(&self) -> u64 {
        match &self.body {
            Body::File(data) => data.size(),
            Body::Symlink(target) => target.len() as u64,
            _ => 0,
        }
    }

    /// In nanoseconds since 1970; preview 1 knows no earlier times.
    pub(super) fn modified(&self) -> u64 {
        u64::try_from(self.meta.mtime)
            .unwrap_or(0)
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(self.nanoseconds))
    }

    pub(super) fn set_modified(&mut self, time: u64) {
        self.meta.mtime = (time / 1_000_000_000) as i64;
        self.nanoseconds = (time % 1_000_000_000) as u32;
    }
}
