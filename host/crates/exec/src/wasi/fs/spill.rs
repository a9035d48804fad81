//! Pages of written files: in memory while the step's budget for that lasts, then in an unnamed temporary file.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const PAGE: usize = 64 << 10;
pub(super) const PAGE_SIZE: u64 = PAGE as u64;
/// Pages held in memory, by all files of a step.
pub(super) const IN_MEMORY: usize = 64 << 20;

/// Where pages go that do not fit into memory.
pub(super) struct Spill {
    directory: PathBuf,
    pub(super) file: Option<Arc<File>>,
    blocks: u64,
    free: Vec<u64>,
    pub(super) in_memory: usize,
}

impl Spill {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, file: None, blocks: 0, free: Vec::new(), in_memory: 0 }
    }

    pub(super) fn file(&mut self) -> io::Result<Arc<File>> {
        if self.file.is_none() {
            self.file = Some(Arc::new(tempfile::tempfile_in(&self.directory)?));
        }
        Ok(self.file.clone().expect("made just above"))
    }

    /// Keeps `bytes` as the beginning of a page; the rest of it reads as zeros.
    pub(super) fn page(&mut self, mut bytes: Vec<u8>) -> io::Result<Page> {
        if self.in_memory + bytes.len() <= IN_MEMORY {
            self.in_memory += bytes.len();
            return Ok(Page::Memory(bytes));
        }
        let file = self.file()?;
        if let Some(block) = self.free.pop() {
            bytes.resize(PAGE, 0);
            write_all_at(&file, &bytes, block * PAGE_SIZE)?;
            return Ok(Page::Block(block));
        }
        // Beyond the end there is nothing to be overwritten: many small files take little room.
        let block = self.blocks;
        file.set_len((block + 1) * PAGE_SIZE)?;
        write_all_at(&file, &bytes, block * PAGE_SIZE)?;
        self.blocks += 1;
        Ok(Page::Block(block))
    }

    pub(super) fn discard(&mut self, page: Page) {
        match page {
            Page::Base => {}
            Page::Memory(bytes) => self.in_memory -= bytes.len(),
            Page::Block(block) => self.free.push(block),
        }
    }
}

/// A piece of a file.
#[derive(Clone)]
pub(super) enum Page {
    /// Not written: the base's bytes, zeros past them.
    Base,
    /// At most a page; what is missing reads as zeros.
    Memory(Vec<u8>),
    /// A whole page in the spill file.
    Block(u64),
}

pub(super) fn read_exact_at(
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    mut buffer: &mut [u8],
    mut offset: u64,
) -> io::Result<()> {
    while !buffer.is_empty() {
        match read(buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                offset += length as u64;
                buffer = &mut buffer[length..];
            }
        }
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn read_file_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
pub(super) fn read_file_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(unix)]
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            length => {
                offset += length as u64;
                bytes = &bytes[length..];
            }
        }
    }
    Ok(())
}
