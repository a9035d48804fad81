//! The child, from the fork to the loop of its life as process 1.
//!
//! The order is mostly forced: mounts need the capabilities that are given up afterwards, and the descriptors of other
//! sandboxes that were inherited are closed first, so that nobody waits for them.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use rustix::fs::{Mode, mkdir};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::system::sethostname;
use rustix::thread::set_name;

use super::mounts::Overlay;
use super::prepare::Prepared;
use super::report::{At, Failed, Message, Stage};
use super::{Network, command, devices, init, mounts, nested, privileges, raw};

pub(super) struct Start<'a> {
    pub(super) prepared: &'a Prepared,
    /// Replacements of standard input, output and error; `None` inherits.
    pub(super) streams: [Option<BorrowedFd<'a>>; 3],
}

pub(super) extern "C" fn main(start: &Start<'_>, report: BorrowedFd<'_>) -> ! {
    let started = connect(start.streams)
        .and_then(|()| tie_to_parent(report, &start.prepared.inherited))
        .and_then(|()| set_up(start.prepared, report))
        .and_then(|()| command::start(start.prepared, report));
    match started {
        Ok(command) => init::run(command, report),
        Err(failed) => {
            Message::Failed(failed).send(report);
            raw::exit(1)
        }
    }
}

fn connect([stdin, stdout, stderr]: [Option<BorrowedFd<'_>>; 3]) -> Result<(), Failed> {
    stdin.map_or(Ok(()), dup2_stdin).at(Stage::StandardStreams)?;
    stdout.map_or(Ok(()), dup2_stdout).at(Stage::StandardStreams)?;
    stderr.map_or(Ok(()), dup2_stderr).at(Stage::StandardStreams)
}

/// Whatever kills kiln kills the sandbox. Lets go of everything else of kiln's but the descriptors in `keep`, which are
/// in order.
pub(super) fn tie_to_parent(report: BorrowedFd<'_>, keep: &[RawFd]) -> Result<(), Failed> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(Stage::ParentDied)?;
    close_all_but(report, keep).at(Stage::ParentDied)?;
    // It may have died before the first line: then nobody has the reading end any more.
    let mut ends = [PollFd::new(&report, PollFlags::empty())];
    poll(&mut ends, Some(&Timespec::default())).at(Stage::ParentDied)?;
    if ends[0].revents().contains(PollFlags::ERR) { Err(Errno::PIPE).at(Stage::ParentDied) } else { Ok(()) }
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

fn set_up(prepared: &Prepared, report: BorrowedFd<'_>) -> Result<(), Failed> {
    raw::default_signal_actions();
    if !prepared.terminal {
        setsid().at(Stage::Session)?;
    }
    umask(Mode::from(0o022));
    sethostname(&prepared.hostname).at(Stage::HostName)?;
    if prepared.network == Network::None {
        raw::loopback_up().at(Stage::Loopback)?;
    }

    mounts::make_private().at(Stage::PrivateMounts)?;
    let root = mounts::overlay(&Overlay {
        lower: &prepared.lower,
        upper: &prepared.upper,
        work: &prepared.work,
        in_user_namespace: prepared.ids.in_user_namespace(),
    })?;
    mounts::proc(root.as_fd()).at(Stage::Proc)?;
    mounts::sys(root.as_fd()).at(Stage::Sys)?;
    let memory = mounts::files(root.as_fd(), &prepared.files).at(Stage::File)?;
    devices::mount(root.as_fd(), prepared)?;
    if !prepared.insecure {
        mounts::mask(root.as_fd(), prepared.masked).at(Stage::Mask)?;
    }
    nested::mount(root.as_fd(), memory.as_fd(), prepared)?;
    drop(memory);
    mounts::pivot(root.as_fd()).at(Stage::Pivot)?;

    // From here on paths of the image are followed, and a link of it to `/proc/self/fd` must not lead to the host's
    // directories that are open here.
    drop(root);
    close_all_but(report, &[]).at(Stage::Confine)?;
    privileges::confine(prepared)?;
    for directory in &prepared.directories {
        match mkdir(directory.as_c_str(), Mode::from(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).at(Stage::MakeDirectory),
        }
    }
    // This process is a copy of kiln: nobody in the sandbox may read its memory, nor its arguments, which every other
    // process can see and which may hold what was only meant for one build step.
    if let Some(range) = prepared.command_line.clone() {
        // SAFETY: the range was read from /proc/self/stat before the fork, and nothing here reads arguments.
        unsafe { raw::erase_command_line(range) };
    }
    set_name(c"kiln-init").at(Stage::Confine)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Stage::Confine)
}
