//! Another process in a sandbox that runs.
//!
//! Two children: the outer one moves into the sandbox's control group and namespaces, and gives up its privileges there.
//! Nobody in the sandbox can see it, as it is not in the sandbox's pid namespace. The inner one, its child, is in there
//! from its first moment, and has by then nothing that the sandbox's own processes do not have: no descriptor of the
//! host, no other directory, no capability more; and its memory, a copy of kiln's, is closed to them. With a profile it has
//! CAP_SYS_ADMIN until that is installed, unless it may gain no privileges, or somebody there may trace it.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Result;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, setsid, umask};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces, set_name};

use super::child::{HandedOver, connect, enter_groups, hold, tie_to_parent};
use super::prepare::{PreparedProgram, Terminal};
use super::report::{At, Failed, Message, Stage};
use super::streams::Streams;
use super::{Failure, Program, Started, Stdin, command, forked, init, privileges, raw, terminal};
use crate::cgroup::Cgroup;
use crate::process::Identity;
use crate::userns::Ids;

/// What to run, and where.
#[derive(Debug)]
pub struct Entering<'a> {
    pub ids: Ids,
    /// Process 1 of the sandbox.
    pub sandbox: Identity,
    pub program: Program<'a>,
    pub stdin: Stdin,
    /// Descriptors for its standard streams instead of pipes; only pipes and sockets are handed in.
    pub given: [Option<BorrowedFd<'a>>; 3],
    pub cgroup: Option<&'a Cgroup>,
}

struct Prepared<'a> {
    program: PreparedProgram,
    sandbox: OwnedFd,
    namespaces: ThreadNameSpaceType,
    streams: [Option<BorrowedFd<'a>>; 3],
}

impl Entering<'_> {
    /// Holds the program back until [`Started::go`]. The calling thread must live until it has ended.
    pub fn start(&self) -> std::result::Result<Started, Failure> {
        let terminal = match self.stdin {
            Stdin::Terminal(size) => size.into(),
            _ => Terminal::None,
        };
        let mut program = PreparedProgram::new(&self.program, self.ids, terminal, self.cgroup)?;
        program.no_new_privileges |= is_traced_for_more(&program);
        let streams = Streams::new(self.stdin, self.given, program.uid).at(Stage::StandardStreams)?;
        let at = |source| Failure { stage: Stage::Enter, mount: 0, source };
        let sandbox = self.sandbox.open().and_then(|process| Ok(forked::above_standard(process)?)).map_err(at)?;
        let namespaces = namespaces(self.sandbox.pid).map_err(at)?;
        let prepared = Prepared { program, sandbox, namespaces, streams: streams.inside() };
        let forked = forked::fork(0, main, &prepared)?;
        Started::new(forked, streams)
    }
}

/// Whether somebody in the sandbox who may trace others could get CAP_SYS_ADMIN by tracing this one before its profile is
/// installed. Without new privileges that takes no capability.
fn is_traced_for_more(program: &PreparedProgram) -> bool {
    let has = |name| program.capabilities.has(name) == Ok(true);
    program.profile.is_some() && !program.privileged && has("SYS_PTRACE") && !has("SYS_ADMIN")
}

/// Those that a sandbox always has of its own; the network only if it is not ours, which may be nothing to enter.
fn namespaces(pid: u32) -> std::io::Result<ThreadNameSpaceType> {
    let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net"));
    let always = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    let same = network("self")? == network(&pid.to_string())?;
    Ok(if same { always } else { always | ThreadNameSpaceType::NETWORK })
}

extern "C" fn main(prepared: &Prepared<'_>, report: BorrowedFd<'_>) -> ! {
    let started = connect(prepared.streams)
        .and_then(|()| enter(prepared, report))
        .and_then(|handed| hold(report, handed))
        .and_then(|()| command::start(&prepared.program, report, command::Parent::Outside));
    match started {
        Ok(command) => init::follow(command, report),
        Err(failed) => {
            Message::Failed(failed).send(report);
            raw::exit(1)
        }
    }
}

fn enter(prepared: &Prepared<'_>, report: BorrowedFd<'_>) -> std::result::Result<HandedOver, Failed> {
    let program = &prepared.program;
    // Before anything else: what is forked has it from its first moment.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Stage::Confine)?;
    enter_groups(&program.entrances)?;
    tie_to_parent(report, &[prepared.sandbox.as_raw_fd()])?;
    raw::default_signal_actions();
    setsid().at(Stage::Session)?;
    umask(Mode::from(0o022));
    // With the mount namespace come its root directory and its working directory.
    move_into_thread_name_spaces(prepared.sandbox.as_fd(), prepared.namespaces).at(Stage::Enter)?;
    let terminal = match program.terminal {
        Terminal::Own(size) => Some(open_terminal(program, size).at(Stage::Terminal)?),
        Terminal::None | Terminal::Callers => None,
    };
    let handed = HandedOver { network: None, terminal };
    handed.close_others(report)?;
    privileges::confine(program, false)?;
    if let Some(range) = program.command_line.clone() {
        // SAFETY: the range was read from /proc/self/stat before the fork, and nothing here reads arguments.
        unsafe { raw::erase_command_line(range) };
    }
    set_name(c"kiln-exec").at(Stage::Confine)?;
    Ok(handed)
}

fn open_terminal(program: &PreparedProgram, size: rustix::termios::Winsize) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let terminals = openat(CWD, c"/dev/pts", flags, Mode::empty())?;
    terminal::open(terminals.as_fd(), size, program.uid)
}
