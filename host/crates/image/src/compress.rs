//! Compressions of layers and archives: told by content, read in any form, written as gzip or zstd by pinned encoders.

mod blocks;
mod gzip;
mod xz;
mod zstandard;

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use gzip::gzip;
pub use zstandard::zstd;

/// Windows above this would let a small blob claim much memory.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Bytes that [`Compression::detect`] needs to see.
pub const MAGIC_LENGTH: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    /// Tells by the first bytes; [`MAGIC_LENGTH`] of them are enough.
    pub fn detect(beginning: &[u8]) -> Self {
        match beginning {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, as tools write at the beginning of seekable zstd.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// A decoder for what strangers have compressed: it ends a bomb with an error.
    fn bounded_decoder<'a>(self, input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        if self == Self::None {
            return self.decoder(input);
        }
        let taken = Arc::new(AtomicU64::new(0));
        let decoder = self.decoder(Counted { input, taken: Arc::clone(&taken) })?;
        Ok(Box::new(Bounded { decoder, taken, given: 0 }))
    }

    /// Reads what `input` has been compressed from; members and frames that follow each other are one stream.
    ///
    /// # Errors
    /// Of the decoder's creation; damaged input is an error of reading.
    pub fn decoder<'a>(self, input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        const BUFFER: usize = 128 << 10;
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER, input))),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(BufReader::with_capacity(BUFFER, input))),
            Self::Xz => Box::new(xz::XzReader::new(BufReader::with_capacity(BUFFER, input))),
            Self::Zstd => {
                let mut decoder = ::zstd::Decoder::new(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// What a stream of strangers holds, compressed or not. A bomb ends with an error.
pub fn decompressed<'a>(input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let (compression, input) = sniff(input)?;
    compression.bounded_decoder(input)
}

/// What is compressed may hold this much, and more only as far as it is large itself: bombs are small.
pub(crate) const MOST_UNPACKED: u64 = 16 << 30;
pub(crate) const MOST_TIMES: u64 = 200;

/// Fails where far more comes out of a decoder than went into it.
struct Bounded<R> {
    decoder: R,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.given += read as u64;
        let limit = self.taken.load(Ordering::Relaxed).saturating_mul(MOST_TIMES).max(MOST_UNPACKED);
        if self.given > limit {
            return Err(io::Error::other(format!("it holds more than {limit} bytes, too much for its size")));
        }
        Ok(read)
    }
}

struct Counted<R> {
    input: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A stream whose beginning has been looked at.
pub type Sniffed<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

/// Tells the compression of a stream and gives a reader of the whole stream back.
pub fn sniff<R: Read>(mut input: R) -> io::Result<(Compression, Sniffed<R>)> {
    let mut beginning = Vec::with_capacity(MAGIC_LENGTH);
    (&mut input).take(MAGIC_LENGTH as u64).read_to_end(&mut beginning)?;
    Ok((Compression::detect(&beginning), io::Cursor::new(beginning).chain(input)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::Gzip => gzip(bytes, &mut out).expect("gzip"),
            Compression::Zstd => out = ::zstd::encode_all(bytes, 3).expect("zstd"),
            _ => out.extend(bytes),
        }
        out
    }

    #[test]
    fn what_is_written_is_read_back_and_told_by_its_beginning() {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let packed = compressed(compression, &bytes);
            let (told, input) = sniff(&packed[..]).expect("sniff");
            assert_eq!(told, compression);
            let mut out = Vec::new();
            told.decoder(input).expect("decoder").read_to_end(&mut out).expect("read");
            assert!(out == bytes, "{compression:?}");
        }
    }

    #[test]
    fn reads_streams_that_follow_each_other() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let both = [compressed(compression, b"one "), compressed(compression, b"two")].concat();
            let mut text = String::new();
            compression.decoder(&both[..]).expect("decoder").read_to_string(&mut text).expect("read");
            assert_eq!(text, "one two");
        }
    }

    #[test]
    fn bombs_end_with_an_error() {
        let read = |taken: u64, given: u64| {
            let taken = Arc::new(AtomicU64::new(taken));
            Bounded { decoder: io::repeat(0), taken, given }.read(&mut [0; 100])
        };
        assert!(read(1, 0).is_ok() && read(1, MOST_UNPACKED - 100).is_ok());
        assert!(read(1, MOST_UNPACKED - 99).expect_err("a bomb").to_string().contains("too much for its size"));
        // What is large may hold more.
        assert!(read(MOST_UNPACKED, MOST_UNPACKED).is_ok());
        let packed = compressed(Compression::Gzip, &[7; 100_000]);
        let mut out = Vec::new();
        Compression::Gzip.bounded_decoder(&packed[..]).expect("decoder").read_to_end(&mut out).expect("no bomb");
        assert_eq!(out.len(), 100_000);
    }

    #[test]
    fn damaged_input_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let packed = compressed(compression, &[7; 100_000]);
            for cut in [1, packed.len() / 2, packed.len() - 1] {
                let mut out = Vec::new();
                let result = compression.decoder(&packed[..cut]).and_then(|mut input| input.read_to_end(&mut out));
                assert!(result.is_err(), "{compression:?} cut at {cut}");
            }
        }
        assert_eq!(Compression::detect(b""), Compression::None);
    }
}
