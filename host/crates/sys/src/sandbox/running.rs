//! The parent's side of a sandbox: forks it, follows its output, notices its end.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fchown, openat};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, getpgrp, pidfd_send_signal, waitid};
use rustix::stdio::stdin;
use rustix::termios::tcsetpgrp;

use super::child::{self, Start};
use super::prepare::Prepared;
use super::report::{At, MESSAGE_SIZE, Message};
use super::{Failure, Network, Stage, raw};

/// A cancelled sandbox is dead within this time.
const PATIENCE: Duration = Duration::from_millis(50);
const BUFFER: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// What is wanted of a sandbox that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The command is to get this signal.
    Signal(i32),
    /// Everything is to be killed.
    Cancel,
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Signalled(i32),
    Cancelled,
}

/// A sandbox that was started. Dropped, it is killed with all its processes, and gone.
#[derive(Debug)]
pub struct Running {
    process: OwnedFd,
    report: OwnedFd,
    outputs: [Option<OwnedFd>; 2],
    terminal: bool,
    reaped: bool,
}

pub(super) fn spawn(prepared: &Prepared) -> Result<Running, Failure> {
    let (out, out_in) = output(prepared.pipes)?;
    let (err, err_in) = output(prepared.pipes)?;
    let empty = prepared
        .empty_stdin
        .then(|| openat(CWD, c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).and_then(above_standard))
        .transpose()
        .at(Stage::StandardStreams)?;
    // Programs open them again as /dev/stdout, which the user that they run as must be allowed to.
    for pipe in [&out_in, &err_in].into_iter().flatten() {
        fchown(pipe, Some(prepared.uid), None).at(Stage::StandardStreams)?;
    }
    let streams = [&empty, &out_in, &err_in].map(|stream| stream.as_ref().map(AsFd::as_fd));
    let mut running = fork(prepared.network, child::main, &Start { prepared, streams })?;
    running.outputs = [out, err];
    running.terminal = prepared.terminal;
    Ok(running)
}

/// What the child runs. It may only make system calls, and allocate nothing. A panic in it aborts: it must not unwind
/// into what the parent had on its stack.
pub(super) type Main<T> = extern "C" fn(&T, report: BorrowedFd<'_>) -> !;

/// Forks process 1 of a new sandbox.
pub(super) fn fork<T>(network: Network, main: Main<T>, argument: &T) -> Result<Running, Failure> {
    let (report, report_in) = pipe()?;
    let mask = raw::block_signals();
    // SAFETY: what the two `Main` functions do is described there; neither returns.
    let process = match unsafe { raw::fork_into(namespaces(network)) } {
        Ok(None) => main(argument, report_in.as_fd()),
        Ok(Some(process)) => Ok(process),
        Err(errno) => Err(errno),
    };
    raw::restore_signals(&mask);
    let process = process.at(Stage::Namespaces)?;
    Ok(Running { process, report, outputs: [None, None], terminal: false, reaped: false })
}

fn namespaces(network: Network) -> i32 {
    let own = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
    own | if network == Network::None { libc::CLONE_NEWNET } else { 0 }
}

/// Reading end, which does not block, and writing end, which does.
fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    let ends = || {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok((reader, above_standard(writer)?))
    };
    Ok(ends().at(Stage::StandardStreams)?)
}

/// The child puts things at 0, 1 and 2: what it puts there must not be there already, in another order.
fn above_standard(descriptor: OwnedFd) -> rustix::io::Result<OwnedFd> {
    if descriptor.as_raw_fd() > 2 { Ok(descriptor) } else { fcntl_dupfd_cloexec(&descriptor, 3) }
}

fn output(wanted: bool) -> Result<(Option<OwnedFd>, Option<OwnedFd>), Failure> {
    if !wanted {
        return Ok((None, None));
    }
    let (reader, writer) = pipe()?;
    Ok((Some(reader), Some(writer)))
}

impl Running {
    /// Waits until the command has ended and nothing in the sandbox runs any more. Its output goes to `each` as it
    /// comes; `wish` is asked at least every 50 ms until it has none.
    pub fn finish(
        &mut self,
        each: &mut dyn FnMut(Stream, &[u8]),
        wish: &dyn Fn() -> Option<Wish>,
    ) -> Result<Ended, Failure> {
        let mut buffer = vec![0; BUFFER];
        loop {
            while let Some(wish) = wish() {
                match wish {
                    // Process 1 of the sandbox hands it to the command.
                    Wish::Signal(signal) => {
                        if let Some(signal) = Signal::from_named_raw(signal) {
                            let _ = pidfd_send_signal(&self.process, signal);
                        }
                    }
                    Wish::Cancel => {
                        self.reap();
                        while self.pass_on(&mut buffer, each) {}
                        return Ok(Ended::Cancelled);
                    }
                }
            }
            self.wait_for_news().at(Stage::Prepare)?;
            self.pass_on(&mut buffer, each);
            let dead = self.is_dead();
            match self.message() {
                Some(Message::Failed(failed)) => return Err(failed.into()),
                Some(Message::Exited(code)) => return self.ended(Ended::Exited(code), &mut buffer, each),
                Some(Message::Signalled(signal)) => return self.ended(Ended::Signalled(signal), &mut buffer, each),
                // Killed from outside, all of it, before it could say anything: the host was out of memory, say.
                None if dead => return self.ended(Ended::Signalled(libc::SIGKILL), &mut buffer, each),
                None => {}
            }
        }
    }

    fn ended(
        &mut self,
        ended: Ended,
        buffer: &mut [u8],
        each: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Ended, Failure> {
        // Everything that could write is dead, so what is in the pipes now is all there will be.
        while self.pass_on(buffer, each) {}
        self.take_terminal_back();
        Ok(ended)
    }

    fn wait_for_news(&self) -> rustix::io::Result<()> {
        let none = PollFlags::empty();
        let [out, err] = &self.outputs;
        // A stream that has ended would be ready for ever: the report stands in for it.
        let stream = |stream: &'_ Option<OwnedFd>| if stream.is_some() { PollFlags::IN } else { none };
        let mut ready = [
            PollFd::new(&self.report, PollFlags::IN),
            PollFd::new(&self.process, PollFlags::IN),
            PollFd::new(out.as_ref().unwrap_or(&self.report), stream(out)),
            PollFd::new(err.as_ref().unwrap_or(&self.report), stream(err)),
        ];
        let timeout = PATIENCE.try_into().map_err(|_| Errno::INVAL)?;
        match poll(&mut ready, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Passes on one piece of each stream that has one. False if there was none.
    fn pass_on(&mut self, buffer: &mut [u8], each: &mut dyn FnMut(Stream, &[u8])) -> bool {
        let mut more = false;
        for (output, stream) in self.outputs.iter_mut().zip([Stream::Out, Stream::Err]) {
            let Some(pipe) = output else { continue };
            match read(&*pipe, &mut *buffer) {
                Ok(0) => *output = None,
                Ok(length) => {
                    each(stream, &buffer[..length]);
                    more = true;
                }
                Err(Errno::INTR) => more = true,
                Err(Errno::AGAIN) => {}
                Err(_) => *output = None,
            }
        }
        more
    }

    fn message(&self) -> Option<Message> {
        let mut bytes = [0; MESSAGE_SIZE];
        loop {
            match read(&self.report, &mut bytes) {
                Ok(MESSAGE_SIZE) => return Message::decode(bytes),
                Err(Errno::INTR) => {}
                _ => return None,
            }
        }
    }

    fn is_dead(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::PidFd(self.process.as_fd()), options), Ok(None))
    }

    /// Kills it, if it still lives, and waits until it is gone with its mounts.
    fn reap(&mut self) {
        if self.reaped {
            return;
        }
        self.reaped = true;
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
        while matches!(waitid(WaitId::PidFd(self.process.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
        self.take_terminal_back();
    }

    /// The command was the terminal's foreground job; now we are again.
    fn take_terminal_back(&mut self) {
        if std::mem::take(&mut self.terminal) {
            let mask = raw::block_signals();
            let _ = tcsetpgrp(stdin(), getpgrp());
            raw::restore_signals(&mask);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reap();
    }
}
