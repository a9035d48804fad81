//! The files as members of a tar: no times, no owners.

use std::io::{Read, Write};

use kiln_types::Digest;

use super::{Out, copy_blob};
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::tar::{END, Header, append_header, padding};

pub(super) struct Archive<W> {
    pub(super) out: W,
}

impl<W: Write> Archive<W> {
    fn header(&mut self, kind: u8, name: &str, mode: u32, size: u64) -> Result<()> {
        let mut bytes = Vec::new();
        let meta = Meta { mode, ..Meta::default() };
        append_header(
            &mut bytes,
            &Header { kind, path: name.as_bytes(), link: b"", meta: &meta, size, device: (0, 0) },
        )?;
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io("write the archive"))
    }
}

impl<W: Write> Out for Archive<W> {
    fn directory(&mut self, name: &str) -> Result<()> {
        self.header(b'5', name, 0o755, 0)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let size = bytes.len() as u64;
        self.header(b'0', name, 0o644, size)?;
        self.write(bytes)?;
        self.write(&END[..padding(size)])
    }

    fn blob(&mut self, name: &str, expected: Option<&Digest>, content: &mut dyn Read, size: u64) -> Result<()> {
        self.header(b'0', name, 0o644, size)?;
        copy_blob(name, expected, content, size, &mut self.out)?;
        self.write(&END[..padding(size)])
    }

    fn finish(mut self) -> Result<()> {
        self.write(&END)?;
        self.out.flush().map_err(Error::io("write the archive"))
    }
}
