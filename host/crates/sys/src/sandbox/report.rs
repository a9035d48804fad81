//! What the child tells its parent: fixed-size messages over a socket, made without allocation.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Where setting up or starting failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    Prepare,
    Namespaces,
    Cgroup,
    Enter,
    ParentDied,
    StandardStreams,
    Session,
    HostName,
    Loopback,
    PrivateMounts,
    OpenLayer,
    Overlay,
    Proc,
    Sys,
    /// [`Failure::mount`] says which.
    Sysctl,
    Dev,
    Device,
    Terminal,
    File,
    /// [`Failure::mount`] says which.
    Mount,
    Pivot,
    Mask,
    MakeDirectory,
    Limit,
    Confine,
    Filter,
    Fork,
    User,
    ChangeDirectory,
    Execute,
    /// The program is there, but the interpreter or loader that it names is not.
    Interpreter,
}

impl Stage {
    const ALL: [Self; 31] = [
        Self::Prepare,
        Self::Namespaces,
        Self::Cgroup,
        Self::Enter,
        Self::ParentDied,
        Self::StandardStreams,
        Self::Session,
        Self::HostName,
        Self::Loopback,
        Self::PrivateMounts,
        Self::OpenLayer,
        Self::Overlay,
        Self::Proc,
        Self::Sys,
        Self::Sysctl,
        Self::Dev,
        Self::Device,
        Self::Terminal,
        Self::File,
        Self::Mount,
        Self::Pivot,
        Self::Mask,
        Self::MakeDirectory,
        Self::Limit,
        Self::Confine,
        Self::Filter,
        Self::Fork,
        Self::User,
        Self::ChangeDirectory,
        Self::Execute,
        Self::Interpreter,
    ];

    /// Whether it is the host, rather than the program or its image, that may not allow this.
    pub fn is_of_the_host(self) -> bool {
        matches!(self, Self::Namespaces | Self::PrivateMounts | Self::Overlay | Self::Proc | Self::Sys | Self::Dev)
    }

    /// Completes "cannot …".
    pub fn action(self) -> &'static str {
        match self {
            Self::Prepare => "prepare the sandbox",
            Self::Namespaces => "make namespaces",
            Self::Cgroup => "enter the control group",
            Self::Enter => "enter the container's namespaces",
            Self::ParentDied => "tie the sandbox to this process",
            Self::StandardStreams => "connect the standard streams",
            Self::Session => "start a session",
            Self::HostName => "set the host name",
            Self::Loopback => "bring the loopback interface up",
            Self::PrivateMounts => "make the mounts private",
            Self::OpenLayer => "open a layer's directory",
            Self::Overlay => "mount the overlay",
            Self::Proc => "mount /proc",
            Self::Sys => "mount /sys",
            Self::Sysctl => "write to /proc/sys",
            Self::Dev => "mount /dev",
            Self::Device => "bind a device of the host into /dev",
            Self::Terminal => "make a terminal",
            Self::File => "bind a file into /etc",
            Self::Mount => "mount what the step asks for",
            Self::Pivot => "change the root directory",
            Self::Mask => "mask a path of /proc or /sys",
            Self::MakeDirectory => "make the working directory",
            Self::Limit => "set a resource limit",
            Self::Confine => "give up capabilities",
            Self::Filter => "install the system call filter",
            Self::Fork => "start the process",
            Self::User => "become the user",
            Self::ChangeDirectory => "change to the working directory",
            Self::Execute => "execute the program",
            Self::Interpreter => "execute the interpreter that the program names",
        }
    }
}

/// A sandbox that could not be set up, or a command that could not be executed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {}", stage.action())]
pub struct Failure {
    pub stage: Stage,
    /// The number of the mount that it happened at; else 0.
    pub mount: u16,
    pub source: io::Error,
}

/// A failure inside the child, before it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) stage: Stage,
    pub(super) mount: u16,
    pub(super) errno: Errno,
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        Self { stage: failed.stage, mount: failed.mount, source: failed.errno.into() }
    }
}

/// Says at which stage a system call failed.
pub(super) trait At<T> {
    fn at(self, stage: Stage) -> Result<T, Failed>;
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, stage: Stage) -> Result<T, Failed> {
        self.map_err(|errno| Failed { stage, mount: 0, errno })
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Message {
    /// All is set up, and the program waits for leave.
    Ready {
        /// A descriptor of its network namespace comes with it, before that of a terminal.
        network: bool,
    },
    /// A descriptor of the program comes with it, unless it is not held back.
    Executed,
    Failed(Failed),
    Exited(i32),
    Signalled(i32),
}

/// Kind, stage, the number of a mount in two bytes, and another number.
pub(super) const MESSAGE_SIZE: usize = 8;

impl Message {
    pub(super) fn encode(self) -> [u8; MESSAGE_SIZE] {
        let (kind, stage, mount, number) = match self {
            Self::Failed(failed) => (0, failed.stage as u8, failed.mount, failed.errno.raw_os_error()),
            Self::Exited(code) => (1, 0, 0, code),
            Self::Signalled(signal) => (2, 0, 0, signal),
            Self::Ready { network } => (3, 0, 0, i32::from(network)),
            Self::Executed => (4, 0, 0, 0),
        };
        let ([m, n], [a, b, c, d]) = (mount.to_le_bytes(), number.to_le_bytes());
        [kind, stage, m, n, a, b, c, d]
    }

    pub(super) fn decode(bytes: [u8; MESSAGE_SIZE]) -> Option<Self> {
        let [kind, stage, m, n, a, b, c, d] = bytes;
        let number = i32::from_le_bytes([a, b, c, d]);
        match kind {
            0 => {
                let stage = *Stage::ALL.get(usize::from(stage))?;
                let mount = u16::from_le_bytes([m, n]);
                Some(Self::Failed(Failed { stage, mount, errno: Errno::from_raw_os_error(number) }))
            }
            1 => Some(Self::Exited(number)),
            2 => Some(Self::Signalled(number)),
            3 => Some(Self::Ready { network: number != 0 }),
            4 => Some(Self::Executed),
            _ => None,
        }
    }

    /// Nothing can be done about a parent that does not listen: it is dead, and so are we in a moment.
    pub(super) fn send(self, report: impl AsFd) {
        let _ = rustix::io::write(report, &self.encode());
    }

    /// The same with what is handed over: two descriptors at most.
    pub(super) fn send_with<'a>(
        self,
        report: BorrowedFd<'a>,
        handed: impl IntoIterator<Item = &'a OwnedFd>,
    ) -> rustix::io::Result<()> {
        let none = report;
        let (mut descriptors, mut count) = ([none; 2], 0);
        for (place, descriptor) in descriptors.iter_mut().zip(handed) {
            *place = descriptor.as_fd();
            count += 1;
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if count > 0 {
            control.push(SendAncillaryMessage::ScmRights(&descriptors[..count]));
        }
        sendmsg(report, &[IoSlice::new(&self.encode())], &mut control, SendFlags::NOSIGNAL).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_the_pipe() {
        for stage in Stage::ALL {
            let bytes = Message::Failed(Failed { stage, mount: 700, errno: Errno::PERM }).encode();
            assert!(
                matches!(Message::decode(bytes), Some(Message::Failed(failed)) if failed.stage == stage && failed.mount == 700)
            );
        }
        assert!(matches!(Message::decode(Message::Signalled(9).encode()), Some(Message::Signalled(9))));
        assert!(Message::decode([0, 200, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(Message::decode([7; 8]).is_none());
    }
}
