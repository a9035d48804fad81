//! A process is a store of its own on a thread of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use kiln_types::Digest;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use super::descriptors::{Descriptor, Directory, HERE, Open, Target};
use super::fuel::settle;
use super::guest::{End, Failure, Guest, SIGNAL_KILL, Start, Stop};
use super::program::Program;
use super::step::{Event, Step};
use super::table::FIRST;
use crate::wasi::errno::Errno;
use crate::wasi::fs::ROOT;
use crate::wasi::limits;
use crate::{Error, Stream};

/// For the host's own calls, beyond what the guest may use.
const HOST_STACK: usize = 1 << 20;
/// As shells report a program that aborted.
const TRAPPED: u8 = 134;
const NOT_EXECUTABLE: u8 = 126;

pub(crate) fn start_process(
    step: &Arc<Step>,
    parent: u32,
    parent_stop: &Stop,
    program: Program,
    mut start: Start,
    cwd: Directory,
    seed: Digest,
) -> Result<u32, Failure> {
    let (pid, stop) = step.table.start(parent, parent_stop, step.limits.processes, &step.fatal)?;
    start.env.retain(|entry| !entry.starts_with(b"PWD="));
    start.env.push([b"PWD=", &cwd.path[..]].concat());
    let guest = Guest::new(step.clone(), pid, stop, seed, start);
    let thread_step = step.clone();
    let run = move || {
        let step = thread_step;
        let path = program.path.clone();
        // Its descriptors are closed when this returns, before anyone hears of the end.
        let run = AssertUnwindSafe(|| run(&step, program, guest, cwd));
        // A mistake of ours must not leave the others waiting for this process.
        let result = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(Error::Engine(format!("running {path} failed inside kiln"))));
        let status = match &result {
            Ok(End::Exit(status)) => *status,
            Ok(End::Signal(signal)) => 128_u8.saturating_add(*signal as u8),
            Err(error @ Error::NotExecutable { .. }) if pid != FIRST => {
                let _ = step.events.send(Event::Output(Stream::Err, format!("kiln: {error}\n").into_bytes()));
                NOT_EXECUTABLE
            }
            Err(_) => NOT_EXECUTABLE,
        };
        // What is not the guest's doing must not look to its parent as if it were.
        let result = match result {
            Err(error) if pid != FIRST && !matches!(error, Error::NotExecutable { .. }) => {
                step.fatal.set(error);
                Ok(End::Signal(SIGNAL_KILL))
            }
            result => result,
        };
        step.table.end(pid, status);
        step.runtime.engine.increment_epoch();
        let _ = step.events.send(Event::Ended { pid, result });
    };
    let thread = std::thread::Builder::new().stack_size(limits::STACK + HOST_STACK).spawn(run);
    thread.map(|_| pid).map_err(|error| {
        step.fatal.host("start a thread for a process", error);
        step.table.end(pid, NOT_EXECUTABLE);
        let _ = step.events.send(Event::Ended { pid, result: Ok(End::Exit(NOT_EXECUTABLE)) });
        Errno::Again.into()
    })
}

fn run(step: &Arc<Step>, program: Program, mut guest: Guest, cwd: Directory) -> Result<End, Error> {
    let say = |text: String| drop(step.events.send(Event::Output(Stream::Err, text.into_bytes())));
    let mut compiled = false;
    let module = step.runtime.modules.load(&program, || {
        compiled = true;
        let (path, size) = (program.path.clone(), program.content.size());
        let _ = step.events.send(Event::Compiling { pid: guest.pid, path, size });
    });
    if compiled {
        let _ = step.events.send(Event::Compiled { pid: guest.pid });
    }
    let module = module?;
    // The code is all that is needed from here on; that of a module of the step's own counts as much as the module.
    let Program { path, content, made_here: _code, .. } = program;
    drop(content);
    if let Err(end) = guest.check() {
        return Ok(end);
    }
    preopen(step, &mut guest, cwd, module.made_for_kiln)
        .map_err(|_| Error::Limit { limit: format!("{} descriptors", limits::DESCRIPTORS), raise: None })?;

    let mut store = Store::new(&step.runtime.engine, guest);
    store.limiter(|guest| guest);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| match store.data().check() {
        Ok(()) => Ok(UpdateDeadline::Continue(1)),
        Err(end) => Err(wasmtime::Error::new(end)),
    });
    if let Err(end) = settle(&mut store) {
        return Ok(end);
    }
    let ended = module.instance.instantiate(&mut store).and_then(|instance| {
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())
    });
    if let Err(end) = settle(&mut store) {
        return Ok(end);
    }
    let Err(error) = ended else { return Ok(End::Exit(0)) };
    if let Some(end) = error.downcast_ref::<End>() {
        return Ok(*end);
    }
    if error.downcast_ref::<Trap>().is_none() && error.downcast_ref::<WasmBacktrace>().is_none() {
        return Err(Error::Engine(format!("{error:#}")));
    }
    say(describe(&path, &error));
    Ok(End::Exit(TRAPPED))
}

/// wasi-libc drops the slash of absolute paths and then takes the last preopen whose name is a prefix, and both `/`
/// and `.` are the empty one. A program made for kiln uses absolute paths only; named by its path, its working
/// directory takes nothing but what is in it. Others know the working directory as `.`, see `Tree::guess_base`.
fn preopen(step: &Step, guest: &mut Guest, cwd: Directory, made_for_kiln: bool) -> Result<(), Errno> {
    let root = {
        let mut tree = step.filesystem.lock();
        step.filesystem.handle(&mut tree, ROOT)
    };
    let name = if made_for_kiln { &cwd.path } else { HERE };
    for (number, name, handle) in [(3, &b"/"[..], root), (4, name, cwd.handle)] {
        let open = Arc::new(Open::new(Target::Directory(handle), true, false, 0));
        guest.descriptors.set(number, Descriptor { open, preopen: Some(name.into()) })?;
    }
    Ok(())
}

/// A trap and where it happened.
fn describe(path: &str, error: &wasmtime::Error) -> String {
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    match error.downcast_ref::<WasmBacktrace>() {
        Some(backtrace) => format!("kiln: {path}: {cause}\n{backtrace}\n"),
        None => format!("kiln: {path}: {cause}\n"),
    }
}
