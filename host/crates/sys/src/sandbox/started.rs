//! The parent's side of a process that is held back, let go, and waited for.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::child::{self, Start};
use super::forked::{self, Forked};
use super::prepare::Prepared;
use super::report::{At, MESSAGE_SIZE, Message};
use super::running::{Ended, namespaces};
use super::streams::Streams;
use super::{Failure, Stage, Stdin, raw};
use crate::process::session;

/// A process that is ready to run. Dropped, it is killed, and with process 1 of a sandbox all others.
#[derive(Debug)]
pub struct Started {
    forked: Forked,
    pub streams: [Option<OwnedFd>; 3],
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
    /// The network namespace of a sandbox that has its own.
    pub network: Option<OwnedFd>,
    /// The program itself, once it is executed.
    program: Option<OwnedFd>,
}

pub(super) fn start(prepared: &Prepared, stdin: Stdin) -> Result<Started, Failure> {
    let streams = Streams::new(stdin, [None; 3], prepared.program.uid).at(Stage::StandardStreams)?;
    let own_groups = !prepared.program.entrances.is_empty();
    let start = Start { prepared, streams: streams.inside() };
    let forked = forked::fork(namespaces(&prepared.network, own_groups), child::main, &start)?;
    Started::new(forked, streams)
}

impl Started {
    /// Waits until it is ready.
    pub(super) fn new(forked: Forked, streams: Streams) -> Result<Self, Failure> {
        let mut started = Self { forked, streams: streams.outside, terminal: None, network: None, program: None };
        loop {
            started.forked.wait_for_news().at(Stage::Prepare)?;
            match started.receive() {
                Some(Message::Ready { .. }) => return Ok(started),
                Some(Message::Failed(failed)) => return Err(failed.into()),
                Some(_) => {}
                None if started.forked.is_over() => return Err(killed()),
                None => {}
            }
        }
    }

    /// The next message, with what is handed over.
    fn receive(&mut self) -> Option<Message> {
        let mut bytes = [0; MESSAGE_SIZE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&self.forked.report, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
        let mut descriptors = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        });
        let message = if received.bytes == MESSAGE_SIZE { Message::decode(bytes) } else { None };
        match message {
            Some(Message::Ready { network }) => {
                self.network = if network { descriptors.next() } else { None };
                self.terminal = descriptors.next();
            }
            Some(Message::Executed) => self.program = descriptors.next(),
            _ => {}
        }
        message
    }

    /// Its process id here.
    pub fn pid(&self) -> u32 {
        self.forked.pid
    }

    /// Readable when it has ended, once it was let go.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.forked.report.as_fd()
    }

    /// Has the program executed, and waits until it is.
    pub fn go(&mut self) -> Result<(), Failure> {
        rustix::io::write(&self.forked.report, &[0]).at(Stage::Execute)?;
        loop {
            self.forked.wait_for_news().at(Stage::Execute)?;
            match self.receive() {
                Some(Message::Executed) => return Ok(()),
                Some(Message::Failed(failed)) => {
                    self.forked.reap();
                    return Err(failed.into());
                }
                Some(_) => {}
                None if self.forked.is_over() => return Err(killed()),
                None => {}
            }
        }
    }

    /// Waits until it has ended, and everything in its sandbox if it is process 1 of one. The kernel may still be busy
    /// with its mounts, which dropping this waits for.
    pub fn wait(&mut self) -> Result<Ended, Failure> {
        loop {
            self.forked.wait_for_news().at(Stage::Prepare)?;
            let over = self.forked.is_over();
            match self.forked.message() {
                Some(Message::Exited(code)) => return Ok(Ended::Exited(code)),
                Some(Message::Signalled(signal)) => return Ok(Ended::Signalled(signal)),
                Some(Message::Failed(_) | Message::Ready { .. } | Message::Executed) => {}
                // Killed before it could say anything: by its caller, or because the host was out of memory.
                None if over => return Ok(Ended::Signalled(libc::SIGKILL)),
                None => {}
            }
        }
    }

    /// Sends a signal to the program; SIGKILL kills all that was started.
    pub fn signal(&self, signal: i32) -> std::io::Result<()> {
        let sent = match &self.program {
            Some(program) if signal != libc::SIGKILL => raw::signal(program.as_fd(), signal),
            _ => self.forked.signal(signal),
        };
        match sent {
            // It has ended, which is about to be known.
            Err(Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Kills the program with all that it has started, as far as that did not make itself a daemon.
    pub fn kill_all(&self) -> std::io::Result<()> {
        if let Some(program) = &self.program {
            let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd()))?;
            // Below zero once it was waited for.
            let pid = about.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<u32>().ok());
            let killed = pid.map_or(Ok(()), session::kill);
            // Also where nobody may look at what it has started.
            return self.signal(libc::SIGKILL).and(killed);
        }
        self.signal(libc::SIGKILL)
    }
}

fn killed() -> Failure {
    let source = std::io::Error::other("it was killed before it was ready");
    Failure { stage: Stage::Prepare, mount: 0, source }
}
