//! The gzip encoder: its bytes depend on the input only, however many processors work on it.
//!
//! The input is cut into blocks that are deflated on their own, each up to a byte boundary; joined they are one ordinary
//! gzip member.

use std::io::{self, Read, Write};

use flate2::{Compress, Compression, Crc, FlushCompress};

use super::blocks::in_blocks;

/// The level and the block size enter the digests of compressed layers.
const LEVEL: u32 = 6;
const BLOCK: usize = 1 << 20;

/// Deflate, no name, no time, no flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The empty block that ends a deflate stream.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Compresses `input` into `out`.
pub fn gzip(input: impl Read + Send, mut out: impl Write) -> io::Result<()> {
    let mut sum = Crc::new();
    out.write_all(&HEADER)?;
    in_blocks(input, BLOCK, deflate, |(bytes, block_sum)| {
        sum.combine(&block_sum);
        out.write_all(&bytes)
    })?;
    out.write_all(&LAST_BLOCK)?;
    out.write_all(&sum.sum().to_le_bytes())?;
    out.write_all(&sum.amount().to_le_bytes())
}

fn deflate(block: &[u8]) -> (Vec<u8>, Crc) {
    let mut sum = Crc::new();
    sum.update(block);
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    // What does not compress grows by a few bytes for each 16 KiB.
    let mut out = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let rest = &block[usize::try_from(compress.total_in()).expect("a block fits into memory")..];
        compress.compress_vec(rest, &mut out, FlushCompress::Sync).expect("deflating fails on misuse only");
        // Room that is left over says that all is out.
        if out.len() < out.capacity() {
            return (out, sum);
        }
        out.reserve(block.len() / 2 + 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        gzip(bytes, &mut packed).expect("compress");
        let mut decoder = flate2::bufread::GzDecoder::new(&packed[..]);
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).expect("one member");
        assert!(out == bytes && decoder.into_inner().is_empty());
        packed
    }

    #[test]
    fn any_length_is_one_member() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let bytes: Vec<u8> = (0..40 * BLOCK).map(|at| if at % 3 == 0 { random() } else { b'a' }).collect();
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 40 * BLOCK] {
            check(&bytes[..length]);
        }
        let noise: Vec<u8> = (0..2 * BLOCK).map(|_| random()).collect();
        assert!(check(&noise).len() < noise.len() + 2048);
    }

    #[test]
    fn the_number_of_processors_does_not_matter() {
        let bytes: Vec<u8> = (0..5_000_000u32).flat_map(|n| (n / 5).to_le_bytes()).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| check(&bytes))
        };
        assert!(with(1) == with(3));
    }
}
