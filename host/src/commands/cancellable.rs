//! A stream that fails once the user has asked for an early end, so that what it feeds is taken back in order.

use std::io::{self, Read, Write};

use kiln_exec::Cancel;

pub(super) struct Cancellable<T> {
    inner: T,
    cancel: Cancel,
}

impl<T> Cancellable<T> {
    pub(super) fn new(inner: T, cancel: Cancel) -> Self {
        Self { inner, cancel }
    }

    fn check(&self) -> io::Result<()> {
        check(&self.cancel)
    }
}

/// Fails once the user has asked for an early end.
pub(super) fn check(cancel: &Cancel) -> io::Result<()> {
    // Not `Interrupted`, after which everybody tries again.
    if cancel.is_cancelled() { Err(io::Error::other("cancelled")) } else { Ok(()) }
}

impl<T: Read> Read for Cancellable<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.read(buffer)
    }
}

impl<T: Write> Write for Cancellable<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
