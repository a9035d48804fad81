//! The shell's own table of descriptors. WASI has no dup, so a redirection changes this table, and a child is given
//! the files under their numbers when it is spawned.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

/// What a descriptor of the shell stands for.
#[derive(Debug, Clone)]
pub(crate) enum Stream {
    File(Rc<File>),
    /// The memory that collects the output of a command substitution.
    Capture(Capture),
}

pub(crate) type Capture = Rc<RefCell<Vec<u8>>>;

pub(crate) type Streams = BTreeMap<u32, Stream>;

impl Stream {
    pub(crate) fn file(file: File) -> Stream {
        Stream::File(Rc::new(file))
    }

    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::File(file) => (&**file).write_all(bytes),
            Stream::Capture(capture) => {
                capture.borrow_mut().extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

impl Stream {
    /// Moves within a file, from where it is read.
    pub(crate) fn seek(&self, distance: i64) -> io::Result<()> {
        match self {
            Stream::File(file) => (&**file).seek(SeekFrom::Current(distance)).map(drop),
            Stream::Capture(_) => Err(io::Error::from(io::ErrorKind::NotSeekable)),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::File(file) => (&**file).read(buffer),
            Stream::Capture(_) => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pipes that carry children's output into captures.
#[derive(Debug, Default)]
pub(crate) struct CapturePipes(Vec<CapturePipe>);

#[derive(Debug)]
struct CapturePipe {
    capture: Capture,
    read: File,
    write: Rc<File>,
}

impl CapturePipes {
    /// The file to give to a child for this stream.
    pub(crate) fn child_file(&mut self, stream: &Stream) -> io::Result<Rc<File>> {
        match stream {
            Stream::File(file) => Ok(file.clone()),
            Stream::Capture(capture) => {
                if let Some(pipe) = self.0.iter().find(|pipe| Rc::ptr_eq(&pipe.capture, capture)) {
                    return Ok(pipe.write.clone());
                }
                let (read, write) = kiln_guest::pipe()?;
                let write = Rc::new(write);
                self.0.push(CapturePipe { capture: capture.clone(), read, write: write.clone() });
                Ok(write)
            }
        }
    }

    /// Collects what the children wrote. Ends when all of them have closed their ends.
    pub(crate) fn drain(self) -> io::Result<()> {
        let pipes: Vec<_> = self.0.into_iter().map(|pipe| (pipe.capture, pipe.read)).collect();
        for (capture, mut read) in pipes {
            read.read_to_end(&mut capture.borrow_mut())?;
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, other: CapturePipes) {
        self.0.extend(other.0);
    }
}
