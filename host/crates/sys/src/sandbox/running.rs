//! The parent's side of a sandbox: forks it, follows its output, notices its end.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::fchown;
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::getpgrp;
use rustix::stdio::stdin;
use rustix::termios::tcsetpgrp;

use super::child::{self, Start};
use super::forked::{self, Forked, above_standard};
use super::prepare::{Prepared, Terminal};
use super::report::{At, Message};
use super::{Failure, Network, Output, Stage, Stdin, raw, streams};

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
    forked: Forked,
    outputs: [Option<OwnedFd>; 2],
    terminal: bool,
}

pub(super) fn spawn(prepared: &Prepared, stdin: Stdin, output: Output) -> Result<Running, Failure> {
    let (out, out_in) = pipe(output)?;
    let (err, err_in) = pipe(output)?;
    let empty = (stdin == Stdin::Empty)
        .then(|| streams::null().and_then(above_standard))
        .transpose()
        .at(Stage::StandardStreams)?;
    // Programs open them again as /dev/stdout, which the user that they run as must be allowed to.
    for pipe in [&out_in, &err_in].into_iter().flatten() {
        fchown(pipe, Some(prepared.program.uid), None).at(Stage::StandardStreams)?;
    }
    let streams = [&empty, &out_in, &err_in].map(|stream| stream.as_ref().map(AsFd::as_fd));
    let start = Start { prepared, streams };
    let forked =
        forked::fork(namespaces(&prepared.network, !prepared.program.entrances.is_empty()), child::main, &start)?;
    let terminal = matches!(prepared.program.terminal, Terminal::Callers);
    Ok(Running { forked, outputs: [out, err], terminal })
}

/// In which a sandbox starts. That of control groups is made when it has entered its own, if it has one.
pub(super) fn namespaces(network: &Network, own_groups: bool) -> i32 {
    let own = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let groups = if own_groups { 0 } else { libc::CLONE_NEWCGROUP };
    own | groups | if matches!(network, Network::None) { libc::CLONE_NEWNET } else { 0 }
}

/// Reading end, which does not block, and writing end, which does.
fn pipe(output: Output) -> Result<(Option<OwnedFd>, Option<OwnedFd>), Failure> {
    let ends = || {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok((Some(reader), Some(above_standard(writer)?)))
    };
    if output == Output::Inherit { Ok((None, None)) } else { Ok(ends().at(Stage::StandardStreams)?) }
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
                        let _ = self.forked.signal(signal);
                    }
                    Wish::Cancel => {
                        self.forked.reap();
                        self.take_terminal_back();
                        while self.pass_on(&mut buffer, each) {}
                        return Ok(Ended::Cancelled);
                    }
                }
            }
            self.wait_for_news().at(Stage::Prepare)?;
            self.pass_on(&mut buffer, each);
            let dead = self.forked.is_dead();
            match self.forked.message() {
                Some(Message::Failed(failed)) => return Err(failed.into()),
                Some(Message::Ready { .. } | Message::Executed) => {}
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
            PollFd::new(&self.forked.report, PollFlags::IN),
            PollFd::new(&self.forked.process, PollFlags::IN),
            PollFd::new(out.as_ref().unwrap_or(&self.forked.report), stream(out)),
            PollFd::new(err.as_ref().unwrap_or(&self.forked.report), stream(err)),
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
        self.forked.reap();
        self.take_terminal_back();
    }
}
