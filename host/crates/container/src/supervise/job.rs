//! A process in the container, with what is read from it and written to it. Nothing here waits.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd};

use kiln_exec::Status;
use kiln_exec::namespaces::Started;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::protocol::{Stream, WindowSize};

/// Clients with more input than this are not listened to.
const MOST_INPUT: usize = 64 << 10;

pub(super) struct Job {
    started: Started,
    input: VecDeque<u8>,
    end_input: bool,
    pub(super) status: Option<Status>,
}

/// What one read brought.
pub(super) enum Read {
    Bytes(usize),
    Nothing,
    /// There will be no more.
    End,
}

impl Job {
    pub(super) fn new(started: Started) -> Result<Self> {
        let descriptors = [&started.stdin, &started.stdout, &started.stderr, &started.terminal];
        for descriptor in descriptors.into_iter().flatten() {
            let blocking = rustix::io::ioctl_fionbio(descriptor, true);
            blocking.map_err(|errno| Error::Io {
                action: "prepare",
                path: "the streams".into(),
                source: errno.into(),
            })?;
        }
        Ok(Self { started, input: VecDeque::new(), end_input: false, status: None })
    }

    pub(super) fn has_terminal(&self) -> bool {
        self.started.terminal.is_some()
    }

    /// Readable when it has ended, until that was noticed.
    pub(super) fn exit(&self) -> Option<BorrowedFd<'_>> {
        if self.status.is_some() { None } else { Some(self.started.exit_fd()) }
    }

    pub(super) fn reap(&mut self) {
        if self.status.is_none() {
            // Nobody can say what became of it.
            self.status = Some(self.started.wait().unwrap_or(Status::Exited(255)));
        }
    }

    /// What can be read from, and as which stream.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        let terminal = self.started.terminal.iter().map(|fd| (Stream::Out, fd.as_fd()));
        let out = self.started.stdout.iter().map(|fd| (Stream::Out, fd.as_fd()));
        let err = self.started.stderr.iter().map(|fd| (Stream::Err, fd.as_fd()));
        terminal.chain(out).chain(err)
    }

    pub(super) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Read {
        let pipe = match stream {
            Stream::Out if self.started.terminal.is_some() => &mut self.started.terminal,
            Stream::Out => &mut self.started.stdout,
            Stream::Err => &mut self.started.stderr,
        };
        let Some(descriptor) = pipe else { return Read::End };
        match rustix::io::read(descriptor.as_fd(), buffer) {
            Ok(length) if length > 0 => Read::Bytes(length),
            Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
            // A terminal says EIO when nobody has its other end any more.
            Ok(_) | Err(_) => {
                *pipe = None;
                Read::End
            }
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.sink().is_some() && !self.end_input {
            self.input.extend(bytes);
            self.pass_input();
        }
    }

    /// No more will come. Terminals have no end.
    pub(super) fn end_input(&mut self) {
        if !self.has_terminal() {
            self.end_input = true;
            self.pass_input();
        }
    }

    pub(super) fn takes_input(&self) -> bool {
        self.input.len() < MOST_INPUT
    }

    /// What input waits to be written to.
    pub(super) fn waiting_sink(&self) -> Option<BorrowedFd<'_>> {
        if self.input.is_empty() { None } else { self.sink() }
    }

    fn sink(&self) -> Option<BorrowedFd<'_>> {
        self.started.terminal.as_ref().or(self.started.stdin.as_ref()).map(|fd| fd.as_fd())
    }

    pub(super) fn pass_input(&mut self) {
        while !self.input.is_empty() {
            let (first, _) = self.input.as_slices();
            let Some(sink) = self.sink() else { break };
            match rustix::io::write(sink, first) {
                Ok(length) => drop(self.input.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // It reads no more.
                Err(_) => {
                    self.input.clear();
                    self.end_input = true;
                }
            }
        }
        if self.end_input {
            self.input.clear();
            self.started.stdin = None;
        }
    }

    pub(super) fn resize(&self, size: WindowSize) {
        let _ = self.started.resize(size.into());
    }

    /// With all that it has started.
    pub(super) fn kill_all(&self) -> Result<()> {
        self.started.kill_all().map_err(Error::io("kill", "the process"))
    }

    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        self.started.signal(signal).map_err(Error::io("signal", "the process"))
    }
}
