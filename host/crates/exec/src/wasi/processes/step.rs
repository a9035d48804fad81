//! One run of the executor: the first process, all that it starts, and the caller's side of them.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use kiln_image::Change;

use super::compilations::Compilations;
use super::descriptors::{Descriptor, Descriptors, Directory, Open, Target};
use super::guest::{End, Start, Stop};
use super::pipe::{CAPACITY, Reader, Writer, pipe};
use super::program::{Refused, find_program};
use super::table::{FIRST, NOBODY, Table};
use super::thread::start_process;
use crate::wasi::Runtime;
use crate::wasi::errno::Errno;
use crate::wasi::fatal::Fatal;
use crate::wasi::fs::{Creator, Filesystem};
use crate::wasi::limits::{Budget, Limit, Limits, Reservation};
use crate::{Clock, Error, Finished, Io, Kept, Output, Process, Root, Status, Stdin, Stream};

/// How often the caller's wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long processes get to notice that they are to end; a thread that compiles a module does not.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pieces of output that may wait for the caller.
const EVENTS: usize = 64;

/// What all processes of a run share.
pub(crate) struct Step {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) filesystem: Filesystem,
    pub(crate) table: Table,
    pub(crate) events: Sender<Event>,
    pub(crate) clock: Clock,
    /// Where the host's monotonic clock stood.
    pub(crate) started: Instant,
    pub(crate) guest_tools: bool,
    pub(crate) limits: Limits,
    pub(crate) fuel: Budget,
    pub(crate) memory: Arc<Budget>,
    pub(crate) written: Budget,
    /// Whoever read our standard output, or error, has gone.
    unread: [AtomicBool; 2],
    pub(crate) fatal: Arc<Fatal>,
}

impl Step {
    /// A run before its first process, and what its processes will tell.
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        limits: &Limits,
        root: &Root<'_>,
        process: &Process,
    ) -> Result<(Self, Receiver<Event>), Error> {
        let fatal = Arc::new(Fatal::default());
        let memory = Arc::new(Budget::new(Limit::Memory(limits.memory)));
        let filesystem = Filesystem::new(
            root.view.clone(),
            process.clock,
            process.guest_tools,
            root.scratch.to_owned(),
            limits,
            memory.clone(),
            fatal.clone(),
        )
        .map_err(|errno| fatal.take().unwrap_or_else(|| system("read the layers below", errno)))?;
        filesystem.mount(root.mounts)?;
        let (events, receiver) = crossbeam_channel::bounded(EVENTS);
        let step = Self {
            runtime,
            filesystem,
            table: Table::default(),
            events,
            clock: process.clock,
            started: Instant::now(),
            guest_tools: process.guest_tools,
            limits: limits.clone(),
            fuel: Budget::new(Limit::Fuel(limits.fuel)),
            memory,
            written: Budget::new(Limit::Output(limits.output)),
            unread: [const { AtomicBool::new(false) }; 2],
            fatal,
        };
        Ok((step, receiver))
    }

    /// Counts bytes that the host holds for a process.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Reservation, Errno> {
        Reservation::new(&self.memory, bytes as u64).ok_or_else(|| self.fatal.exceeded(self.memory.limit))
    }

    /// Hands on what a process writes, as far as anybody reads it.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) -> Result<(), Errno> {
        if self.unread[stream as usize].load(Ordering::Relaxed) {
            return Err(Errno::BrokenPipe);
        }
        if !self.written.take(bytes.len() as u64) {
            return Err(self.fatal.exceeded(self.written.limit));
        }
        // The receiver lives until every process has ended, or does not want anything any more.
        let _ = self.events.send(Event::Output(stream, bytes.to_vec()));
        Ok(())
    }

    pub(crate) fn pipe(&self) -> Result<(Reader, Writer), Errno> {
        Ok(pipe(self.reserve(CAPACITY)?))
    }
}

pub(crate) enum Event {
    Output(Stream, Vec<u8>),
    /// A process cannot start before its program is compiled.
    Compiling {
        pid: u32,
        path: String,
        size: u64,
    },
    Compiled {
        pid: u32,
    },
    Ended {
        pid: u32,
        result: Result<End, Error>,
    },
}

/// A run that is over, whether or not it came to its own end.
pub struct Stopped {
    pub ended: Result<Status, Error>,
    /// As in [`Finished`].
    pub changes: Vec<Change>,
    pub kept: Vec<Kept>,
}

pub(crate) fn run_step(
    runtime: Arc<Runtime>,
    limits: &Limits,
    root: &Root<'_>,
    process: &Process,
    io: &Io<'_>,
) -> Result<Finished, Error> {
    let (step, ended) = run(runtime, limits, root, process, io, false)?;
    let status = ended?;
    let kept = step.filesystem.unmount()?;
    Ok(Finished { status, changes: step.filesystem.changes()?, kept, directory: None })
}

/// The same where changes count however it ended.
pub(crate) fn run_and_keep(
    runtime: Arc<Runtime>,
    limits: &Limits,
    root: &Root<'_>,
    process: &Process,
    io: &Io<'_>,
    read_only: bool,
) -> Result<Stopped, Error> {
    let (step, ended) = run(runtime, limits, root, process, io, read_only)?;
    let kept = step.filesystem.unmount()?;
    Ok(Stopped { ended, changes: step.filesystem.changes()?, kept })
}

fn run(
    runtime: Arc<Runtime>,
    limits: &Limits,
    root: &Root<'_>,
    process: &Process,
    io: &Io<'_>,
    read_only: bool,
) -> Result<(Arc<Step>, Result<Status, Error>), Error> {
    let begin = Instant::now();
    let (step, receiver) = Step::new(runtime, limits, root, process)?;
    let step = Arc::new(step);
    start_first(&step, process, io, read_only).map_err(|error| step.fatal.take().unwrap_or(error))?;
    let ended = follow(&step, &receiver, io, begin).map(|end| match end {
        End::Exit(status) => Status::Exited(status.into()),
        End::Signal(signal) => Status::Signalled(signal as i32),
    });
    Ok((step, ended))
}

fn start_first(step: &Arc<Step>, process: &Process, io: &Io<'_>, read_only: bool) -> Result<(), Error> {
    let cwd = kiln_types::paths::clean(&process.cwd);
    let no_directory = |errno| system(&format!("use the working directory {}", process.cwd), errno);
    step.filesystem.lock().make_directories(&cwd).map_err(no_directory)?;
    let cwd = Directory::open(&step.filesystem, &[b"/", &cwd[..]].concat()).map_err(no_directory)?;
    if read_only {
        step.filesystem.lock().make_read_only();
    }

    let argv = process.argv.iter().map(|argument| argument.as_bytes().to_vec()).collect();
    let env: Vec<Vec<u8>> = process.env.iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect();
    let found = find_program(step, argv, &env, cwd.handle.node);
    let (program, argv) = found.map_err(|refused| {
        let program = process.argv.first().cloned().unwrap_or_default();
        match refused {
            Refused::NotFound => Error::NotFound { program },
            Refused::Denied(reason) | Refused::NotExecutable(reason) => Error::NotExecutable { program, reason },
            Refused::Failed(errno) => system(&format!("read {program}"), errno),
        }
    })?;
    let creator = Creator { uid: process.user.uid, gid: process.user.gid, umask: 0o022 };
    let descriptors = standard_descriptors(step, io.stdin).map_err(|errno| system("open the standard files", errno))?;
    let start = Start { argv, env, descriptors, creator, memory: None };
    start_process(step, NOBODY, &Stop::default(), program, start, cwd, process.seed)
        .map_err(|_| system("start the process", Errno::Again))?;
    Ok(())
}

fn standard_descriptors(step: &Step, stdin: Stdin) -> Result<Descriptors, Errno> {
    let input = match stdin {
        Stdin::Empty => Target::Empty,
        Stdin::Inherit if io::stdin().is_terminal() => Target::Terminal(inherited_input(step)?),
        Stdin::Inherit => Target::Reader(inherited_input(step)?),
    };
    let mut descriptors = Descriptors::default();
    for (number, target, readable) in
        [(0, input, true), (1, Target::Stream(Stream::Out), false), (2, Target::Stream(Stream::Err), false)]
    {
        let open = Arc::new(Open::new(target, readable, !readable, 0));
        descriptors.set(number, Descriptor { open, preopen: None })?;
    }
    Ok(descriptors)
}

/// A read of the caller's input cannot be interrupted, so a thread of its own does it.
fn inherited_input(step: &Step) -> Result<Reader, Errno> {
    let (reader, writer) = step.pipe()?;
    let copy = move || {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length @ 1..) = io::stdin().read(&mut buffer) {
            if writer.write(&buffer[..length], true, &Stop::default()).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().spawn(copy).map_err(|error| step.fatal.host("start a thread", error))?;
    Ok(reader)
}

/// Hands on what is written until every process has ended; how the first one did.
fn follow(step: &Step, receiver: &Receiver<Event>, io: &Io<'_>, begin: Instant) -> Result<End, Error> {
    let mut compilations = Compilations::default();
    let say = |line: String| {
        hand_on(io, Stream::Err, line.as_bytes());
    };
    let mut first = None;
    let mut ended = 0;
    let mut looked = Instant::now();
    let mut stopped: Option<Instant> = None;
    // Each process sends its end after all that it wrote, and none can start another one after that.
    while ended < step.table.started() {
        match receiver.recv_timeout(LOOK) {
            Ok(Event::Output(stream, bytes)) => {
                if !hand_on(io, stream, &bytes) {
                    step.unread[stream as usize].store(true, Ordering::Relaxed);
                }
            }
            Ok(Event::Compiling { pid, path, size }) => compilations.begin(pid, path, size),
            Ok(Event::Compiled { pid }) => compilations.end(pid, &say),
            Ok(Event::Ended { pid, result }) => {
                ended += 1;
                first = first.or((pid == FIRST).then_some(result));
            }
            Err(_) => {}
        }
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        compilations.tell(&say);
        if let Some(time) = step.limits.time
            && begin.elapsed() > time
        {
            step.fatal.exceeded(Limit::Time(Some(time)));
        }
        if io.cancel.is_cancelled() || step.fatal.is_set() {
            step.table.stop_all();
            if stopped.get_or_insert(looked).elapsed() > PATIENCE {
                break;
            }
        }
        // A process whose stop was set while it took its last look gets another one.
        step.runtime.engine.increment_epoch();
    }
    if io.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    match (step.fatal.take(), first) {
        (Some(error), _) => Err(error),
        (None, Some(result)) => result,
        (None, None) => Err(Error::Engine("the first process vanished".to_owned())),
    }
}

/// Whether somebody reads it.
fn hand_on(io: &Io<'_>, stream: Stream, bytes: &[u8]) -> bool {
    match (&io.output, stream) {
        (Output::Each(each), _) => {
            each(stream, bytes);
            true
        }
        (Output::Inherit, Stream::Out) => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()).is_ok(),
        (Output::Inherit, Stream::Err) => io::stderr().write_all(bytes).is_ok(),
    }
}

fn system(action: &str, errno: Errno) -> Error {
    Error::System { action: action.to_owned(), source: io::Error::other(errno) }
}
