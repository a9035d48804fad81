//! The process that a sandbox is made for: from the fork to `execve`.

use std::ffi::{CString, c_int};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Access, access};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, chdir, getpid, getppid, ioctl_tiocsctty, pidfd_open, set_parent_process_death_signal,
    setpgid, setsid,
};
use rustix::stdio::stdin;
use rustix::termios::tcsetpgrp;

use super::prepare::{PreparedProgram, Terminal};
use super::report::{At, Failed, Message, Stage};
use super::{privileges, raw};

/// Who starts it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    /// Process 1, in whose death everything dies.
    Init,
    /// The same, which is to say when the program was executed.
    HeldInit,
    /// A process outside the pid namespace, which says so, too, and whom it must not outlive.
    Outside,
}

struct Start<'a> {
    program: &'a PreparedProgram,
    report: BorrowedFd<'a>,
    parent: Parent,
    /// Says when to go on.
    go: Option<BorrowedFd<'a>>,
}

/// Starts it and answers its process id.
pub(super) fn start(program: &PreparedProgram, report: BorrowedFd<'_>, parent: Parent) -> Result<c_int, Failed> {
    if parent == Parent::Outside || program.profile.is_some() {
        return start_apart(program, report, parent);
    }
    // SAFETY: `main` makes system calls, up to execve or exit, and this is the only use of the stack.
    let command =
        unsafe { raw::spawn(&program.stack, main, &Start { program, report, parent, go: None }) }.at(Stage::Fork)?;
    if parent != Parent::Init {
        // Or it cannot be, which was reported before this is.
        executed(command, report)?;
    }
    Ok(command)
}

/// The same in memory of its own, and beside this process: whoever in the sandbox may trace others could write into the
/// memory of a process outside, and with a profile this one gives up what it has when the other has it.
fn start_apart(program: &PreparedProgram, report: BorrowedFd<'_>, parent: Parent) -> Result<c_int, Failed> {
    let (executed, writer) = pipe_with(PipeFlags::CLOEXEC).at(Stage::Fork)?;
    let (go, leave) = pipe_with(PipeFlags::CLOEXEC).at(Stage::Fork)?;
    // SAFETY: what follows in the child is system calls, up to execve or exit.
    match unsafe { raw::fork() }.at(Stage::Fork)? {
        0 => {
            drop((executed, leave));
            main(&Start { program, report, parent, go: Some(go.as_fd()) })
        }
        command => {
            drop(writer);
            privileges::settle(program, parent)?;
            write(&leave, &[0]).at(Stage::Fork)?;
            // Ends when the program is executed, or cannot be, which was reported before this is.
            while read(&executed, &mut [0]) == Err(Errno::INTR) {}
            self::executed(command, report)?;
            Ok(command)
        }
    }
}

/// Says so, and hands over a descriptor of the program for signals to it: SIGSTOP would stop the one who passes it on.
fn executed(command: c_int, report: BorrowedFd<'_>) -> Result<(), Failed> {
    let command = Pid::from_raw(command).ok_or(Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let command = command.at(Stage::Execute)?;
    Message::Executed.send_with(report, [&command]).at(Stage::Execute)
}

extern "C" fn main(start: &Start<'_>) -> ! {
    if let Some(go) = start.go {
        wait_for(go);
    }
    let failed = become_it(start.program, start.parent);
    Message::Failed(failed).send(start.report);
    raw::exit(127)
}

/// Ends this process if whoever has started it does so first.
fn wait_for(go: BorrowedFd<'_>) {
    loop {
        match read(go, &mut [0]) {
            Ok(1) => return,
            Err(Errno::INTR) => {}
            _ => raw::exit(1),
        }
    }
}

/// Returns only if it failed.
fn become_it(program: &PreparedProgram, parent: Parent) -> Failed {
    let ready = session(&program.terminal)
        .and_then(|()| privileges::become_user(program))
        .and_then(|()| if parent == Parent::Outside { tie_to_parent() } else { Ok(()) })
        .and_then(|()| change_directory(program));
    if let Err(failed) = ready {
        return failed;
    }
    raw::unblock_signals();
    // With a profile it is looked for before, as that may allow nothing but to execute it.
    let is_there = |path: &CString| access(path.as_c_str(), Access::EXISTS).is_ok();
    let first = program.profile.as_ref().and_then(|_| program.paths.iter().position(is_there)).unwrap_or(0);
    match privileges::install_profile(program) {
        Ok(()) => execute(program, &program.paths[first..]),
        Err(failed) => failed,
    }
}

/// A session of its own; with the caller's terminal a process group of its own in the foreground of it, as a shell does
/// for a job, so that Ctrl-C reaches the command and nothing of ours.
fn session(terminal: &Terminal) -> Result<(), Failed> {
    match terminal {
        Terminal::None => setsid().map(drop).at(Stage::Session),
        Terminal::Own(_) => setsid().and_then(|_| ioctl_tiocsctty(stdin())).at(Stage::Session),
        Terminal::Callers => {
            setpgid(None, None).at(Stage::Session)?;
            // SIGTTOU, which stops background processes that do this, is still blocked.
            tcsetpgrp(stdin(), getpid()).at(Stage::Session)
        }
    }
}

/// Not before now: becoming the user undoes it.
fn tie_to_parent() -> Result<(), Failed> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(Stage::ParentDied)?;
    // A parent in another namespace has no number here; process 1 has, whose child this is if that one has died.
    if getppid().is_some() { Err(Errno::SRCH).at(Stage::ParentDied) } else { Ok(()) }
}

fn change_directory(program: &PreparedProgram) -> Result<(), Failed> {
    match program.directories.last() {
        Some(directory) => chdir(directory.as_c_str()).at(Stage::ChangeDirectory),
        None => Ok(()),
    }
}

/// Tries all places, as `execvp` does, but never hands a file without `#!` to a shell.
fn execute(prepared: &PreparedProgram, paths: &[CString]) -> Failed {
    let mut best = Failed { stage: Stage::Execute, mount: 0, errno: Errno::NOENT };
    for program in paths {
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
