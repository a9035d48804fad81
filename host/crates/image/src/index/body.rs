//! The records and the heap of an index: in memory, or in a file of which only the blocks that are needed are read.
//!
//! The file is not mapped: whoever reads what was cut off from a mapped file is killed.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use crate::content::read_file_at;
use crate::error::{Error, Result};

/// Of larger ones the most is not needed, with smaller ones there are more calls.
const BLOCK: usize = 4096;
/// Pieces that are kept, and the places where each may be. Where these are taken, so much was asked for that the rest is
/// better read at once.
const SLOTS: usize = 256;
const PLACES: usize = 8;

pub(super) enum Body {
    Memory(Vec<u8>),
    File(Partial),
}

/// Bytes of a file, as far as they were asked for.
pub(super) struct Partial {
    file: File,
    /// Where they begin.
    start: u64,
    length: usize,
    pieces: Box<[OnceLock<Piece>]>,
    whole: OnceLock<Vec<u8>>,
}

struct Piece {
    range: Range<usize>,
    bytes: Vec<u8>,
}

impl Body {
    /// # Errors
    /// There are not so many bytes, or the file cannot be read.
    pub(super) fn bytes(&self, offset: usize, length: usize) -> Result<&[u8]> {
        match self {
            Self::Memory(bytes) => part(bytes, offset, length),
            Self::File(partial) => partial.bytes(offset, length),
        }
    }

    pub(super) fn whole(&self) -> Result<&[u8]> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::File(partial) => partial.whole(),
        }
    }
}

fn part(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8]> {
    let part = offset.checked_add(length).and_then(|end| bytes.get(offset..end));
    part.ok_or(Error::DamagedIndex { reason: "something lies outside" })
}

impl Partial {
    pub(super) fn new(file: File, start: u64, length: usize) -> Self {
        let pieces = std::iter::repeat_with(OnceLock::new).take(SLOTS).collect();
        Self { file, start, length, pieces, whole: OnceLock::new() }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn bytes(&self, offset: usize, length: usize) -> Result<&[u8]> {
        if let Some(whole) = self.whole.get() {
            return part(whole, offset, length);
        }
        let end = offset.checked_add(length).filter(|end| *end <= self.length);
        let end = end.ok_or(Error::DamagedIndex { reason: "something lies outside" })?;
        let block = offset / BLOCK * BLOCK;
        // What crosses into another block is a piece of its own.
        let range = if end <= block + BLOCK { block..(block + BLOCK).min(self.length) } else { offset..end };
        let from = offset - range.start;
        match self.piece(range)? {
            Some(piece) => part(piece, from, length),
            None => part(self.whole()?, offset, length),
        }
    }

    /// `None` where there is no place for it.
    fn piece(&self, range: Range<usize>) -> Result<Option<&[u8]>> {
        // The golden ratio spreads what lies together.
        let first = (range.start as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        for slot in (first as usize..).take(PLACES).map(|place| &self.pieces[place % SLOTS]) {
            let piece = match slot.get() {
                Some(piece) => piece,
                None => {
                    let bytes = self.read(range.clone())?;
                    // Another thread may have been there first, with another piece.
                    slot.get_or_init(|| Piece { range: range.clone(), bytes })
                }
            };
            if piece.range == range {
                return Ok(Some(&piece.bytes));
            }
        }
        Ok(None)
    }

    fn whole(&self) -> Result<&[u8]> {
        match self.whole.get() {
            Some(whole) => Ok(whole),
            None => {
                let bytes = self.read(0..self.length)?;
                Ok(self.whole.get_or_init(|| bytes))
            }
        }
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; range.len()];
        let mut filled = 0;
        while filled < bytes.len() {
            let offset = self.start.saturating_add((range.start + filled) as u64);
            match read_file_at(&self.file, &mut bytes[filled..], offset) {
                Ok(0) => return Err(Error::DamagedIndex { reason: "it was cut off" }),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read the index of a layer")(error)),
            }
        }
        Ok(bytes)
    }
}
