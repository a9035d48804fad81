//! The process that a sandbox is made for: from the fork to `execve`.

use std::ffi::c_int;

use rustix::fd::BorrowedFd;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{chdir, getpid, setpgid, setsid};
use rustix::stdio::stdin;
use rustix::termios::tcsetpgrp;

use super::prepare::Prepared;
use super::report::{At, Failed, Message, Stage};
use super::{privileges, raw};

/// Starts it and answers its process id.
pub(super) fn start(prepared: &Prepared, report: BorrowedFd<'_>) -> Result<c_int, Failed> {
    // SAFETY: what follows in the child is system calls, up to execve or exit.
    match unsafe { raw::fork() }.at(Stage::Fork)? {
        0 => {
            let failed = become_it(prepared);
            Message::Failed(failed).send(report);
            raw::exit(127)
        }
        command => Ok(command),
    }
}

/// Returns only if it failed.
fn become_it(prepared: &Prepared) -> Failed {
    let ready =
        session(prepared).and_then(|()| privileges::become_user(prepared)).and_then(|()| change_directory(prepared));
    if let Err(failed) = ready {
        return failed;
    }
    raw::unblock_signals();
    execute(prepared)
}

/// A session of its own; with a terminal a process group of its own in the foreground of it, as a shell does for a
/// job, so that Ctrl-C reaches the command and nothing of ours.
fn session(prepared: &Prepared) -> Result<(), Failed> {
    if !prepared.terminal {
        return setsid().map(drop).at(Stage::Session);
    }
    setpgid(None, None).at(Stage::Session)?;
    // SIGTTOU, which stops background processes that do this, is still blocked.
    tcsetpgrp(stdin(), getpid()).at(Stage::Session)
}

fn change_directory(prepared: &Prepared) -> Result<(), Failed> {
    match prepared.directories.last() {
        Some(directory) => chdir(directory.as_c_str()).at(Stage::ChangeDirectory),
        None => Ok(()),
    }
}

/// Tries all places, as `execvp` does, but never hands a file without `#!` to a shell.
fn execute(prepared: &Prepared) -> Failed {
    let mut best = Failed { stage: Stage::Execute, mount: 0, errno: Errno::NOENT };
    for program in &prepared.programs {
        let errno = raw::execute(program, &prepared.arguments, &prepared.environment);
        match errno {
            Errno::NOENT | Errno::NOTDIR => {
                if access(program.as_c_str(), Access::EXISTS).is_ok() {
                    return Failed { stage: Stage::Interpreter, mount: 0, errno };
                }
            }
            // Not this one, but a later directory may have one that can be executed.
            Errno::ACCESS => best.errno = errno,
            _ => return Failed { stage: Stage::Execute, mount: 0, errno },
        }
    }
    best
}
