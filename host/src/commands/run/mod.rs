//! `kiln run`: a process in an image, in the foreground.

mod describe;

use std::process::ExitCode;

use kiln_exec::dispatch::{self, Kind};
use kiln_exec::{Error, Io, Output, Process, Root, Stdin};
use kiln_image::View;

use crate::cli::ExecutorOption;
use crate::cli::run::Run;
use crate::report::failure::{CANCELLED, Failure, show};
use crate::session::Session;

/// Docker's codes for a command that cannot be executed, and for one that does not exist.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
const GUEST_SHELL: &str = "/.kiln/bin/sh";

pub(super) fn run(options: &Run, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let image = store.resolve(options.image())?;
    let layers = image.config.rootfs.diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<_, _>>()?;
    let view = View::new(layers);
    let mut process = describe::process(options, &image, &view)?;
    let executor = match wants_wasi(options.executor, &view, &process) {
        Ok(true) => {
            if process.guest_tools && process.argv[0] == "/bin/sh" {
                process.argv[0] = GUEST_SHELL.to_owned();
            }
            session.wasi_executor(&store)
        }
        Ok(false) => session.namespace_executor(),
        Err(error) => return refused(error),
    };
    let scratch = store.scratch()?;
    let root = Root { view, directories: &|layer| store.directory(layer).map_err(Into::into), scratch: scratch.path() };
    let stdin = if options.interactive { Stdin::Inherit } else { Stdin::Empty };
    let io = Io { stdin, output: Output::Inherit, cancel: &session.cancel };
    match executor.run(&root, &process, &io) {
        Ok(finished) => Ok(ExitCode::from((finished.status.code() & 0xff) as u8)),
        Err(error) => refused(error),
    }
}

/// Which executor: what would be executed decides, as for RUN.
fn wants_wasi(wanted: ExecutorOption, view: &View, process: &Process) -> Result<bool, Error> {
    match wanted {
        ExecutorOption::Namespace => return Ok(false),
        ExecutorOption::Wasi => return Ok(true),
        ExecutorOption::Auto => {}
    }
    let program = &process.argv[0];
    let path = process.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    match dispatch::classify(view, program, path, &process.cwd)?.0 {
        Kind::Wasm => Ok(true),
        Kind::Native => Ok(false),
        // In an image without a shell kiln's own tools are last on PATH, and its shell stands in for the usual one.
        Kind::Missing if process.guest_tools && (!program.contains('/') || program == "/bin/sh") => Ok(true),
        Kind::Missing => Err(Error::NotFound { program: program.clone() }),
    }
}

/// The exit code says whose failure it was; all but these three are kiln's own.
fn refused(error: Error) -> anyhow::Result<ExitCode> {
    let code = match error {
        Error::NotFound { .. } => NOT_FOUND,
        Error::NotExecutable { .. } => NOT_EXECUTABLE,
        Error::Cancelled => return Ok(ExitCode::from(CANCELLED)),
        _ => return Err(error.into()),
    };
    Ok(show(&Failure::new("cannot run the command").because(error).into(), code))
}
