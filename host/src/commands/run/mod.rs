//! `kiln run`: a process in an image, in the foreground.

mod describe;
mod image;

pub(super) use describe::terminal;

use std::process::ExitCode;

use kiln_exec::wasi::Limits;
use kiln_exec::{Cancel, Error, Io, Output, Root, Stdin};
use kiln_image::View;

use crate::cli::run::Run;
use crate::report::failure::show;
use crate::session::{PassedOn, Session};

/// Docker's codes for a command that cannot be executed, and for one that does not exist.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(super) fn run(options: &Run, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let image = image::get(options, session, &store)?;
    store.hold_only(&image.id, &options.arguments().join(" "))?;
    let layers = image.config.rootfs.diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<_, _>>()?;
    let view = View::new(layers);
    let mut process = describe::process(options, &image, &view)?;
    let path = process.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let choice = match kiln_exec::choose(&view, options.executor.into(), &process.argv, path, &process.cwd) {
        Ok(choice) => choice,
        Err(error) => return refused(error),
    };
    process.guest_tools = choice.guest_tools;
    let limits = crate::cli::with_limits(Limits::FOREGROUND, &options.limits);
    let executor = if choice.wasi { session.wasi_executor(&store, limits) } else { session.namespace_executor() };
    let scratch = store.scratch()?;
    let root = Root {
        view,
        mounts: &[],
        directories: &|layer| store.directory(layer).map_err(Into::into),
        scratch: scratch.path(),
        shared: scratch.shared(),
    };
    let stdin = if options.interactive { Stdin::Inherit } else { Stdin::Empty };
    let run = |cancel, next_signal: &dyn Fn() -> Option<i32>| {
        let io = Io { stdin, output: Output::Inherit, cancel };
        executor.run_in_foreground(&root, &process, &io, next_signal)
    };
    let ended = if choice.wasi {
        // WebAssembly programs know no signals: they end by them.
        run(&session.interrupts.catch()?, &|| None)
    } else {
        let signals = PassedOn::catch()?;
        run(&Cancel::new(), &|| signals.next())
    };
    match (ended, session.interrupts.code()) {
        (Ok(status), _) => Ok(ExitCode::from((status.code() & 0xff) as u8)),
        (Err(Error::Cancelled), Some(code)) => Ok(ExitCode::from(code)),
        (Err(error), _) => refused(error),
    }
}

/// The exit code says whose failure it was; all but these three are kiln's own.
pub(super) fn refused(error: Error) -> anyhow::Result<ExitCode> {
    let code = match error {
        Error::NotFound { .. } => NOT_FOUND,
        Error::NotExecutable { .. } => NOT_EXECUTABLE,
        _ => return Err(error.into()),
    };
    Ok(show(&error.into(), code))
}
