//! The bytes of one regular file: a read-only base out of a lower layer, and the pages written over it.
//!
//! Only pages that are written are copied. They stay in memory while the step's budget for that lasts, then go to an
//! unnamed temporary file, so memory is bounded whatever a program writes.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use kiln_image::Content;
use kiln_types::{Digest, Hasher};

use super::spill::{IN_MEMORY, PAGE, PAGE_SIZE, Page, Spill, read_exact_at, read_file_at, write_all_at};

#[derive(Default)]
pub(super) struct Data {
    size: u64,
    base: Option<Content>,
    /// How much of the base still shows: a truncation hides the rest for good.
    base_size: u64,
    base_digest: Option<Digest>,
    pages: Vec<Page>,
    changed: bool,
}

impl Data {
    pub(super) fn lower(content: Content, digest: Option<Digest>) -> Self {
        Self {
            size: content.size(),
            base_size: content.size(),
            base: Some(content),
            base_digest: digest,
            ..Self::default()
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The content as it came from the lower layer, if it still is that.
    pub(super) fn unchanged(&self) -> Option<&Content> {
        self.base.as_ref().filter(|_| !self.changed)
    }

    /// The digest of the bytes, where it is known without reading them.
    pub(super) fn known_digest(&self) -> Option<Digest> {
        self.unchanged().and(self.base_digest)
    }

    pub(super) fn read_at(&self, spill: &Spill, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let view = Pages {
            base: self.base.as_ref(),
            base_size: self.base_size,
            pages: &self.pages,
            file: spill.file.as_ref(),
        };
        view.read_exact_at(&mut buffer[..length], offset)?;
        Ok(length)
    }

    /// Writes all of `bytes`; the caller has seen to it that the end is within bounds.
    pub(super) fn write_at(&mut self, spill: &mut Spill, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        self.changed = true;
        while !bytes.is_empty() {
            let (index, within) = ((offset / PAGE_SIZE) as usize, (offset % PAGE_SIZE) as usize);
            let length = bytes.len().min(PAGE - within);
            let (piece, rest) = bytes.split_at(length);
            self.write_page(spill, index, within, piece)?;
            offset += length as u64;
            // A failure later on leaves what was written, as on a full disk.
            self.size = self.size.max(offset);
            bytes = rest;
        }
        Ok(())
    }

    fn write_page(&mut self, spill: &mut Spill, index: usize, within: usize, piece: &[u8]) -> io::Result<()> {
        if self.pages.len() <= index {
            self.pages.resize(index + 1, Page::Base);
        }
        let end = within + piece.len();
        let shown = self.base_size.saturating_sub(index as u64 * PAGE_SIZE).min(PAGE_SIZE) as usize;
        if let Page::Base = self.pages[index] {
            let mut whole = vec![0; shown.max(end)];
            if shown > 0 && (within > 0 || end < shown) {
                self.read_base(&mut whole[..shown], index as u64 * PAGE_SIZE)?;
            }
            whole[within..end].copy_from_slice(piece);
            self.pages[index] = spill.page(whole)?;
            return Ok(());
        }
        match &mut self.pages[index] {
            Page::Memory(memory) if end <= memory.len() => memory[within..end].copy_from_slice(piece),
            Page::Memory(memory) if spill.in_memory + (end - memory.len()) <= IN_MEMORY => {
                spill.in_memory += end - memory.len();
                memory.resize(end, 0);
                memory[within..end].copy_from_slice(piece);
            }
            Page::Memory(memory) => {
                let mut whole = std::mem::take(memory);
                spill.in_memory -= whole.len();
                whole.resize(PAGE, 0);
                whole[within..end].copy_from_slice(piece);
                self.pages[index] = spill.page(whole)?;
            }
            Page::Block(block) => {
                let place = *block * PAGE_SIZE + within as u64;
                write_all_at(&*spill.file()?, piece, place)?;
            }
            Page::Base => unreachable!("handled above"),
        }
        Ok(())
    }

    fn read_base(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        Pages { base: self.base.as_ref(), base_size: self.base_size, pages: &[], file: None }
            .read_exact_at(buffer, offset)
    }

    pub(super) fn set_size(&mut self, spill: &mut Spill, size: u64) -> io::Result<()> {
        if size == self.size {
            return Ok(());
        }
        self.changed = true;
        if size < self.size {
            let kept = size.div_ceil(PAGE_SIZE) as usize;
            for page in self.pages.drain(kept.min(self.pages.len())..) {
                spill.discard(page);
            }
            self.pages.shrink_to_fit();
            let within = (size % PAGE_SIZE) as usize;
            if let (true, Some(last)) = (within > 0, self.pages.get_mut((size / PAGE_SIZE) as usize)) {
                match last {
                    Page::Memory(memory) if memory.len() > within => {
                        spill.in_memory -= memory.len() - within;
                        memory.truncate(within);
                    }
                    Page::Block(block) => {
                        let place = *block * PAGE_SIZE + within as u64;
                        write_all_at(&*spill.file()?, &vec![0; PAGE - within], place)?;
                    }
                    Page::Memory(_) | Page::Base => {}
                }
            }
            self.base_size = self.base_size.min(size);
        }
        self.size = size;
        Ok(())
    }

    /// Gives back what the pages hold: nothing can read them any more.
    pub(super) fn discard(&mut self, spill: &mut Spill) {
        for page in std::mem::take(self).pages {
            spill.discard(page);
        }
    }

    /// The bytes as a change set holds them.
    pub(super) fn into_content(self, spill: &Spill) -> Content {
        if let Some(content) = self.unchanged() {
            return content.clone();
        }
        match &self.pages[..] {
            [Page::Memory(bytes)] if bytes.len() as u64 == self.size => Content::bytes(bytes.clone()),
            _ => Content::new(self.size, Kept { data: Arc::new(self), file: spill.file.clone() }),
        }
    }

    /// The digest of the bytes, by reading them.
    pub(super) fn digest(&self, spill: &Spill) -> io::Result<Digest> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; PAGE];
        let mut offset = 0;
        while offset < self.size {
            let length = self.read_at(spill, &mut buffer, offset)?;
            hasher.update(&buffer[..length]);
            offset += length as u64;
        }
        Ok(hasher.finish())
    }
}

/// Reads through pages to the base.
struct Pages<'a> {
    base: Option<&'a Content>,
    base_size: u64,
    pages: &'a [Page],
    file: Option<&'a Arc<File>>,
}

impl Pages<'_> {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let (index, within) = ((offset / PAGE_SIZE) as usize, (offset % PAGE_SIZE) as usize);
            // Pages that follow are the base's as well: read it in one go.
            let length = match self.pages.get(index) {
                Some(_) => buffer.len().min(PAGE - within),
                None => buffer.len(),
            };
            let (piece, rest) = buffer.split_at_mut(length);
            match self.pages.get(index) {
                Some(Page::Memory(memory)) => {
                    let from = memory.get(within..).unwrap_or_default();
                    let known = from.len().min(piece.len());
                    piece[..known].copy_from_slice(&from[..known]);
                    piece[known..].fill(0);
                }
                Some(Page::Block(block)) => {
                    let file = self.file.ok_or(io::ErrorKind::NotFound)?;
                    read_exact_at(|piece, at| read_file_at(file, piece, at), piece, block * PAGE_SIZE + within as u64)?;
                }
                Some(Page::Base) | None => {
                    let shown = self.base_size.saturating_sub(offset).min(piece.len() as u64) as usize;
                    if let (Some(base), true) = (self.base, shown > 0) {
                        read_exact_at(|piece, at| base.read_at(piece, at), &mut piece[..shown], offset)?;
                    }
                    piece[shown..].fill(0);
                }
            }
            offset += length as u64;
            buffer = rest;
        }
        Ok(())
    }
}

/// A changed file after its step has ended.
struct Kept {
    data: Arc<Data>,
    file: Option<Arc<File>>,
}

impl kiln_image::Source for Kept {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(KeptReader { data: self.data.clone(), file: self.file.clone(), position: 0 }))
    }
}

struct KeptReader {
    data: Arc<Data>,
    file: Option<Arc<File>>,
    position: u64,
}

impl Read for KeptReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.data.size - self.position).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let data = &self.data;
        Pages { base: data.base.as_ref(), base_size: data.base_size, pages: &data.pages, file: self.file.as_ref() }
            .read_exact_at(&mut buffer[..length], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}
