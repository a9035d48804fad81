//! What stays beside a command until it ends: process 1 of a sandbox, which reaps orphans and passes signals on, and the
//! process outside of it whose child a command that entered is.

use std::ffi::c_int;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::raw;
use super::report::Message;

/// All signals are blocked since before the fork, so none is lost between the calls.
pub(super) fn run(command: c_int, report: BorrowedFd<'_>) -> ! {
    let status = wait_for(command);
    // What the command left behind must not write any more when the parent looks at the changes.
    raw::kill(-1, libc::SIGKILL);
    while let Ok(_) | Err(Errno::INTR) = wait(WaitOptions::empty()) {}
    end(status, report)
}

/// The same outside the pid namespace, where only the command itself is waited for.
pub(super) fn follow(command: c_int, report: BorrowedFd<'_>) -> ! {
    end(wait_for(command), report)
}

fn wait_for(command: c_int) -> WaitStatus {
    loop {
        if let Some(status) = reap(command) {
            return status;
        }
        match raw::wait_signal() {
            // A terminal's Ctrl-C has reached the command's own process group already.
            Some(arrived) if arrived.signal != libc::SIGCHLD && arrived.by_process => {
                raw::kill(command, arrived.signal);
            }
            _ => {}
        }
    }
}

fn end(status: WaitStatus, report: BorrowedFd<'_>) -> ! {
    let message = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Message::Exited(code),
        (None, signal) => Message::Signalled(signal.unwrap_or(libc::SIGKILL)),
    };
    message.send(report);
    raw::exit(0)
}

/// Collects everyone that has ended; answers the command's status if it is among them.
fn reap(command: c_int) -> Option<WaitStatus> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == command => return Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}
