//! The client's end: to the supervisor of a container that runs, or to a new one.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::error::{Error, Result};
use crate::protocol::{Answer, Frame as _, Incoming, Message, PIECE, Request};
use crate::{Container, socket};

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    incoming: Incoming,
    /// What the supervisor did not take yet.
    outgoing: Vec<u8>,
    /// The container's, for messages.
    name: String,
    /// What came before the request was granted.
    pub warnings: Vec<String>,
}

impl Connection {
    /// To the supervisor of a container that runs.
    pub fn to(container: &Container) -> Result<Self> {
        Self::at(container.folder.path(), container.name())
    }

    /// The same of one of which nothing but its folder is known.
    pub fn at(folder: &Path, name: &str) -> Result<Self> {
        let name = name.to_owned();
        match socket::connect(folder) {
            Ok(stream) => Ok(Self::over(stream, name)),
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) => {
                Err(Error::NotRunning { name })
            }
            Err(source) => Err(Error::Io { action: "connect to the supervisor of", path: name.into(), source }),
        }
    }

    fn over(stream: UnixStream, name: String) -> Self {
        Self { stream, incoming: Incoming::default(), outgoing: Vec::new(), name, warnings: Vec::new() }
    }

    /// Sends the request and waits until it is granted.
    pub fn ask(&mut self, request: Request) -> Result<()> {
        let mut bytes = Vec::new();
        Message::Request(request).encode(&mut bytes);
        // An error is that it is gone, and what it said before is of interest.
        let _ = self.stream.write_all(&bytes);
        loop {
            match self.receive()? {
                Some(Answer::Warning(text)) => self.warnings.push(text),
                Some(Answer::Ready | Answer::Ended(_)) => return Ok(()),
                Some(Answer::Busy) => return Err(Error::Busy { name: self.name.clone() }),
                Some(Answer::Refused { message, code }) => return Err(Error::Refused { message, code }),
                Some(Answer::Output(..)) | None => return Err(Error::Gone { name: self.name.clone() }),
            }
        }
    }

    /// Sends a message without waiting: what does not go at once goes by [`Connection::flush`]. Somebody who only sent
    /// would be waited for by a container that only writes.
    pub fn send(&mut self, message: &Message) -> Result<()> {
        message.encode(&mut self.outgoing);
        self.flush()
    }

    pub fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends what the supervisor takes now. If it is gone, its last answers may still be read.
    pub fn flush(&mut self) -> Result<()> {
        use rustix::net::{SendFlags, send};

        while !self.outgoing.is_empty() {
            match send(&self.stream, &self.outgoing, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => self.outgoing.clear(),
                Err(errno) => return Err(self.failed(errno.into())),
            }
        }
        Ok(())
    }

    /// The next answer; `None` when there are no more.
    pub fn receive(&mut self) -> Result<Option<Answer>> {
        loop {
            if let Some(answer) = self.incoming.take().map_err(|source| self.failed(source))? {
                return Ok(Some(answer));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// One that has arrived already, without waiting.
    pub fn received(&mut self) -> Result<Option<Answer>> {
        self.incoming.take().map_err(|source| self.failed(source))
    }

    /// Reads what there is, waiting if there is nothing. `false` at the end.
    pub fn read(&mut self) -> Result<bool> {
        let mut buffer = vec![0; PIECE];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(length) => {
                    self.incoming.push(&buffer[..length]);
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It was killed with something of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(source) => return Err(self.failed(source)),
            }
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { action: "read from the supervisor of", path: self.name.clone().into(), source }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Asks the supervisor of a container that runs for one thing.
pub fn ask(container: &Container, request: Request) -> Result<()> {
    Connection::to(container)?.ask(request)
}

/// Starts the supervisor of a container, and with it the container. It gets `request` before anything runs, so nothing is
/// lost of what the container writes; its end is in the answers. To be called inside the user namespace, if one is
/// needed, and after the executor's preflight: the supervisor inherits the one and relies on the other.
#[cfg(target_os = "linux")]
pub fn start(container: &Container, store: &Path, request: Request) -> Result<(Connection, std::process::Child)> {
    use std::ffi::OsStr;
    use std::process::Stdio;

    let failed = Error::io("start a supervisor for", container.name());
    let pair = UnixStream::pair().and_then(|(ours, its)| {
        let arguments = [OsStr::new("--root"), store.as_os_str(), OsStr::new("supervise"), OsStr::new(container.id())];
        let streams = [Stdio::from(std::os::fd::OwnedFd::from(its)), Stdio::null(), Stdio::null()];
        Ok((ours, kiln_sys::process::spawn_detached(arguments, streams)?))
    });
    let (stream, child) = pair.map_err(failed)?;
    let name = container.name().to_owned();
    let mut connection = Connection::over(stream, name);
    connection.ask(request)?;
    Ok((connection, child))
}

#[cfg(not(target_os = "linux"))]
pub fn start(container: &Container, _: &Path, _: Request) -> Result<(Connection, std::process::Child)> {
    let message = format!("container {} holds Linux programs, which need a Linux kernel", container.name());
    Err(Error::Refused { message, code: 125 })
}
