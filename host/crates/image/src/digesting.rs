//! Digests a stream on a thread of its own, beside whatever else is done with it.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};
use kiln_types::{Digest, Hasher};

use crate::content::read_full;

const BLOCK: usize = 256 << 10;
/// Blocks that may wait to be digested.
const WAITING: usize = 8;

/// The thread, and blocks to go round.
pub(crate) struct Digesting {
    blocks: Sender<Arc<Vec<u8>>>,
    thread: JoinHandle<Digest>,
    used: Vec<Arc<Vec<u8>>>,
}

impl Digesting {
    pub(crate) fn start() -> Self {
        let (blocks, receiver) = bounded::<Arc<Vec<u8>>>(WAITING);
        let thread = thread::spawn(move || {
            let mut hasher = Hasher::new();
            receiver.iter().for_each(|block| hasher.update(block.as_slice()));
            hasher.finish()
        });
        Self { blocks, thread, used: Vec::new() }
    }

    /// Reads the next block, which is short at the end only, and has it digested.
    pub(crate) fn read(&mut self, input: &mut (impl Read + ?Sized)) -> io::Result<Arc<Vec<u8>>> {
        let free = self.used.iter_mut().position(|block| Arc::get_mut(block).is_some());
        let mut block = free.map_or_else(Arc::default, |at| self.used.swap_remove(at));
        let bytes = Arc::get_mut(&mut block).expect("nobody else has it");
        bytes.resize(BLOCK, 0);
        let filled = read_full(input, bytes)?;
        bytes.truncate(filled);
        if !block.is_empty() {
            self.blocks.send(Arc::clone(&block)).expect("the thread lives as long as this sender");
            self.used.push(Arc::clone(&block));
        }
        Ok(block)
    }

    pub(crate) fn finish(self) -> Digest {
        let Self { blocks, thread, .. } = self;
        drop(blocks);
        thread.join().expect("digesting does not panic")
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies everything: reading and writing on this thread, digesting on another. Answers the digest and the size.
pub fn copy_digesting(
    input: &mut (impl Read + ?Sized),
    out: &mut (impl Write + ?Sized),
) -> Result<(Digest, u64), CopyError> {
    let mut digesting = Digesting::start();
    let mut size = 0;
    loop {
        let block = digesting.read(input).map_err(CopyError::Read)?;
        if block.is_empty() {
            return Ok((digesting.finish(), size));
        }
        out.write_all(&block).map_err(CopyError::Write)?;
        size += block.len() as u64;
    }
}

/// Copies everything, for somebody who need not know what it was. Answers the size.
pub(crate) fn copy(input: &mut (impl Read + ?Sized), out: &mut (impl Write + ?Sized)) -> Result<u64, CopyError> {
    let mut block = vec![0; BLOCK];
    let mut size = 0;
    loop {
        let filled = read_full(input, &mut block).map_err(CopyError::Read)?;
        if filled == 0 {
            return Ok(size);
        }
        out.write_all(&block[..filled]).map_err(CopyError::Write)?;
        size += filled as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_digests_any_length() {
        let bytes: Vec<u8> = (0..20 * BLOCK as u32 / 4).flat_map(u32::to_le_bytes).collect();
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, bytes.len()] {
            let mut out = Vec::new();
            let (digest, size) = copy_digesting(&mut &bytes[..length], &mut out).expect("copy");
            assert_eq!(copy(&mut &bytes[..length], &mut io::sink()).expect("copy"), size);
            assert_eq!((digest, size, out.len()), (Digest::of(&bytes[..length]), length as u64, length));
        }
    }

    #[test]
    fn says_which_side_failed() {
        let full = &mut [0u8; 2][..];
        assert!(matches!(copy_digesting(&mut &b"abc"[..], &mut &mut *full), Err(CopyError::Write(_))));
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        assert!(matches!(copy_digesting(&mut Broken, &mut Vec::new()), Err(CopyError::Read(_))));
    }
}
