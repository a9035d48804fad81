//! Processes of the host that outlive the one that started them: told apart though process ids are used again
//! ([`Identity`]), and started alone ([`spawn_detached`]).

mod detached;
pub(crate) mod session;

use std::fs;
use std::io;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

pub use detached::spawn_detached;

/// A process: no other one with its id started at that time since the machine did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub pid: u32,
    /// In ticks since the machine's start.
    pub started: u64,
}

impl Identity {
    /// The process that has this id now.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is a name in parentheses that may contain anything.
        let started = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok());
        let started = started.ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no 22nd field")))?;
        Ok(Self { pid, started })
    }

    /// A descriptor of it, and of no other. Fails if it is gone.
    pub fn open(self) -> io::Result<OwnedFd> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        // Looked at after it was opened: what is there now is what was opened, or that is gone and will not answer.
        if Self::of(self.pid)? == self { Ok(process) } else { Err(Errno::SRCH.into()) }
    }

    /// Whether it has not been waited for.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_id() {
        let this = Identity::of(std::process::id()).expect("this process");
        assert!(this.is_alive());
        this.open().expect("opened");
        let other = Identity { started: this.started + 1, ..this };
        assert!(!other.is_alive());
        assert_eq!(other.open().expect_err("refused").raw_os_error(), Some(Errno::SRCH.raw_os_error()));
    }
}
