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
/// And what is said by how often bytes occur. Were all as frequent, the sum of their squared numbers would be the least
/// possible: so many hundredths of that are those of noise, and those of what must shrink.
const FLAT: u64 = 102;
const UNEVEN: u64 = 200;

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
/// the longest of all. Where all bytes are as frequent, only repetitions help, and the fastest level finds those.
fn is_noise(block: &[u8]) -> bool {
    if block.len() < 2 * SAMPLES * SAMPLE {
        return false;
    }
    let parts = block.chunks(block.len() / SAMPLES).take(SAMPLES);
    let samples: Vec<u8> = parts.flat_map(|part| &part[..SAMPLE]).copied().collect();
    let level = match unevenness(&samples) {
        ..=FLAT => 1,
        UNEVEN.. => return false,
        _ => LEVEL,
    };
    deflate_at(level, &samples).len() * 100 > samples.len() * NOISE_PERCENT
}

/// In hundredths; 100 where every byte is as frequent as every other.
fn unevenness(bytes: &[u8]) -> u64 {
    let mut numbers = [0u64; 256];
    bytes.iter().for_each(|&byte| numbers[usize::from(byte)] += 1);
    let squares: u64 = numbers.iter().map(|number| number * number).sum();
    let length = bytes.len() as u64;
    squares * 256 * 100 / (length * length)
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
    fn noise_is_told_from_what_shrinks() {
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let piece: Vec<u8> = (0..2048).map(|_| noise()).collect();
        let mut kinds = [
            ("noise", true, Vec::new()),
            ("hexadecimal digits", false, Vec::new()),
            ("seven bits", false, Vec::new()),
            ("every other byte the same", false, Vec::new()),
            ("noise that comes again", false, Vec::new()),
            ("all the same", false, vec![7; BLOCK]),
        ];
        for at in 0..BLOCK {
            kinds[0].2.push(noise());
            kinds[1].2.push(b"0123456789abcdef"[usize::from(noise() & 15)]);
            kinds[2].2.push(noise() & 127);
            kinds[3].2.push(if at % 2 == 0 { 0 } else { noise() });
            kinds[4].2.push(piece[at % piece.len()]);
        }
        for (what, expected, block) in kinds {
            assert_eq!(is_noise(&block), expected, "{what}: {}", unevenness(&block));
            let shrinks = deflate_at(LEVEL, &block).len() < block.len() * NOISE_PERCENT / 100;
            assert_eq!(shrinks, !expected, "{what}");
        }
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
