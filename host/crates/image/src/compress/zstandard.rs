//! The zstd encoder: one frame for each block, so that all processors work and the bytes do not tell how many there are.
//! Every reader takes frames that follow each other for one stream (RFC 8878, section 3).

use std::io::{self, Read, Write};

use super::blocks::in_blocks;

/// The level and the block size enter the digests of compressed layers.
const LEVEL: i32 = 3;
const BLOCK: usize = 2 << 20;

/// Compresses `input` into `out`.
pub fn zstd(input: impl Read + Send, mut out: impl Write + Send) -> io::Result<()> {
    let mut is_empty = true;
    in_blocks(
        input,
        BLOCK,
        |block| ::zstd::bulk::compress(block, LEVEL),
        |frame| {
            is_empty = false;
            out.write_all(&frame?)
        },
    )?;
    if is_empty { out.write_all(&::zstd::bulk::compress(&[], LEVEL)?) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        zstd(bytes, &mut packed).expect("compress");
        assert!(::zstd::decode_all(&packed[..]).expect("zstd") == bytes);
        packed
    }

    #[test]
    fn any_length_on_any_number_of_processors() {
        let bytes: Vec<u8> = (0..3 * BLOCK as u32 / 4 + 5).flat_map(|n| (n / 5).to_le_bytes()).collect();
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, bytes.len()] {
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                pool.install(|| check(&bytes[..length]))
            };
            assert!(with(1) == with(3));
        }
    }
}
