//! The child, from the fork to the loop of its life as process 1.
//!
//! The order is mostly forced: mounts need the capabilities that are given up afterwards, and the descriptors of other
//! sandboxes that were inherited are closed first, so that nobody waits for them.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Access, CWD, Mode, OFlags, access, mkdir, openat};
use rustix::io::{Errno, read, write};
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::system::sethostname;
use rustix::thread::{UnshareFlags, set_name, unshare_unsafe};

use super::mounts::Overlay;
use super::prepare::{Prepared, Terminal};
use super::report::{At, Failed, Message, Stage};
use super::{Network, command, devices, init, mounts, nested, network, privileges, raw};

pub(super) struct Start<'a> {
    pub(super) prepared: &'a Prepared,
    /// Replacements of standard input, output and error; `None` inherits.
    pub(super) streams: [Option<BorrowedFd<'a>>; 3],
}

pub(super) extern "C" fn main(start: &Start<'_>, report: BorrowedFd<'_>) -> ! {
    let program = &start.prepared.program;
    let held = start.prepared.hands_over;
    let parent = if held { command::Parent::HeldInit } else { command::Parent::Init };
    let started = connect(start.streams)
        .and_then(|()| enter_groups(&program.entrances))
        .and_then(|()| enter_network(&start.prepared.network))
        .and_then(|()| tie_to_parent(report, &start.prepared.inherited))
        .and_then(|()| set_up(start.prepared, report))
        .and_then(|handed| if held { hold(report, handed) } else { Ok(()) })
        .and_then(|()| command::start(program, report, parent));
    match started {
        Ok(command) => init::run(command, report),
        Err(failed) => {
            Message::Failed(failed).send(report);
            raw::exit(1)
        }
    }
}

pub(super) fn connect([stdin, stdout, stderr]: [Option<BorrowedFd<'_>>; 3]) -> Result<(), Failed> {
    stdin.map_or(Ok(()), dup2_stdin).at(Stage::StandardStreams)?;
    stdout.map_or(Ok(()), dup2_stdout).at(Stage::StandardStreams)?;
    stderr.map_or(Ok(()), dup2_stderr).at(Stage::StandardStreams)
}

/// Moves into control groups.
pub(super) fn enter_groups(entrances: &[OwnedFd]) -> Result<(), Failed> {
    entrances.iter().try_for_each(|entrance| write(entrance, b"0").map(drop).at(Stage::Cgroup))
}

fn enter_network(network: &Network) -> Result<(), Failed> {
    match network {
        Network::Made(namespace) => network::enter(namespace).at(Stage::Namespaces),
        Network::Host | Network::None => Ok(()),
    }
}

/// What the parent gets when all is ready.
#[derive(Default)]
pub(super) struct HandedOver {
    /// The network namespace, if it is an own one.
    pub(super) network: Option<OwnedFd>,
    /// The master of the terminal, if it is an own one.
    pub(super) terminal: Option<OwnedFd>,
}

impl HandedOver {
    /// Closes all other descriptors but `report`.
    pub(super) fn close_others(&self, report: BorrowedFd<'_>) -> Result<(), Failed> {
        let mut keep = [&self.network, &self.terminal].map(|one| one.as_ref().map_or(-1, AsRawFd::as_raw_fd));
        keep.sort_unstable();
        close_all_but(report, &keep[keep.partition_point(|&descriptor| descriptor < 0)..]).at(Stage::Confine)
    }
}

/// Says that all is ready, and waits for leave to go on.
pub(super) fn hold(report: BorrowedFd<'_>, handed: HandedOver) -> Result<(), Failed> {
    let ready = Message::Ready { network: handed.network.is_some() };
    ready.send_with(report, [&handed.network, &handed.terminal].into_iter().flatten()).at(Stage::Prepare)?;
    drop(handed);
    loop {
        match read(report, &mut [0]) {
            Ok(1) => return Ok(()),
            Err(Errno::INTR) => {}
            // Nobody is there any more.
            _ => raw::exit(1),
        }
    }
}

/// Whatever kills kiln kills the sandbox. Lets go of everything else of kiln's but the descriptors in `keep`, which are
/// in order.
pub(super) fn tie_to_parent(report: BorrowedFd<'_>, keep: &[RawFd]) -> Result<(), Failed> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(Stage::ParentDied)?;
    close_all_but(report, keep).at(Stage::ParentDied)?;
    // It may have died before the first line: then nobody has the other end any more.
    let mut ends = [PollFd::new(&report, PollFlags::empty())];
    poll(&mut ends, Some(&Timespec::default())).at(Stage::ParentDied)?;
    if ends[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
        Err(Errno::PIPE).at(Stage::ParentDied)
    } else {
        Ok(())
    }
}

fn close_all_but(report: BorrowedFd<'_>, keep: &[RawFd]) -> rustix::io::Result<()> {
    let report = report.as_raw_fd();
    let (below, above) = keep.split_at(keep.partition_point(|&descriptor| descriptor < report));
    let mut next = 3;
    for descriptor in below.iter().chain([&report]).chain(above).map(|descriptor| descriptor.unsigned_abs()) {
        // SAFETY: what owns them are values of the parent's, which this copy of it never drops, as `main` does not return.
        unsafe { raw::close_range(next, descriptor - 1)? };
        next = descriptor + 1;
    }
    // SAFETY: as above.
    unsafe { raw::close_range(next, u32::MAX) }
}

fn set_up(prepared: &Prepared, report: BorrowedFd<'_>) -> Result<HandedOver, Failed> {
    raw::default_signal_actions();
    let program = &prepared.program;
    if !matches!(program.terminal, Terminal::Callers) {
        setsid().at(Stage::Session)?;
    }
    umask(Mode::from(0o022));
    sethostname(&prepared.hostname).at(Stage::HostName)?;
    if matches!(prepared.network, Network::None) {
        raw::loopback_up().at(Stage::Loopback)?;
    }
    // While there still is the host's /proc.
    let own_network = !matches!(prepared.network, Network::Host) && prepared.hands_over;
    let network = own_network
        .then(|| openat(CWD, c"/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
        .transpose()
        .at(Stage::Namespaces)?;

    if !program.entrances.is_empty() {
        // SAFETY: no descriptors are unshared.
        unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }.at(Stage::Cgroup)?;
    }
    mounts::make_private().at(Stage::PrivateMounts)?;
    let root = mounts::overlay(&Overlay {
        lower: &prepared.lower,
        upper: &prepared.upper,
        work: &prepared.work,
        in_user_namespace: prepared.ids.in_user_namespace(),
        volatile: prepared.volatile,
    })?;
    mounts::proc(root.as_fd()).at(Stage::Proc)?;
    mounts::sys(root.as_fd(), program.privileged, &prepared.hierarchies).at(Stage::Sys)?;
    mounts::sysctls(root.as_fd(), &prepared.sysctls)?;
    let memory = mounts::files(root.as_fd(), &prepared.files, prepared.read_only).at(Stage::File)?;
    let terminal = devices::mount(root.as_fd(), prepared)?;
    let handed = HandedOver { network, terminal };
    if !program.privileged {
        mounts::mask(root.as_fd(), prepared.masked).at(Stage::Mask)?;
    }
    nested::mount(root.as_fd(), memory.as_fd(), prepared)?;
    drop(memory);
    if prepared.read_only {
        mounts::make_read_only(root.as_fd()).at(Stage::Overlay)?;
    }
    mounts::pivot(root.as_fd()).at(Stage::Pivot)?;

    // From here on paths of the image are followed, and a link of it to `/proc/self/fd` must not lead to the host's
    // directories that are open here.
    drop(root);
    handed.close_others(report)?;
    privileges::confine(program, prepared.restrict_writing)?;
    for directory in &program.directories {
        match mkdir(directory.as_c_str(), Mode::from(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            // It need not be made.
            Err(Errno::ROFS) if access(directory.as_c_str(), Access::EXISTS).is_ok() => {}
            Err(errno) => return Err(errno).at(Stage::MakeDirectory),
        }
    }
    // This process is a copy of kiln: nobody in the sandbox may read its memory, nor its arguments, which every other
    // process can see and which may hold what was only meant for one build step.
    if let Some(range) = program.command_line.clone() {
        // SAFETY: the range was read from /proc/self/stat before the fork, and nothing here reads arguments.
        unsafe { raw::erase_command_line(range) };
    }
    set_name(c"kiln-init").at(Stage::Confine)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Stage::Confine)?;
    Ok(handed)
}
