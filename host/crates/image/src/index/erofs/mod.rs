//! The EROFS image in an index: what the kernel mounts, so that a layer is never unpacked.
//!
//! It holds metadata only. The layer's tar is its second device, whose blocks are counted on after the image's own; as
//! blocks have 512 bytes here as they have there, a file's data is a run of the tar's blocks.
//!
//! ```text
//! 0       left to kiln's header
//! 1024    superblock
//! 1152    device slot: the tar
//! 1280    inodes, the root first; with each its attributes and the end of its data, where all that fits into a block
//! …       whole blocks of directories and of link targets
//! ```
//! The format is that of Linux' `fs/erofs/erofs_fs.h`. Removed paths are devices 0:0 and opaque directories have their
//! attribute, as overlayfs wants them.

mod attributes;
mod format;

use kiln_types::paths;

use super::{Entry, Holder, Index, Kind};
use crate::error::{Error, Result};
use format::{BLOCK, DIRENT, Data, INODE, Inode, SLOT, Superblock, Type};

/// Inodes are numbered by their place.
const INODE_UNIT: u64 = 32;
const FIRST_INODE: u64 = 1280;
/// Longest name, and longest link target, that Linux can handle.
const MAX_NAME: usize = 255;
const MAX_TARGET: usize = 4095;

/// Why there is no image.
enum Stop {
    /// EROFS cannot hold something of the layer.
    NoRoom,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The image for `index`; `None` where EROFS cannot hold something of it. Nothing in it leads out of the tar.
pub(super) fn image(index: &Index) -> Result<Option<Vec<u8>>> {
    match make(index) {
        Ok(image) => Ok(Some(image)),
        Err(Stop::NoRoom) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn make(index: &Index) -> Result<Vec<u8>, Stop> {
    let layout = Layout::new(index)?;
    let mut out = vec![0; usize::try_from(layout.blocks * BLOCK).map_err(|_| Stop::NoRoom)?];
    let tar_blocks = index.tar_size() / BLOCK;
    // One number says that there is no block.
    u32::try_from(layout.blocks + tar_blocks).ok().filter(|blocks| *blocks < u32::MAX).ok_or(Stop::NoRoom)?;
    let superblock = Superblock {
        root: u16::try_from(layout.places[0].inode / INODE_UNIT).map_err(|_| Stop::NoRoom)?,
        inodes: layout.inodes,
        blocks: layout.blocks as u32,
        diff_id: index.diff_id(),
        tar_blocks: tar_blocks as u32,
    };
    superblock.write(&mut out[SLOT - 128..SLOT + 128]);
    // The directories that hold the entry, each with the number of the first entry after it.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for entry in index.iter() {
        let entry = entry?;
        while open.last().is_some_and(|&(_, end)| end <= entry.number) {
            open.pop();
        }
        layout.write(index, &entry, open.last().map_or(0, |&(directory, _)| directory), &mut out)?;
        if entry.is_directory() {
            open.push((entry.number, index.subtree(entry.number)?.end));
        }
    }
    Ok(out)
}

/// Where everything goes.
struct Layout {
    places: Vec<Place>,
    inodes: u64,
    /// Number of the first block after the inodes.
    first: u64,
    /// Blocks of the image.
    blocks: u64,
}

#[derive(Clone, Copy)]
struct Place {
    /// Offset of the inode; hard links have their target's.
    inode: u64,
    /// Number of the first whole block of data, counted from [`Layout::first`].
    block: u64,
    /// The end of the data stands with the inode.
    inline: bool,
    links: u32,
}

impl Layout {
    /// `None` where something does not fit.
    fn new(index: &Index) -> Result<Self, Stop> {
        let mut places: Vec<Place> = Vec::with_capacity(index.len());
        let mut end = FIRST_INODE;
        let (mut blocks, mut inodes) = (0, 0);
        for entry in index.iter() {
            let entry = entry?;
            if paths::name(entry.path).len() > MAX_NAME {
                return Err(Stop::NoRoom);
            }
            if let (Kind::HardLink(_), Some(Holder { number: target, .. })) = (entry.kind, entry.holder) {
                places[target].links += 1;
                places.push(places[target]);
                continue;
            }
            let head = INODE + attributes::encode(&entry).ok_or(Stop::NoRoom)?.len() as u64;
            let size = match entry.kind {
                Kind::Directory { .. } => directory_size(index, entry.number)?,
                Kind::Symlink(target) if target.len() > MAX_TARGET => return Err(Stop::NoRoom),
                Kind::Symlink(target) => target.len() as u64,
                _ => 0,
            };
            let tail = size % BLOCK;
            let inline = tail > 0 && head + tail <= BLOCK;
            // What is inline may not cross into another block, and an inode does better not to.
            let together = if inline { head + tail } else { INODE };
            let mut inode = end.next_multiple_of(INODE_UNIT);
            if inode % BLOCK + together > BLOCK {
                inode = inode.next_multiple_of(BLOCK);
            }
            end = inode + head + if inline { tail } else { 0 };
            let mut links = 1;
            if entry.is_directory() {
                links += 1;
                for child in index.children_of(entry.number)? {
                    links += u32::from(index.is_directory(child)?);
                }
            }
            places.push(Place { inode, block: blocks, inline, links });
            blocks += if inline { size / BLOCK } else { size.div_ceil(BLOCK) };
            inodes += 1;
        }
        let first = end.div_ceil(BLOCK);
        Ok(Self { places, inodes, first, blocks: first + blocks })
    }

    fn number(&self, entry: usize) -> u64 {
        self.places[entry].inode / INODE_UNIT
    }

    fn write(&self, index: &Index, entry: &Entry<'_>, parent: usize, out: &mut [u8]) -> Result<(), Stop> {
        let place = self.places[entry.number];
        let of_image = |size| match place.inline {
            true => Data::Inline { block: (self.first + place.block) as u32, size },
            false => Data::Plain { block: (self.first + place.block) as u32, size },
        };
        let device = |major, minor| format::device(major, minor).ok_or(Stop::NoRoom);
        let (kind, data, bytes) = match entry.kind {
            Kind::HardLink(_) => return Ok(()),
            Kind::File { offset, size, .. } => {
                let block = self.tar_block(index, offset, size).ok_or(Stop::NoRoom)?;
                (Type::File, Data::Plain { block, size }, Vec::new())
            }
            Kind::Directory { .. } => {
                let bytes = self.directory(index, entry.number, parent)?;
                (Type::Directory, of_image(bytes.len() as u64), bytes)
            }
            Kind::Symlink(target) => (Type::Symlink, of_image(target.len() as u64), target.to_vec()),
            Kind::CharDevice { major, minor } => (Type::CharDevice, device(major, minor)?, Vec::new()),
            Kind::BlockDevice { major, minor } => (Type::BlockDevice, device(major, minor)?, Vec::new()),
            Kind::Fifo => (Type::Fifo, device(0, 0)?, Vec::new()),
            Kind::Whiteout => (Type::CharDevice, device(0, 0)?, Vec::new()),
        };
        let attributes = attributes::encode(entry).ok_or(Stop::NoRoom)?;
        let inode = Inode { kind, data, attributes: attributes.len(), number: entry.number as u32, links: place.links };
        let at = place.inode as usize;
        inode.write(entry, &mut out[at..at + INODE as usize]);
        let at = at + INODE as usize;
        out[at..at + attributes.len()].copy_from_slice(&attributes);
        let tail = if place.inline { bytes.len() % BLOCK as usize } else { 0 };
        let (whole, tail) = bytes.split_at(bytes.len() - tail);
        let (at, blocks) = (at + attributes.len(), ((self.first + place.block) * BLOCK) as usize);
        out[at..at + tail.len()].copy_from_slice(tail);
        out[blocks..blocks + whole.len()].copy_from_slice(whole);
        Ok(())
    }

    /// The number of the block that a file's data begins with. It and all others of the file are whole blocks of the tar:
    /// the kernel does not read one that is cut off, and some writers leave out the zeros after the last member.
    fn tar_block(&self, index: &Index, offset: u64, size: u64) -> Option<u32> {
        if size == 0 {
            return Some(0);
        }
        let end = offset.checked_add(size)?.checked_next_multiple_of(BLOCK)?;
        let inside = offset.is_multiple_of(BLOCK) && end <= index.tar_size();
        inside.then(|| u32::try_from(self.blocks + offset / BLOCK).ok())?
    }

    /// Blocks of names, in order: numbers and where the names begin, then the names.
    fn directory(&self, index: &Index, number: usize, parent: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let names = names(index, number, parent)?;
        let mut rest = &names[..];
        while !rest.is_empty() {
            let mut used = 0;
            let fitting = rest.iter().take_while(|(name, _)| {
                used += DIRENT + name.len() as u64;
                used <= BLOCK
            });
            let (block, after) = rest.split_at(fitting.count());
            out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
            let mut name_offset = block.len() * DIRENT as usize;
            for (name, entry) in block {
                out.extend_from_slice(&self.number(*entry).to_le_bytes());
                out.extend_from_slice(&(name_offset as u16).to_le_bytes());
                out.extend_from_slice(&[Type::of(index.record(*entry)?.tag) as u8, 0]);
                name_offset += name.len();
            }
            block.iter().for_each(|(name, _)| out.extend_from_slice(name));
            rest = after;
        }
        Ok(out)
    }
}

/// What is in a directory, with the number of each entry.
fn names(index: &Index, number: usize, parent: usize) -> Result<Vec<(&[u8], usize)>> {
    let mut names = vec![(&b"."[..], number), (&b".."[..], parent)];
    for child in index.children_of(number)? {
        names.push((paths::name(index.path(child)?), child));
    }
    names.sort_unstable();
    Ok(names)
}

/// Bytes that [`Layout::directory`] gives.
fn directory_size(index: &Index, number: usize) -> Result<u64> {
    let (mut full, mut used) = (0, 0);
    for (name, _) in names(index, number, number)? {
        let more = DIRENT + name.len() as u64;
        if used + more > BLOCK {
            (full, used) = (full + BLOCK, 0);
        }
        used += more;
    }
    Ok(full + used)
}
