//! A file that is read while it is written: a compressed layer that is on its way before all of it is there.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// What the reader waits for, unless the end comes first: waking it for each block costs more than reading it.
const PIECE: u64 = 1 << 20;

/// What the writer and the reader know of each other.
#[derive(Default)]
pub struct Growing {
    file: OnceLock<File>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    length: u64,
    /// The shortest length that somebody waits for.
    awaited: Option<u64>,
    /// Nothing more comes: whether all that is there is wanted.
    end: Option<bool>,
}

impl Growing {
    /// Waits until there are so many bytes. `false` where there will not be, or where nobody wants them.
    pub fn reaches(&self, length: u64) -> bool {
        let state = self.wait_for(length);
        state.length >= length && state.end != Some(false)
    }

    /// How long it is, once it is whole.
    pub fn size(&self) -> Option<u64> {
        let state = self.lock();
        state.end.and_then(|whole| whole.then_some(state.length))
    }

    /// Nothing more comes. What is not whole or not wanted is not read to its end; what was said first holds.
    pub fn end(&self, whole: bool) {
        self.lock().end.get_or_insert(whole);
        self.changed.notify_all();
    }

    /// Ends it when it goes out of scope, so that nobody waits for what will not come.
    pub fn end_with_scope(&self) -> impl Drop + '_ {
        EndOfScope(self)
    }

    /// Reads it from its beginning, waiting for what is not there yet. There is one reader at a time.
    pub fn reader(&self) -> io::Result<GrowingReader<'_>> {
        self.reader_to(u64::MAX)
    }

    /// The same of one that shall have `size` bytes, and is read no further.
    pub(crate) fn reader_to(&self, size: u64) -> io::Result<GrowingReader<'_>> {
        let mut file = self.file.get().ok_or(io::ErrorKind::NotFound)?;
        file.rewind()?;
        Ok(GrowingReader { growing: self, file, size, position: 0, seen: 0 })
    }

    /// `file` is opened for the reader alone.
    pub(crate) fn begin(&self, file: File) {
        // A second file would be a second form, and there is one.
        let _ = self.file.set(file);
    }

    pub(crate) fn add(&self, length: u64) {
        let mut state = self.lock();
        state.length += length;
        if state.awaited.is_some_and(|awaited| awaited <= state.length) {
            state.awaited = None;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it has so many bytes, or its end.
    fn wait_for(&self, length: u64) -> MutexGuard<'_, State> {
        let waits = |state: &mut State| {
            let waits = state.end.is_none() && state.length < length;
            if waits {
                state.awaited = Some(state.awaited.map_or(length, |awaited| awaited.min(length)));
            }
            waits
        };
        self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner)
    }
}

struct EndOfScope<'a>(&'a Growing);

impl Drop for EndOfScope<'_> {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

/// See [`Growing::reader`].
pub struct GrowingReader<'a> {
    growing: &'a Growing,
    file: &'a File,
    size: u64,
    position: u64,
    /// The length when it was last looked at.
    seen: u64,
}

impl Read for GrowingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size {
            return Ok(0);
        }
        let awaited = if self.position < self.seen { 0 } else { self.position.saturating_add(PIECE).min(self.size) };
        let state = self.growing.wait_for(awaited);
        self.seen = state.length.min(self.size);
        if state.end == Some(false) {
            return Err(io::Error::other("it is not made to its end"));
        }
        drop(state);
        let most = usize::try_from(self.seen - self.position).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}

/// Writes, and tells the reader.
pub(crate) struct Telling<'a, W> {
    pub(crate) out: W,
    pub(crate) growing: Option<&'a Growing>,
}

impl<W: Write> Write for Telling<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        if let Some(growing) = self.growing {
            growing.add(written as u64);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A growing file, and a writer to it.
    fn growing(growing: &Growing) -> Telling<'_, File> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        growing.begin(file.reopen().expect("another handle"));
        Telling { out: file.into_file(), growing: Some(growing) }
    }

    #[test]
    fn what_is_read_waits_for_what_is_written() {
        let file = Growing::default();
        let mut writer = growing(&file);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                assert!(file.reaches(3) && file.size().is_none());
                let mut whole = [String::new(), String::new()];
                for text in &mut whole {
                    file.reader().expect("begun").read_to_string(text).expect("read");
                }
                whole
            });
            for part in ["one", " two", " three"] {
                writer.write_all(part.as_bytes()).expect("write");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            file.end(true);
            file.end(false);
            assert_eq!(reading.join().expect("no panic"), ["one two three"; 2]);
        });
        assert_eq!(file.size(), Some(13));
        assert!(file.reaches(13) && !file.reaches(14));
    }

    #[test]
    fn nobody_waits_for_what_will_not_come() {
        let file = Growing::default();
        let mut writer = growing(&file);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| file.reader().and_then(|mut reader| reader.read_to_end(&mut Vec::new())));
            let reaching = scope.spawn(|| file.reaches(100));
            let _end = file.end_with_scope();
            writer.write_all(b"something").expect("write");
            drop(_end);
            assert!(reading.join().expect("no panic").is_err() && !reaching.join().expect("no panic"));
        });
        let never = Growing::default();
        never.end(true);
        assert!(!never.reaches(1) && never.reader().is_err());
    }
}
