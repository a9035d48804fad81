//! Reads a tar member by member: ustar, pax, GNU long names and base-256; any bytes may come.
//!
//! The reader knows where each member's content lies and bounds all that it keeps in memory. What the members mean
//! together is the tree's business.

use std::io::{self, Read, Seek};

use super::records::split_record;
use super::{BLOCK, MAX_PATH, numbers, padding};
use crate::error::{Error, Result};
use crate::meta::Meta;

/// Most bytes of pax headers and GNU long names that one member may have.
const MAX_EXTENSIONS: u64 = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    File,
    HardLink,
    Symlink,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Directory,
    Fifo,
}

/// One thing in a tar; files have their content behind them.
#[derive(Debug, Clone)]
pub struct Member {
    /// As it stands in the tar.
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: MemberKind,
    pub meta: Meta,
    /// Where the content begins in the tar.
    pub offset: u64,
    pub size: u64,
}

/// What headers before the member's own say about it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
    xattrs: crate::meta::Xattrs,
}

pub struct Reader<R> {
    input: R,
    position: u64,
    /// Content of the current member that was not read, and the zeros after it.
    content_left: u64,
    padding_left: u64,
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Self {
        Self { input, position: 0, content_left: 0, padding_left: 0 }
    }

    /// The next member; what was not read of the one before is skipped. `None` after the end marker or the last block.
    #[expect(clippy::should_implement_trait, reason = "what it answers fails otherwise than an iterator's items")]
    pub fn next(&mut self) -> Result<Option<Member>> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        let mut allowance = MAX_EXTENSIONS;
        loop {
            self.skip_content()?;
            let start = self.position;
            let invalid = |reason| Error::Tar { offset: start, reason };
            let Some(block) = self.read_block()? else {
                return if extended { Err(invalid("it ends after an extended header")) } else { Ok(None) };
            };
            if block.iter().all(|&byte| byte == 0) {
                return match self.read_block()? {
                    Some(second) if second.iter().any(|&byte| byte != 0) => Err(invalid("a lone zero block")),
                    _ if extended => Err(invalid("it ends after an extended header")),
                    _ => Ok(None),
                };
            }
            check_sum(&block).ok_or_else(|| invalid("this is not a tar header, or it is damaged"))?;
            let size = numbers::field(&block[124..136]).and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or_else(|| invalid("the size of a member is not a number"))?;
            match block[156] {
                b'x' => {
                    let bytes = self.read_extension(size, &mut allowance)?;
                    extensions.add_pax(&bytes).map_err(invalid)?;
                    extended = true;
                }
                b'g' => drop(self.read_extension(size, &mut allowance)?),
                b'L' => {
                    extensions.path = Some(until_nul(&self.read_extension(size, &mut allowance)?).to_vec());
                    extended = true;
                }
                b'K' => {
                    extensions.link = Some(until_nul(&self.read_extension(size, &mut allowance)?).to_vec());
                    extended = true;
                }
                flag => return self.member(&block, flag, size, extensions).map(Some),
            }
        }
    }

    fn member(&mut self, block: &[u8; BLOCK], flag: u8, size: u64, extensions: Extensions) -> Result<Member> {
        let path = extensions.path.unwrap_or_else(|| own_path(block));
        let wrong = |reason| Error::entry(&path[..path.len().min(1024)], reason);
        let link = extensions.link.unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
        if path.len() > MAX_PATH || link.len() > MAX_PATH {
            return Err(wrong("its name or target is too long"));
        }
        if path.contains(&0) || link.contains(&0) {
            return Err(wrong("its name or target has a NUL byte"));
        }
        let number = |range: std::ops::Range<usize>, reason| numbers::field(&block[range]).ok_or_else(|| wrong(reason));
        let id = |own: Option<u32>, range| match own {
            Some(id) => Ok(id),
            None => number(range, "its owner is not a number")
                .and_then(|id| u32::try_from(id).map_err(|_| wrong("its owner is out of range"))),
        };
        let device = || {
            let part = |range| {
                number(range, "its device is not a number")
                    .and_then(|id| u32::try_from(id).map_err(|_| wrong("its device is out of range")))
            };
            Ok::<_, Error>((part(329..337)?, part(337..345)?))
        };
        let kind = match flag {
            0 if path.ends_with(b"/") => MemberKind::Directory,
            0 | b'0' | b'7' => MemberKind::File,
            b'1' => MemberKind::HardLink,
            b'2' => MemberKind::Symlink,
            b'3' => device().map(|(major, minor)| MemberKind::CharDevice { major, minor })?,
            b'4' => device().map(|(major, minor)| MemberKind::BlockDevice { major, minor })?,
            b'5' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            b'S' => return Err(wrong("sparse files are not supported; make the tar without --sparse")),
            _ => return Err(wrong("its type is unknown")),
        };
        let mtime = match extensions.mtime {
            Some(mtime) => mtime,
            None => number(136..148, "its time is not a number")?,
        };
        let meta = Meta {
            mode: (number(100..108, "its mode is not a number")? & 0o7777) as u32,
            uid: id(extensions.uid, 108..116)?,
            gid: id(extensions.gid, 116..124)?,
            mtime,
            xattrs: extensions.xattrs,
        };
        // Other kinds have no content whatever their header says.
        let size = if kind == MemberKind::File { extensions.size.unwrap_or(size) } else { 0 };
        if size > i64::MAX as u64 - self.position {
            return Err(wrong("its size is out of range"));
        }
        (self.content_left, self.padding_left) = (size, padding(size) as u64);
        Ok(Member { path, link, kind, meta, offset: self.position, size })
    }

    /// The content of the current member, or what is left of it.
    pub fn content(&mut self) -> impl Read {
        ContentReader { reader: self }
    }

    /// Reads whatever follows the end of the tar.
    pub(crate) fn drain(&mut self) -> Result<u64> {
        self.position += io::copy(&mut self.input, &mut io::sink()).map_err(Error::io("read the tar"))?;
        Ok(self.position)
    }

    fn skip_content(&mut self) -> Result<()> {
        let left = self.content_left + self.padding_left;
        let skipped =
            io::copy(&mut (&mut self.input).take(left), &mut io::sink()).map_err(Error::io("read the tar"))?;
        self.position += skipped;
        // Some writers leave the padding of the last member out.
        if skipped < self.content_left {
            return Err(Error::Tar { offset: self.position, reason: "it ends within the content of a member" });
        }
        (self.content_left, self.padding_left) = (0, 0);
        Ok(())
    }

    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(Error::Tar { offset: self.position, reason: "it ends within a block" }),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read the tar")(error)),
            }
        }
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    fn read_extension(&mut self, size: u64, allowance: &mut u64) -> Result<Vec<u8>> {
        *allowance = match allowance.checked_sub(size) {
            Some(left) => left,
            None => {
                return Err(Error::Tar {
                    offset: self.position,
                    reason: "the extended headers of a member are too long",
                });
            }
        };
        (self.content_left, self.padding_left) = (size, padding(size) as u64);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes).map_err(Error::io("read the tar"))?;
        Ok(bytes)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Passes over the content of the current member without reading it. Whether it is there is the caller's to see.
    pub(crate) fn seek_past_content(&mut self) -> Result<()> {
        let left = self.content_left + self.padding_left;
        // No member's end is beyond the range of `i64`.
        self.input.seek_relative(left.cast_signed()).map_err(Error::io("read the tar"))?;
        self.position += left;
        (self.content_left, self.padding_left) = (0, 0);
        Ok(())
    }
}

struct ContentReader<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for ContentReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.reader.content_left).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let read = self.reader.input.read(&mut buffer[..length])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar ends within the content of a member"));
        }
        self.reader.content_left -= read as u64;
        self.reader.position += read as u64;
        Ok(read)
    }
}

impl Extensions {
    fn add_pax(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            let (key, value, rest) = split_record(bytes).ok_or("a pax record is malformed")?;
            bytes = rest;
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                if name.is_empty() || name.contains(&0) {
                    return Err("the name of an extended attribute is malformed");
                }
                self.xattrs.insert(name.to_vec(), value.to_vec());
                continue;
            }
            if key.starts_with(b"GNU.sparse.") {
                return Err("sparse files are not supported; make the tar without --sparse");
            }
            // An empty value leaves what the header itself says.
            if value.is_empty() {
                continue;
            }
            let number = "a number of a pax header is malformed";
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(numbers::decimal(value).ok_or(number)?),
                b"uid" => self.uid = Some(numbers::decimal(value).ok_or(number)?),
                b"gid" => self.gid = Some(numbers::decimal(value).ok_or(number)?),
                b"mtime" => self.mtime = Some(numbers::seconds(value).ok_or(number)?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn own_path(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    let prefix = until_nul(&block[345..500]);
    // GNU's header has other things where ustar has its prefix.
    let is_ustar = &block[257..263] == b"ustar\0";
    if is_ustar && !prefix.is_empty() { [prefix, name].join(&b'/') } else { name.to_vec() }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|&byte| byte == 0).map_or(bytes, |end| &bytes[..end])
}

/// The sum of all bytes with the field itself as spaces; ancient writers summed signed bytes.
fn check_sum(block: &[u8; BLOCK]) -> Option<()> {
    let expected = numbers::field(&block[148..156])?;
    let bytes = || block[..148].iter().chain(b"        ").chain(&block[156..]);
    let unsigned: i64 = bytes().map(|&byte| i64::from(byte)).sum();
    let signed: i64 = bytes().map(|&byte| i64::from(byte.cast_signed())).sum();
    (expected == unsigned || expected == signed).then_some(())
}
