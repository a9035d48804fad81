//! Reads the xz container (The .xz File Format 1.1.0) around LZMA2.
//!
//! Own code because the decoder's crate takes whatever dictionary size the input claims: up to 4 GiB for a file of a
//! hundred bytes.

use std::io::{self, Read};

use flate2::Crc;
use kiln_types::Hasher;
use lzma_rust2::Lzma2Reader;

/// `xz -9` has 64 MiB.
const MAX_DICTIONARY: u32 = 128 << 20;
const MAGIC: &[u8; 6] = b"\xfd7zXZ\0";
const FOOTER_MAGIC: &[u8; 2] = b"YZ";
const LZMA2: u64 = 0x21;

pub(super) struct XzReader<R> {
    stage: Stage<R>,
    check: Check,
    blocks: u64,
}

enum Stage<R> {
    /// Before a stream; whether one has been read.
    Stream(Counted<R>, bool),
    /// Before a block or the index.
    Between(Counted<R>),
    Block(Box<Lzma2Reader<Counted<R>>>),
    Ended,
}

impl<R: Read> XzReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { stage: Stage::Stream(Counted { input, count: 0 }, false), check: Check::None, blocks: 0 }
    }

    fn next_stage(&mut self, stage: Stage<R>) -> io::Result<Stage<R>> {
        Ok(match stage {
            Stage::Stream(mut input, any) => match stream_header(&mut input, any)? {
                Some(kind) => {
                    (self.check, self.blocks) = (Check::new(kind)?, 0);
                    Stage::Between(input)
                }
                None => Stage::Ended,
            },
            Stage::Between(mut input) => {
                let [size] = array(&mut input)?;
                if size == 0 {
                    index(&mut input, self.blocks)?;
                    return Ok(Stage::Stream(input, true));
                }
                let dictionary = block_header(&mut input, size)?;
                self.blocks += 1;
                Stage::Block(Box::new(Lzma2Reader::new(input, dictionary, None)))
            }
            Stage::Block(block) => {
                let mut input = block.into_inner();
                input.skip_padding()?;
                self.check.verify(&mut input)?;
                Stage::Between(input)
            }
            Stage::Ended => Stage::Ended,
        })
    }
}

impl<R: Read> Read for XzReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.stage {
                Stage::Ended => return Ok(0),
                Stage::Block(block) => {
                    let read = block.read(buffer)?;
                    if read > 0 {
                        self.check.update(&buffer[..read]);
                        return Ok(read);
                    }
                }
                Stage::Stream(..) | Stage::Between(_) => {}
            }
            let stage = std::mem::replace(&mut self.stage, Stage::Ended);
            self.stage = self.next_stage(stage)?;
        }
    }
}

/// Section 2.1.1; `None` at the end of the input, before which zeros may stand. Tells the kind of check.
fn stream_header(input: &mut Counted<impl Read>, any: bool) -> io::Result<Option<u8>> {
    let mut magic = [0; 6];
    if any {
        loop {
            match input.read_exact(&mut magic[..1]) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
                Ok(()) if magic[0] != 0 => break,
                Ok(()) => {}
            }
        }
        input.read_exact(&mut magic[1..])?;
    } else {
        input.read_exact(&mut magic)?;
    }
    let flags: [u8; 2] = array(input)?;
    let sum = array(input)?;
    if &magic != MAGIC || crc32(&flags) != sum || flags[0] != 0 || flags[1] > 0x0f {
        return Err(invalid("the header of a stream is wrong"));
    }
    Ok(Some(flags[1]))
}

/// Section 3.1; the size of the dictionary.
fn block_header(input: &mut Counted<impl Read>, size: u8) -> io::Result<u32> {
    let mut bytes = vec![size; (usize::from(size) + 1) * 4];
    input.read_exact(&mut bytes[1..])?;
    let (bytes, sum) = bytes.split_at(bytes.len() - 4);
    if crc32(bytes) != sum {
        return Err(invalid("the header of a block is damaged"));
    }
    let flags = bytes[1];
    if flags & 0x3f != 0 {
        return Err(invalid("only the filter LZMA2 is supported; compress again without --x86 and the like"));
    }
    let mut rest = &bytes[2..];
    for bit in [0x40, 0x80] {
        if flags & bit != 0 {
            number(&mut rest)?;
        }
    }
    let (filter, properties) = (number(&mut rest)?, number(&mut rest)?);
    let [bits] = array(&mut rest)?;
    if filter != LZMA2 || properties != 1 || bits > 40 {
        return Err(invalid("only the filter LZMA2 is supported; compress again without --x86 and the like"));
    }
    let dictionary = (2 | u64::from(bits & 1)) << (bits / 2 + 11);
    match u32::try_from(dictionary) {
        Ok(dictionary) if dictionary <= MAX_DICTIONARY => Ok(dictionary),
        _ => Err(invalid("the dictionary has more than 128 MiB; compress again with at most `xz -9`")),
    }
}

/// Section 4 and the footer of section 2.1.2. What the index says has been seen already.
fn index(input: &mut Counted<impl Read>, blocks: u64) -> io::Result<()> {
    let mut summed = Summed { input, crc: Crc::new() };
    summed.crc.update(&[0]);
    if number(&mut summed)? != blocks {
        return Err(invalid("the index has another number of blocks"));
    }
    for _ in 0..blocks {
        number(&mut summed)?;
        number(&mut summed)?;
    }
    while !summed.input.count.is_multiple_of(4) {
        array::<1>(&mut summed)?;
    }
    let sum = summed.crc.sum().to_le_bytes();
    if array(input)? != sum {
        return Err(invalid("the index is damaged"));
    }
    let footer_sum: [u8; 4] = array(input)?;
    let fields: [u8; 6] = array(input)?;
    if crc32(&fields) != footer_sum || &array(input)? != FOOTER_MAGIC {
        return Err(invalid("the end of a stream is damaged"));
    }
    Ok(())
}

/// Section 1.2: seven bits a byte, the least significant ones first.
fn number(input: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let [byte] = array(input)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(invalid("a number is too long"))
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("invalid xz: {reason}"))
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// Counts what is read: everything but the data of a block comes in multiples of four bytes.
struct Counted<R> {
    input: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

impl<R: Read> Counted<R> {
    fn skip_padding(&mut self) -> io::Result<()> {
        while !self.count.is_multiple_of(4) {
            if array(self)? != [0] {
                return Err(invalid("the padding of a block is not zero"));
            }
        }
        Ok(())
    }
}

struct Summed<'a, R> {
    input: &'a mut Counted<R>,
    crc: Crc,
}

impl<R: Read> Read for Summed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.crc.update(&buffer[..read]);
        Ok(read)
    }
}

/// The check of a block's content, section 3.4.
enum Check {
    None,
    Crc32(Crc),
    Crc64(u64),
    Sha256(Box<Hasher>),
}

impl Check {
    fn new(kind: u8) -> io::Result<Self> {
        Ok(match kind {
            0 => Self::None,
            1 => Self::Crc32(Crc::new()),
            4 => Self::Crc64(!0),
            10 => Self::Sha256(Box::default()),
            _ => return Err(invalid("its kind of check is unknown")),
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32(crc) => crc.update(bytes),
            Self::Crc64(crc) => *crc = crc64(*crc, bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Compares with what follows a block, and begins anew.
    fn verify(&mut self, input: &mut impl Read) -> io::Result<()> {
        let same = match self {
            Self::None => true,
            Self::Crc32(crc) => array(input)? == crc.sum().to_le_bytes(),
            Self::Crc64(crc) => array(input)? == (!*crc).to_le_bytes(),
            Self::Sha256(hasher) => array(input)? == *std::mem::take(hasher).finish().as_bytes(),
        };
        match self {
            Self::Crc32(crc) => crc.reset(),
            Self::Crc64(crc) => *crc = !0,
            Self::None | Self::Sha256(_) => {}
        }
        if same { Ok(()) } else { Err(invalid("the content of a block is damaged")) }
    }
}

/// ECMA-182, reflected.
static CRC64: [u64; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xc96c_5795_d787_0f42 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

fn crc64(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |crc, &byte| CRC64[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kiln` fifty times, with each kind of check.
    const NONE: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x00, 0xff, 0x12, 0xd9, 0x41, 0x02, 0x00, 0x21, 0x01, 0x0c, 0x00,
        0x00, 0x00, 0x8f, 0x98, 0x41, 0x9c, 0xe0, 0x00, 0xc7, 0x00, 0x0a, 0x5d, 0x00, 0x35, 0x9a, 0x49, 0xd7, 0x9b,
        0xf7, 0x80, 0xe1, 0x60, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x1e, 0xc8, 0x01, 0x00, 0x00, 0x00, 0x49, 0x73,
        0x50, 0x9b, 0xa8, 0x00, 0x0a, 0xfc, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x59, 0x5a,
    ];
    const CRC_32: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21, 0x01, 0x0c, 0x00,
        0x00, 0x00, 0x8f, 0x98, 0x41, 0x9c, 0xe0, 0x00, 0xc7, 0x00, 0x0a, 0x5d, 0x00, 0x35, 0x9a, 0x49, 0xd7, 0x9b,
        0xf7, 0x80, 0xe1, 0x60, 0x00, 0x00, 0x00, 0x00, 0x77, 0x18, 0x7d, 0xa3, 0x00, 0x01, 0x22, 0xc8, 0x01, 0x00,
        0x00, 0x00, 0x9f, 0xb4, 0xe8, 0xe8, 0x3e, 0x30, 0x0d, 0x8b, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
    ];
    const CRC_64: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x0c, 0x00,
        0x00, 0x00, 0x8f, 0x98, 0x41, 0x9c, 0xe0, 0x00, 0xc7, 0x00, 0x0a, 0x5d, 0x00, 0x35, 0x9a, 0x49, 0xd7, 0x9b,
        0xf7, 0x80, 0xe1, 0x60, 0x00, 0x00, 0x00, 0x00, 0x41, 0xfa, 0x50, 0x80, 0x54, 0xde, 0x27, 0x33, 0x00, 0x01,
        0x26, 0xc8, 0x01, 0x00, 0x00, 0x00, 0x89, 0xf6, 0x79, 0x73, 0xb1, 0xc4, 0x67, 0xfb, 0x02, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];
    const SHA_256: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x0a, 0xe1, 0xfb, 0x0c, 0xa1, 0x02, 0x00, 0x21, 0x01, 0x0c, 0x00,
        0x00, 0x00, 0x8f, 0x98, 0x41, 0x9c, 0xe0, 0x00, 0xc7, 0x00, 0x0a, 0x5d, 0x00, 0x35, 0x9a, 0x49, 0xd7, 0x9b,
        0xf7, 0x80, 0xe1, 0x60, 0x00, 0x00, 0x00, 0x00, 0xc4, 0x08, 0xe6, 0x79, 0xab, 0x7b, 0xa8, 0x01, 0xe8, 0x1d,
        0xa8, 0x27, 0x1c, 0x10, 0xc8, 0xc3, 0x95, 0xf1, 0x1d, 0x34, 0x00, 0xbc, 0xac, 0x56, 0x8c, 0x66, 0x40, 0xba,
        0xa3, 0x18, 0xac, 0x75, 0x00, 0x01, 0x3e, 0xc8, 0x01, 0x00, 0x00, 0x00, 0x7f, 0x76, 0xfc, 0x9c, 0xb6, 0xe9,
        0xdf, 0x1c, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x59, 0x5a,
    ];

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        XzReader::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    /// The dictionary's size, with the header's sum made right again.
    fn with_dictionary(bits: u8) -> Vec<u8> {
        let mut bytes = NONE.to_vec();
        bytes[16] = bits;
        let sum = crc32(&bytes[12..20]);
        bytes[20..24].copy_from_slice(&sum);
        bytes
    }

    #[test]
    fn reads_every_check_and_streams_that_follow_each_other() {
        for bytes in [NONE, CRC_32, CRC_64, SHA_256] {
            assert_eq!(read(bytes).expect("valid"), b"kiln".repeat(50));
        }
        let both = [CRC_64, &[0; 8], SHA_256].concat();
        assert_eq!(read(&both).expect("valid"), b"kiln".repeat(100));
    }

    #[test]
    fn damage_is_noticed() {
        for bytes in [CRC_32, CRC_64, SHA_256] {
            for at in 0..bytes.len() {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= 4;
                assert!(read(&damaged).is_err(), "byte {at}");
                assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            }
        }
    }

    #[test]
    fn huge_dictionaries_are_refused() {
        assert_eq!(read(&with_dictionary(30)).expect("128 MiB").len(), 200);
        for bits in [31, 40] {
            let error = read(&with_dictionary(bits)).expect_err("too big").to_string();
            assert!(error.contains("128 MiB"), "{error}");
        }
    }
}
