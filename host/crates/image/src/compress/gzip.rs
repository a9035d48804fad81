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
/// So do the samples that tell what is not worth compressing: their number, their size, and what is left of noise.
const SAMPLES: usize = 8;
const SAMPLE: usize = 8 << 10;
const NOISE_PERCENT: usize = 98;

/// Deflate, no name, no time, no flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The empty block that ends a deflate stream.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Compresses `input` into `out`.
pub fn gzip(input: impl Read + Send, mut out: impl Write + Send) -> io::Result<()> {
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
    let level = if is_noise(block) { 0 } else { LEVEL };
    (deflate_at(level, block), sum)
}

/// Whether compressing is in vain, as it is for what has been compressed before: told by samples, as trying it takes
/// the longest of all.
fn is_noise(block: &[u8]) -> bool {
    if block.len() < 2 * SAMPLES * SAMPLE {
        return false;
    }
    let parts = block.chunks(block.len() / SAMPLES).take(SAMPLES);
    let samples: Vec<u8> = parts.flat_map(|part| &part[..SAMPLE]).copied().collect();
    deflate_at(LEVEL, &samples).len() * 100 > samples.len() * NOISE_PERCENT
}

fn deflate_at(level: u32, bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(level), false);
    // What does not compress grows by a few bytes for each 16 KiB.
    let reserve = if level == 0 { bytes.len() + bytes.len() / 1024 } else { bytes.len() / 2 } + 1024;
    let mut out = Vec::with_capacity(reserve);
    loop {
        let rest = &bytes[usize::try_from(compress.total_in()).expect("a block fits into memory")..];
        compress.compress_vec(rest, &mut out, FlushCompress::Sync).expect("deflating fails on misuse only");
        // Room that is left over says that all is out.
        if out.len() < out.capacity() {
            return out;
        }
        out.reserve(bytes.len() / 2 + 1024);
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
        // Somewhere in it there is something to gain.
        let mut mixed = noise.clone();
        mixed[..BLOCK / 2].fill(b'a');
        assert!(check(&mixed).len() < noise.len() - BLOCK / 3);
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
