//! A terminal for a container, of its own `devpts`.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fchown, fcntl_setfl, fstatfs, openat};
use rustix::io::{Errno, Result};
use rustix::process::Uid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{Winsize, tcsetwinsize};

const DEVPTS_MAGIC: i64 = 0x1cd1;

/// Makes a new terminal the standard streams of this process, and answers its master.
///
/// `terminals` is where the `devpts` is, or what a container that runs has put there: no name in it is relied upon.
pub(super) fn open(terminals: BorrowedFd<'_>, size: Winsize, owner: Uid) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let master = openat(terminals, c"ptmx", flags, Mode::empty())?;
    if fstatfs(&master)?.f_type != DEVPTS_MAGIC {
        return Err(Errno::NOTTY);
    }
    fcntl_setfl(&master, OFlags::RDWR)?;
    unlockpt(&master)?;
    tcsetwinsize(&master, size)?;
    let terminal = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    // As a user it must be able to open it again as /dev/stdout.
    fchown(&terminal, Some(owner), None)?;
    dup2_stdin(&terminal)?;
    dup2_stdout(&terminal)?;
    dup2_stderr(&terminal)?;
    Ok(master)
}
