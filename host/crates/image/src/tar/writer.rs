//! Writes a tar member by member, whatever the members come from.

use std::io::{self, Read, Write};

use super::{END, Header, Member, MemberKind, append_header, padding};
use crate::error::{Error, Result};

const BLOCK: usize = 256 << 10;

pub struct TarWriter<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    pub fn new(out: W) -> Self {
        Self { out, buffer: Vec::new() }
    }

    /// Of `content`, as many bytes are taken as the member has; what other kinds than files have counts for nothing.
    pub fn append(&mut self, member: &Member, content: &mut dyn Read) -> Result<()> {
        let (kind, device) = match member.kind {
            MemberKind::File => (b'0', (0, 0)),
            MemberKind::HardLink => (b'1', (0, 0)),
            MemberKind::Symlink => (b'2', (0, 0)),
            MemberKind::CharDevice { major, minor } => (b'3', (major, minor)),
            MemberKind::BlockDevice { major, minor } => (b'4', (major, minor)),
            MemberKind::Directory => (b'5', (0, 0)),
            MemberKind::Fifo => (b'6', (0, 0)),
        };
        let path = match member.kind {
            MemberKind::Directory if member.path.is_empty() => b"./".to_vec(),
            MemberKind::Directory if !member.path.ends_with(b"/") => [&member.path[..], b"/"].concat(),
            _ => member.path.clone(),
        };
        let size = if kind == b'0' { member.size } else { 0 };
        self.buffer.clear();
        append_header(
            &mut self.buffer,
            &Header { kind, path: &path, link: &member.link, meta: &member.meta, size, device },
        )?;
        let wrote = Error::io("write the tar");
        self.out.write_all(&self.buffer).map_err(wrote)?;
        self.copy(member, content, size)
    }

    fn copy(&mut self, member: &Member, content: &mut dyn Read, size: u64) -> Result<()> {
        let mut left = size;
        while left > 0 {
            self.buffer.resize(usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK), 0);
            let read = match content.read(&mut self.buffer) {
                // Someone makes it shorter meanwhile: as other programs that write tars, what is missing is zeros.
                Ok(0) => {
                    self.buffer.fill(0);
                    self.buffer.len()
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::at("read", &member.path)(error)),
            };
            self.out.write_all(&self.buffer[..read]).map_err(Error::io("write the tar"))?;
            left -= read as u64;
        }
        self.out.write_all(&END[..padding(size)]).map_err(Error::io("write the tar"))
    }

    /// Writes the end of the tar.
    pub fn finish(mut self) -> Result<()> {
        self.out.write_all(&END).and_then(|()| self.out.flush()).map_err(Error::io("write the tar"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Meta;
    use crate::tar::Reader;

    fn member(path: &str, kind: MemberKind, size: u64) -> Member {
        let meta = Meta { mode: 0o640, uid: 7, gid: 8, mtime: 9, ..Meta::default() };
        Member { path: path.as_bytes().to_vec(), link: Vec::new(), kind, meta, offset: 0, size }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        let mut writer = TarWriter::new(&mut out);
        let long = "x/".repeat(200) + "name";
        let link = Member { link: b"a".to_vec(), ..member("l", MemberKind::HardLink, 0) };
        writer.append(&member("", MemberKind::Directory, 0), &mut io::empty()).expect("write");
        writer.append(&member("a", MemberKind::File, 3), &mut &b"abcdef"[..]).expect("write");
        writer.append(&member(&long, MemberKind::File, 5), &mut &b"ab"[..]).expect("write");
        writer.append(&link, &mut io::empty()).expect("write");
        writer.append(&member("d", MemberKind::CharDevice { major: 1, minor: 3 }, 0), &mut io::empty()).expect("write");
        writer.finish().expect("write");
        let mut reader = Reader::new(&out[..]);
        let mut found = Vec::new();
        while let Some(member) = reader.next().expect("a tar") {
            let mut content = Vec::new();
            reader.content().read_to_end(&mut content).expect("content");
            assert_eq!((member.meta.mode, member.meta.uid, member.meta.gid, member.meta.mtime), (0o640, 7, 8, 9));
            found.push((String::from_utf8(member.path).expect("text"), member.kind, content));
        }
        let expected = [
            ("./".to_owned(), MemberKind::Directory, &b""[..]),
            ("a".to_owned(), MemberKind::File, b"abc"),
            (long, MemberKind::File, b"ab\0\0\0"),
            ("l".to_owned(), MemberKind::HardLink, b""),
            ("d".to_owned(), MemberKind::CharDevice { major: 1, minor: 3 }, b""),
        ];
        assert_eq!(found, expected.map(|(path, kind, content)| (path, kind, content.to_vec())));
    }
}
