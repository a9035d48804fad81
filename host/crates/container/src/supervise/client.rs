//! One client: what it asked for, what it says, and what it is still to be told. Nothing here waits.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::protocol::{Answer, Frame as _, Incoming, Message, PIECE};

/// A container is not read from while somebody who wants its output has so much of it unread.
const MOST_WAITING: usize = 256 << 10;

pub(super) struct Client {
    stream: UnixStream,
    pub(super) incoming: Incoming,
    outgoing: Vec<u8>,
    /// So many bytes of them were sent.
    sent: usize,
    pub(super) role: Role,
}

pub(super) enum Role {
    /// Its request has not come.
    Asking,
    Attached {
        to: u64,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    /// Waits for the end of the container.
    Stopping,
    /// There is nothing more to say.
    Served,
}

impl Client {
    pub(super) fn new(stream: UnixStream, incoming: Incoming) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, incoming, outgoing: Vec::new(), sent: 0, role: Role::Asking })
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub(super) fn tell(&mut self, answer: &Answer) {
        answer.encode(&mut self.outgoing);
    }

    pub(super) fn refuse(&mut self, message: impl Into<String>, code: u8) {
        self.tell(&Answer::Refused { message: message.into(), code });
        self.role = Role::Served;
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    pub(super) fn is_behind(&self) -> bool {
        self.outgoing.len() - self.sent > MOST_WAITING
    }

    /// Nobody needs it any more.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.role, Role::Served) && !self.has_unsent()
    }

    /// `false` if the client is gone.
    pub(super) fn send(&mut self) -> bool {
        while self.has_unsent() {
            match self.stream.write(&self.outgoing[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(MOST_WAITING);
        self.sent = 0;
        true
    }

    /// `false` if the client is gone.
    pub(super) fn receive(&mut self) -> bool {
        let mut buffer = [0; PIECE];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.incoming.push(&buffer[..length]);
                true
            }
            Err(error) => [ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind()),
        }
    }

    /// What it says next. `Err` if it speaks another language.
    pub(super) fn message(&mut self) -> std::io::Result<Option<Message>> {
        self.incoming.take()
    }
}
