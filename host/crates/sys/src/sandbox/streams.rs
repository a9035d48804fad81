//! The standard streams of a process that is started and then followed by someone else: both ends of its pipes.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fchown, fstat, openat};
use rustix::io::{Result, fcntl_dupfd_cloexec};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Uid;

use super::Stdin;
use super::forked::above_standard;

/// What the child gets at 0, 1 and 2, and what is left to the parent of it. With a terminal there is neither.
#[derive(Default)]
pub(super) struct Streams {
    inside: [Option<OwnedFd>; 3],
    pub(super) outside: [Option<OwnedFd>; 3],
}

impl Streams {
    /// `given` are descriptors to be handed in instead of pipes: only what leads to nothing else can be.
    pub(super) fn new(stdin: Stdin, given: [Option<BorrowedFd<'_>>; 3], owner: Uid) -> Result<Self> {
        let mut streams = Self::default();
        if matches!(stdin, Stdin::Terminal(_)) {
            return Ok(streams);
        }
        for (number, given) in given.into_iter().enumerate() {
            let (inside, outside) = match given {
                Some(given) if is_pipe_or_socket(given) => (fcntl_dupfd_cloexec(given, 3)?, None),
                _ if number == 0 && stdin != Stdin::Pipe => (null()?, None),
                _ => {
                    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                    let (inside, outside) = if number == 0 { (reader, writer) } else { (writer, reader) };
                    // Programs open it again as /dev/stdout, which the user that they run as must be allowed to.
                    fchown(&inside, Some(owner), None)?;
                    (inside, Some(outside))
                }
            };
            streams.inside[number] = Some(above_standard(inside)?);
            streams.outside[number] = outside;
        }
        Ok(streams)
    }

    pub(super) fn inside(&self) -> [Option<BorrowedFd<'_>>; 3] {
        self.inside.each_ref().map(|stream| stream.as_ref().map(AsFd::as_fd))
    }
}

/// Through a descriptor of a file, a directory or a terminal a process could reach more of the host than that.
fn is_pipe_or_socket(descriptor: BorrowedFd<'_>) -> bool {
    fstat(descriptor)
        .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}

pub(super) fn null() -> Result<OwnedFd> {
    openat(CWD, c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
