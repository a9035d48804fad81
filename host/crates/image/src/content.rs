//! The bytes of one regular file, wherever they are now: in memory, in a layer's tar, in the build context.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use kiln_types::Digest;

/// Opens the bytes anew, each time from their beginning.
pub trait Source: Send + Sync {
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;

    /// As [`Content::read_at`]; `None` where bytes can only be read from the beginning on.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Option<io::Result<usize>> {
        let _ = (buffer, offset);
        None
    }
}

/// Bytes of known length that are opened only when needed.
#[derive(Clone)]
pub struct Content {
    size: u64,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Memory(Arc<dyn AsRef<[u8]> + Send + Sync>),
    Range { file: Arc<File>, offset: u64 },
    Elsewhere(Arc<dyn Source>),
    Copied(Arc<Copied>),
}

/// Bytes that were stored before, and where they come from.
struct Copied {
    original: Content,
    file: Arc<File>,
    offset: u64,
    digest: Digest,
}

/// A place in a file that holds the bytes of a [`Content`], if they have the digest: always where there is none.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) file: &'a Arc<File>,
    pub(crate) offset: u64,
    pub(crate) digest: Option<Digest>,
}

impl Content {
    pub fn new(size: u64, source: impl Source + 'static) -> Self {
        Self { size, place: Place::Elsewhere(Arc::new(source)) }
    }

    pub fn bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self { size: bytes.as_ref().len() as u64, place: Place::Memory(Arc::new(bytes)) }
    }

    /// `size` bytes of `file` from `offset` on. The file's own position is never used.
    pub fn range(file: Arc<File>, offset: u64, size: u64) -> Self {
        Self { size, place: Place::Range { file, offset } }
    }

    /// The same bytes, which have this digest and stand in `stored`, a range of a file, as well. The writer of layers takes
    /// them from there, where many lie side by side, as long as they have the digest.
    #[must_use]
    pub fn copied(self, stored: &Content, digest: Digest) -> Self {
        match &stored.place {
            Place::Range { file, offset } if stored.size == self.size => {
                let (size, file, offset) = (self.size, Arc::clone(file), *offset);
                Self { size, place: Place::Copied(Arc::new(Copied { original: self, file, offset, digest })) }
            }
            _ => self,
        }
    }

    pub(crate) fn stored(&self) -> Option<Stored<'_>> {
        match &self.place {
            Place::Range { file, offset } => Some(Stored { file, offset: *offset, digest: None }),
            Place::Copied(copied) => {
                let Copied { file, offset, digest, .. } = &**copied;
                Some(Stored { file, offset: *offset, digest: Some(*digest) })
            }
            Place::Memory(_) | Place::Elsewhere(_) => None,
        }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        match &self.place {
            Place::Elsewhere(source) => source.open(),
            Place::Copied(copied) => copied.original.open(),
            Place::Memory(_) | Place::Range { .. } => Ok(Box::new(Sequential { content: self.clone(), position: 0 })),
        }
    }

    /// Reads at `offset` without any position of its own; 0 at the end.
    ///
    /// # Errors
    /// `Unsupported` where the source can only be read from its beginning: see [`Content::is_random_access`].
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..length];
        match &self.place {
            Place::Memory(bytes) => {
                let bytes = (**bytes).as_ref();
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                buffer.copy_from_slice(&bytes[start..start + length]);
                Ok(length)
            }
            Place::Range { file, offset: start } => {
                let position = start.checked_add(offset).ok_or(io::ErrorKind::InvalidInput)?;
                read_file_at(file, buffer, position)
            }
            Place::Elsewhere(source) => {
                source.read_at(buffer, offset).unwrap_or(Err(io::ErrorKind::Unsupported.into()))
            }
            Place::Copied(copied) => copied.original.read_at(buffer, offset),
        }
    }

    /// Can [`Content::read_at`] be used?
    pub fn is_random_access(&self) -> bool {
        match &self.place {
            Place::Memory(_) | Place::Range { .. } => true,
            Place::Elsewhere(source) => source.read_at(&mut [], 0).is_some(),
            Place::Copied(copied) => copied.original.is_random_access(),
        }
    }

    /// The file and offset that hold the bytes, for copies inside the kernel.
    #[cfg(target_os = "linux")]
    pub(crate) fn as_range(&self) -> Option<(&File, u64)> {
        match &self.place {
            Place::Range { file, offset } => Some((file, *offset)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("size", &self.size).finish_non_exhaustive()
    }
}

struct Sequential {
    content: Content,
    position: u64,
}

impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// Fills the buffer; less at the end only.
pub(crate) fn read_full(input: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(unix)]
pub(crate) fn read_file_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
pub(crate) fn read_file_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn ranges_end_where_they_should() {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(b"0123456789").expect("write");
        let file = Arc::new(file);
        for (offset, size, expected) in [(0, 10, "0123456789"), (2, 3, "234"), (8, 5, "89"), (4, 0, "")] {
            let content = Content::range(file.clone(), offset, size);
            let mut text = String::new();
            content.open().expect("open").read_to_string(&mut text).expect("read");
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn positional_reads_past_the_end_give_nothing() {
        let content = Content::bytes(b"abc".to_vec());
        let mut buffer = [0; 8];
        assert_eq!(content.read_at(&mut buffer, 1).expect("read"), 2);
        assert_eq!(&buffer[..2], b"bc");
        assert_eq!(content.read_at(&mut buffer, 3).expect("read"), 0);
        assert_eq!(content.read_at(&mut buffer, u64::MAX).expect("read"), 0);
    }
}
