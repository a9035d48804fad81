//! The zip format: the directory at the archive's end, and the contents of an entry. Nothing in it is trusted.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;

use crate::calendar::{Civil, SECOND};

/// What one entry of the directory says.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    /// File type bits and permissions.
    pub(super) mode: u32,
    pub(super) time: i128,
    pub(super) size: u64,
    pub(super) method: u16,
    encrypted: bool,
    crc: u32,
    compressed: u64,
    /// Where its header is, from the beginning of the file.
    offset: u64,
}

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

const END_LENGTH: usize = 22;
/// The end record and the longest comment that may follow it.
const LONGEST_END: u64 = END_LENGTH as u64 + 0xffff;
const END64_LOCATOR_LENGTH: u64 = 20;
const END64_LENGTH: usize = 56;
const DIRECTORY_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;
/// A directory of a million entries with names as long as paths can be is far below this.
const LONGEST_DIRECTORY: u64 = 256 << 20;
/// Stands in 32 bit fields for a number in the zip64 field.
const IN_ZIP64: u64 = 0xffff_ffff;
const EXTRA_ZIP64: u64 = 0x0001;
const EXTRA_TIMES: u64 = 0x5455;
const HOST_UNIX: u64 = 3;
const HOST_MACOS: u64 = 19;

pub(super) struct Archive {
    file: File,
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

/// The number in `length` bytes from `at`; 0 where the bytes end before.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let field = bytes.get(at..at + length).unwrap_or_default();
    field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

impl Archive {
    pub(super) fn open(file: File) -> io::Result<(Archive, Vec<Entry>)> {
        let mut archive = Archive { file };
        let entries = archive.entries()?;
        Ok((archive, entries))
    }

    fn read_at<const LENGTH: usize>(&mut self, at: u64) -> io::Result<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn entries(&mut self) -> io::Result<Vec<Entry>> {
        let length = self.file.seek(SeekFrom::End(0))?;
        let tail_at = length.saturating_sub(LONGEST_END);
        let mut tail = Vec::new();
        self.file.seek(SeekFrom::Start(tail_at))?;
        (&mut self.file).take(LONGEST_END).read_to_end(&mut tail)?;
        let found = tail.windows(END_LENGTH).rposition(|window| window.starts_with(b"PK\x05\x06"));
        let found = found.ok_or_else(|| invalid("End-of-central-directory signature not found"))?;
        let end_at = tail_at + found as u64;
        let end = &tail[found..];
        let (mut size, mut offset) = (number(end, 12, 4), number(end, 16, 4));
        let mut directory_end = end_at;
        if size == IN_ZIP64 || offset == IN_ZIP64 || number(end, 10, 2) == 0xffff {
            let locator = self.read_at::<{ END64_LOCATOR_LENGTH as usize }>(
                end_at.checked_sub(END64_LOCATOR_LENGTH).ok_or_else(|| invalid("no place for a zip64 locator"))?,
            )?;
            if locator.starts_with(b"PK\x06\x07") {
                directory_end = number(&locator, 8, 8);
                let end64 = self.read_at::<END64_LENGTH>(directory_end)?;
                if !end64.starts_with(b"PK\x06\x06") {
                    return Err(invalid("the zip64 end record is not where the locator says"));
                }
                (size, offset) = (number(&end64, 40, 8), number(&end64, 48, 8));
            }
        }
        // Something may stand before the archive, as in those that extract themselves.
        let directory_at =
            directory_end.checked_sub(size).ok_or_else(|| invalid("the directory is longer than the archive"))?;
        let shift = directory_at.checked_sub(offset).ok_or_else(|| invalid("the directory begins beyond its end"))?;
        if size > LONGEST_DIRECTORY {
            return Err(invalid("the directory is too long"));
        }
        let mut directory = Vec::new();
        self.file.seek(SeekFrom::Start(directory_at))?;
        (&mut self.file).take(size).read_to_end(&mut directory)?;
        let mut entries = Vec::new();
        let mut rest = directory.as_slice();
        while !rest.is_empty() {
            if rest.len() < DIRECTORY_LENGTH || !rest.starts_with(b"PK\x01\x02") {
                return Err(invalid("the directory is damaged"));
            }
            let (fixed, after) = rest.split_at(DIRECTORY_LENGTH);
            let lengths = [28, 30, 32].map(|at| number(fixed, at, 2) as usize);
            let [name, extra, comment] = lengths;
            if after.len() < name + extra + comment {
                return Err(invalid("the directory is damaged"));
            }
            entries.push(entry(fixed, &after[..name], &after[name..name + extra], shift)?);
            rest = &after[name + extra + comment..];
        }
        Ok(entries)
    }

    /// Writes an entry's contents.
    pub(super) fn copy(&mut self, entry: &Entry, output: &mut dyn Write) -> io::Result<()> {
        if entry.encrypted {
            return Err(io::Error::other("it is encrypted; passwords are not supported"));
        }
        let local = self.read_at::<LOCAL_LENGTH>(entry.offset)?;
        if !local.starts_with(b"PK\x03\x04") {
            return Err(invalid("its header is not where the directory says"));
        }
        let skipped = number(&local, 26, 2) + number(&local, 28, 2);
        self.file.seek(SeekFrom::Current(skipped as i64))?;
        let packed = BufReader::with_capacity(64 * 1024, &mut self.file).take(entry.compressed);
        match entry.method {
            STORED => verified(packed, entry, output),
            DEFLATED => verified(DeflateDecoder::new(packed), entry, output),
            method => Err(io::Error::other(format!(
                "compression method {method} is not supported, only stored and deflated entries are"
            ))),
        }
    }
}

fn verified(input: impl Read, entry: &Entry, output: &mut dyn Write) -> io::Result<()> {
    // One byte more than announced is enough to see that there are more.
    let mut input = CrcReader::new(input.take(entry.size.saturating_add(1)));
    let mut buffer = vec![0; 64 * 1024];
    let mut copied = 0;
    loop {
        let count = input.read(&mut buffer)?;
        copied += count as u64;
        if copied > entry.size {
            return Err(invalid("it is longer than the directory says"));
        }
        if count == 0 {
            break;
        }
        output.write_all(&buffer[..count])?;
    }
    if copied < entry.size {
        return Err(invalid("it is shorter than the directory says"));
    }
    if input.crc().sum() != entry.crc {
        return Err(invalid("bad CRC"));
    }
    Ok(())
}

fn entry(fixed: &[u8], name: &[u8], extra: &[u8], shift: u64) -> io::Result<Entry> {
    let (mut size, mut compressed) = (number(fixed, 24, 4), number(fixed, 20, 4));
    let mut offset = number(fixed, 42, 4);
    let mut time = dos_time(number(fixed, 14, 2), number(fixed, 12, 2));
    for (id, field) in extra_fields(extra) {
        match id {
            EXTRA_ZIP64 => {
                let mut at = 0;
                for value in [&mut size, &mut compressed, &mut offset] {
                    if *value == IN_ZIP64 && field.len() >= at + 8 {
                        *value = number(field, at, 8);
                        at += 8;
                    }
                }
            }
            EXTRA_TIMES if field.len() >= 5 && field[0] & 1 != 0 => {
                time = i128::from(number(field, 1, 4) as u32 as i32) * SECOND;
            }
            _ => {}
        }
    }
    Ok(Entry {
        name: name.to_vec(),
        mode: mode(fixed, name),
        time,
        size,
        method: number(fixed, 10, 2) as u16,
        encrypted: number(fixed, 8, 2) & 1 != 0,
        crc: number(fixed, 16, 4) as u32,
        compressed,
        offset: offset.checked_add(shift).ok_or_else(|| invalid("an entry begins beyond the end"))?,
    })
}

/// The fields that follow a name, as far as they are whole.
fn extra_fields(mut extra: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = extra.split_at_checked(4)?;
        let (field, rest) = rest.split_at_checked(number(head, 2, 2) as usize)?;
        extra = rest;
        Some((number(head, 0, 2), field))
    })
}

fn mode(fixed: &[u8], name: &[u8]) -> u32 {
    let (host, attributes) = (number(fixed, 5, 1), number(fixed, 38, 4) as u32);
    let is_directory = name.ends_with(b"/");
    let mode = if host == HOST_UNIX || host == HOST_MACOS { attributes >> 16 } else { 0 };
    let kind = match mode & kiln_guest::S_IFMT {
        _ if is_directory => kiln_guest::S_IFDIR,
        kiln_guest::S_IFLNK => kiln_guest::S_IFLNK,
        _ => kiln_guest::S_IFREG,
    };
    let permissions = match mode & 0o777 {
        0 if is_directory => 0o755,
        0 => 0o644,
        permissions => permissions,
    };
    kind | permissions
}

fn dos_time(date: u64, time: u64) -> i128 {
    let bits = |value: u64, at: u32, count: u32| (value >> at & ((1 << count) - 1)) as u32;
    let civil = Civil {
        year: 1980 + i64::from(bits(date, 9, 7)),
        month: bits(date, 5, 4).clamp(1, 12),
        day: bits(date, 0, 5).clamp(1, 31),
        hour: bits(time, 11, 5).min(23),
        minute: bits(time, 5, 6).min(59),
        second: (bits(time, 0, 5) * 2).min(59),
        nanosecond: 0,
    };
    civil.time()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_dos() {
        assert_eq!(dos_time(20 << 9 | 3 << 5 | 1, 12 << 11 | 1 << 5 | 2), dos(2000, 3, 1, 12, 1, 4).time());
        assert_eq!(dos_time(0, u64::MAX), dos(1980, 1, 1, 23, 59, 59).time());
    }

    fn dos(year: i64, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Civil {
        Civil { year, month, day, hour, minute, second, nanosecond: 0 }
    }

    #[test]
    fn extra_fields_end_where_they_are_cut() {
        let extra = [1, 0, 2, 0, 7, 8, 2, 0, 9, 0, 1];
        assert_eq!(extra_fields(&extra).collect::<Vec<_>>(), [(1, &[7, 8][..])]);
    }
}
