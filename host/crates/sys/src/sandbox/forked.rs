//! A forked child as its parent has it: a descriptor of the process, and what it reports.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result, fcntl_dupfd_cloexec, read};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::report::{At, MESSAGE_SIZE, Message};
use super::{Failure, Stage, raw};

/// Dropped, it is killed, and gone.
#[derive(Debug)]
pub(super) struct Forked {
    pub(super) pid: u32,
    pub(super) process: OwnedFd,
    /// Does not block.
    pub(super) report: OwnedFd,
    reaped: bool,
}

/// What the child runs. It may only make system calls, and allocate nothing. A panic in it aborts: it must not unwind
/// into what the parent had on its stack.
pub(super) type Main<T> = extern "C" fn(&T, report: BorrowedFd<'_>) -> !;

/// Forks into new namespaces.
pub(super) fn fork<T>(namespaces: i32, main: Main<T>, argument: &T) -> std::result::Result<Forked, Failure> {
    let (report, childs) = socket_pair().at(Stage::StandardStreams)?;
    let mask = raw::block_signals();
    // SAFETY: what the `Main` functions do is described there; none returns.
    let process = match unsafe { raw::fork_into(namespaces) } {
        Ok(None) => main(argument, childs.as_fd()),
        Ok(Some(process)) => Ok(process),
        Err(errno) => Err(errno),
    };
    raw::restore_signals(&mask);
    let (pid, process) = process.at(Stage::Namespaces)?;
    Ok(Forked { pid, process, report, reaped: false })
}

/// Keeps messages apart, and carries descriptors.
fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    let (ours, childs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, above_standard(childs)?))
}

/// The child puts things at 0, 1 and 2: what it puts there must not be there already, in another order.
pub(super) fn above_standard(descriptor: OwnedFd) -> Result<OwnedFd> {
    if descriptor.as_raw_fd() > 2 { Ok(descriptor) } else { fcntl_dupfd_cloexec(&descriptor, 3) }
}

impl Forked {
    /// The next message, if there is one.
    pub(super) fn message(&self) -> Option<Message> {
        let mut bytes = [0; MESSAGE_SIZE];
        loop {
            match read(&self.report, &mut bytes) {
                Ok(MESSAGE_SIZE) => return Message::decode(bytes),
                Err(Errno::INTR) => {}
                _ => return None,
            }
        }
    }

    /// Waits until there is something to read, or it has ended.
    pub(super) fn wait_for_news(&self) -> Result<()> {
        self.poll(None).map(drop)
    }

    /// Whether it will not say anything any more: long before the kernel has taken its mounts apart.
    pub(super) fn is_over(&self) -> bool {
        let now = Timespec::default();
        self.poll(Some(&now)).is_ok_and(|[report, process]| report.contains(PollFlags::HUP) || !process.is_empty())
    }

    fn poll(&self, timeout: Option<&Timespec>) -> Result<[PollFlags; 2]> {
        let mut ready = [PollFd::new(&self.report, PollFlags::IN), PollFd::new(&self.process, PollFlags::IN)];
        loop {
            match poll(&mut ready, timeout) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => return Ok(ready.map(|polled| polled.revents())),
            }
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::PidFd(self.process.as_fd()), options), Ok(None))
    }

    /// Also when it is gone.
    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        raw::signal(self.process.as_fd(), signal)
    }

    /// Waits until it is gone with its mounts.
    pub(super) fn wait(&mut self) {
        if !std::mem::replace(&mut self.reaped, true) {
            while matches!(waitid(WaitId::PidFd(self.process.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
        }
    }

    /// Kills it, if it still lives.
    pub(super) fn reap(&mut self) {
        if !self.reaped {
            let _ = self.signal(libc::SIGKILL);
            self.wait();
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        self.reap();
    }
}
