//! One connection through a published port: two sockets, and what was read from one and not yet written to the other.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketType, recv, send, shutdown, sockopt};

use super::connected;
use crate::poller::{Interest, Poller};

/// How often one direction reads before others have their turn.
const ROUNDS: usize = 4;

#[derive(Debug)]
pub(super) struct Stream {
    client: End,
    service: End,
    /// Whether the connection to the service is not decided yet.
    connecting: bool,
}

#[derive(Debug)]
struct End {
    socket: OwnedFd,
    interest: Interest,
    /// What the other end sent and this one did not take yet, from `written` on.
    pending: Vec<u8>,
    written: usize,
    /// The end sends no more.
    finished: bool,
    /// It was told that it gets no more.
    closed: bool,
}

impl End {
    fn new(socket: OwnedFd) -> Self {
        // Whoever wrote decided already what goes in one segment.
        let _ = sockopt::set_tcp_nodelay(&socket, true);
        Self { socket, interest: Interest::NONE, pending: Vec::new(), written: 0, finished: false, closed: false }
    }

    fn blocked(&self) -> bool {
        self.written < self.pending.len()
    }

    /// Writes what waits.
    fn flush(&mut self) -> Result<(), Errno> {
        while self.blocked() {
            match send(&self.socket, &self.pending[self.written..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.written += sent,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        // Idle connections hold no memory.
        self.pending = Vec::new();
        self.written = 0;
        Ok(())
    }

    /// Writes `bytes`, or keeps what does not go.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let sent = match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error),
        };
        self.pending = bytes[sent..].to_vec();
        self.written = 0;
        Ok(())
    }
}

/// Moves bytes from one end to the other until there are none, or they are not taken.
fn pump(from: &mut End, to: &mut End, buffer: &mut [u8]) -> Result<(), Errno> {
    to.flush()?;
    for _ in 0..ROUNDS {
        if to.blocked() || from.finished {
            break;
        }
        match recv(&from.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => from.finished = true,
            Ok((read, _)) => to.write(&buffer[..read])?,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    if from.finished && !to.blocked() && !to.closed {
        shutdown(&to.socket, Shutdown::Write)?;
        to.closed = true;
    }
    Ok(())
}

impl Stream {
    /// Begins to connect `client` to the container's port.
    pub(super) fn new(client: OwnedFd, container_port: u16) -> Result<Self, Errno> {
        match connected(SocketType::STREAM, container_port) {
            Ok(service) => Ok(Self { client: End::new(client), service: End::new(service), connecting: true }),
            Err(error) => {
                reset(&client);
                Err(error)
            }
        }
    }

    /// Does what can be done now; whether there is more to come. `tokens` are those of the client and the service.
    pub(super) fn advance(&mut self, poller: &Poller, tokens: (u64, u64), buffer: &mut [u8]) -> Result<bool, Errno> {
        if self.connecting {
            match sockopt::socket_error(&self.service.socket)? {
                Ok(()) if connection_made(&self.service.socket)? => self.connecting = false,
                Ok(()) => {
                    poller.watch(&self.service.socket, tokens.1, &mut self.service.interest, Interest::WRITE)?;
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        pump(&mut self.client, &mut self.service, buffer)?;
        pump(&mut self.service, &mut self.client, buffer)?;
        if self.client.closed && self.service.closed {
            return Ok(false);
        }
        let wanted =
            |end: &End, other: &End| Interest { read: !end.finished && !other.blocked(), write: end.blocked() };
        let (client, service) = (wanted(&self.client, &self.service), wanted(&self.service, &self.client));
        poller.watch(&self.client.socket, tokens.0, &mut self.client.interest, client)?;
        poller.watch(&self.service.socket, tokens.1, &mut self.service.interest, service)?;
        Ok(true)
    }

    /// Tells both ends that the connection broke.
    pub(super) fn reset(&self) {
        reset(&self.client.socket);
        reset(&self.service.socket);
    }
}

fn connection_made(socket: &OwnedFd) -> Result<bool, Errno> {
    match rustix::net::getpeername(socket) {
        Ok(_) => Ok(true),
        Err(Errno::NOTCONN) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes closing the socket a reset instead of an orderly end. It matters to nobody where that fails.
fn reset(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}
