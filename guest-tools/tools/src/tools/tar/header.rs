//! The 512 bytes before every member, byte for byte as GNU tar writes them.

use std::io::{self, Write};

pub(super) const BLOCK: usize = 512;
const NAME: usize = 100;
const PREFIX: usize = 155;
/// What GNU tar calls the member that holds a long name.
const LONG_LINK: &[u8] = b"././@LongLink";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gnu,
    Ustar,
    Pax,
}

impl Format {
    pub(super) fn named(name: &[u8]) -> Option<Format> {
        Some(match name {
            b"gnu" | b"oldgnu" => Format::Gnu,
            b"ustar" => Format::Ustar,
            b"pax" | b"posix" => Format::Pax,
            _ => return None,
        })
    }
}

/// What a member's header says. `kind` is its type flag.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: u64,
    pub(super) kind: u8,
    pub(super) link: Vec<u8>,
    pub(super) user: Vec<u8>,
    pub(super) group: Vec<u8>,
}

impl Header {
    /// Writes it, before it whatever holds what has no room in it.
    pub(super) fn write(&self, format: Format, output: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Gnu => {
                for (kind, text) in [(b'K', &self.link), (b'L', &self.name)] {
                    if text.len() > NAME {
                        self.write_long(kind, text, output)?;
                    }
                }
            }
            Format::Ustar => {
                if self.link.len() > NAME || (self.name.len() > NAME && split(&self.name).is_none()) {
                    return Err(io::Error::other("file name is too long (cannot be split); not dumped"));
                }
            }
            Format::Pax => self.write_records(output)?,
        }
        output.write_all(&self.block(format)?)
    }

    fn write_long(&self, kind: u8, text: &[u8], output: &mut dyn Write) -> io::Result<()> {
        let root = |name: &[u8]| if name.is_empty() { Vec::new() } else { b"root".to_vec() };
        let header = Header {
            name: LONG_LINK.to_vec(),
            mode: 0o644,
            size: text.len() as u64 + 1,
            kind,
            user: root(&self.user),
            group: root(&self.group),
            ..Header::default()
        };
        output.write_all(&header.block(Format::Gnu)?)?;
        write_padded(&[text, b"\0"].concat(), output)
    }

    /// A member of records for what ustar has no room for.
    fn write_records(&self, output: &mut dyn Write) -> io::Result<()> {
        let mut records = Vec::new();
        if self.name.len() > NAME && split(&self.name).is_none() {
            records.extend(record("path", &self.name));
        }
        if self.link.len() > NAME {
            records.extend(record("linkpath", &self.link));
        }
        if records.is_empty() {
            return Ok(());
        }
        let name = [b"./PaxHeaders/", super::super::names::base_of(&self.name)].concat();
        let header = Header {
            name: name[..name.len().min(NAME)].to_vec(),
            mode: 0o644,
            size: records.len() as u64,
            mtime: self.mtime,
            kind: b'x',
            ..Header::default()
        };
        output.write_all(&header.block(Format::Ustar)?)?;
        write_padded(&records, output)
    }

    fn block(&self, format: Format) -> io::Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        let (prefix, name) = match split(&self.name).filter(|_| format != Format::Gnu && self.name.len() > NAME) {
            Some(parts) => parts,
            None => (&b""[..], &self.name[..self.name.len().min(NAME)]),
        };
        put(&mut block[..NAME], name);
        number(&mut block[100..108], u64::from(self.mode), format)?;
        number(&mut block[108..116], u64::from(self.uid), format)?;
        number(&mut block[116..124], u64::from(self.gid), format)?;
        number(&mut block[124..136], self.size, format)?;
        number(&mut block[136..148], self.mtime, format)?;
        block[156] = self.kind;
        put(&mut block[157..257], &self.link);
        put(&mut block[257..265], if format == Format::Gnu { b"ustar  \0" } else { b"ustar\x0000" });
        put(&mut block[265..296], &self.user);
        put(&mut block[297..328], &self.group);
        if format != Format::Gnu {
            put(&mut block[329..337], b"0000000\0");
            put(&mut block[337..345], b"0000000\0");
            put(&mut block[345..500], prefix);
        }
        put(&mut block[148..156], b"        ");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        put(&mut block[148..156], format!("{sum:06o}\0 ").as_bytes());
        Ok(block)
    }
}

fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Octal digits and NUL; what has too many, as GNU tar does in bytes.
fn number(field: &mut [u8], value: u64, format: Format) -> io::Result<()> {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}\0");
    if text.len() == field.len() {
        field.copy_from_slice(text.as_bytes());
        return Ok(());
    }
    if format == Format::Ustar {
        return Err(io::Error::other("value out of range; not dumped"));
    }
    let bytes = value.to_be_bytes();
    let length = field.len().min(bytes.len());
    let start = field.len() - length;
    field[start..].copy_from_slice(&bytes[bytes.len() - length..]);
    field[0] |= 0x80;
    Ok(())
}

/// A long name at a slash, so that both parts have room.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let whole = name.strip_suffix(b"/").unwrap_or(name);
    let at = (0..whole.len().min(PREFIX + 1)).rev().find(|&at| whole[at] == b'/')?;
    (at > 0 && name.len() - at - 1 <= NAME).then(|| (&name[..at], &name[at + 1..]))
}

/// `length key=value`, where the length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

pub(super) fn write_padded(data: &[u8], output: &mut dyn Write) -> io::Result<()> {
    output.write_all(data)?;
    output.write_all(&[0; BLOCK][..padding(data.len() as u64)])
}

/// How many bytes fill the last block.
pub(super) fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(header: &Header, format: Format) -> (Vec<u8>, u64, u64) {
        let mut bytes = Vec::new();
        header.write(format, &mut bytes).expect("it fits");
        bytes.extend([0; 2 * BLOCK]);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().expect("an archive").next().expect("one").expect("whole");
        let header = entry.header();
        (entry.path_bytes().into_owned(), header.uid().expect("a number"), header.mtime().expect("a number"))
    }

    #[test]
    fn names_of_every_length_come_back() {
        for length in [1, 99, 100, 101, 155, 156, 200, 255, 256, 300, 1000] {
            let name: Vec<u8> = (0..length).map(|at| if at % 50 == 49 { b'/' } else { b'n' }).collect();
            let name = name.strip_suffix(b"/").unwrap_or(&name).to_vec();
            for format in [Format::Gnu, Format::Pax] {
                let header = Header { name: name.clone(), kind: b'0', ..Header::default() };
                assert_eq!(read_back(&header, format).0, name, "{length} as {format:?}");
            }
        }
        let header = Header { name: [b'n'; 101].to_vec(), kind: b'0', ..Header::default() };
        assert!(header.write(Format::Ustar, &mut Vec::new()).is_err());
    }

    #[test]
    fn large_numbers_come_back() {
        let header = Header { name: b"n".to_vec(), uid: u32::MAX, mtime: 1 << 40, kind: b'0', ..Header::default() };
        assert_eq!(read_back(&header, Format::Gnu), (b"n".to_vec(), u64::from(u32::MAX), 1 << 40));
    }

    #[test]
    fn records_count_themselves() {
        assert_eq!(record("path", &[b'x'; 89]).len(), 98);
        assert!(record("path", &[b'x'; 89]).starts_with(b"98 path="));
        assert!(record("path", &[b'x'; 91]).starts_with(b"101 path="));
    }
}
