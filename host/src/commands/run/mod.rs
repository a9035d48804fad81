//! `kiln run`: a new container, started; and in the foreground followed to its end.

mod create;
mod describe;
mod image;
mod security_option;
pub(super) mod wasi;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use kiln_container::{Container, ExecutorKind};
use kiln_exec::Error;

pub(super) use create::create;

use crate::cli::run::Run;
use crate::commands::attach::{self, Wanted};
use crate::report::failure::{Failure, show};
use crate::session::Session;

/// Docker's codes for a command that cannot be executed, and for one that does not exist.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(super) fn run(options: &Run, session: &Session) -> anyhow::Result<ExitCode> {
    let container_options = &options.options;
    if options.detach && !container_options.attach.is_empty() {
        return Err(Failure::new("--attach and --detach exclude one another").into());
    }
    if !options.detach {
        check_terminal(container_options.interactive, container_options.tty)?;
    }
    let store = session.store()?;
    let mut container = match create::new(container_options, options.detach, session, &store) {
        Ok(container) => container,
        Err(error) => return with_code(error),
    };
    if container.spec.executor == ExecutorKind::Wasi {
        return wasi::run(store, &mut container, container_options.interactive, session);
    }
    drop(store);
    let wanted = Wanted {
        keys: options.detach_keys.clone().unwrap_or_default(),
        signals: options.sig_proxy,
        ..wanted(&container, &container_options.attach)
    };
    if options.detach {
        if let Err(error) = attach::start(&container, session) {
            return with_code(error);
        }
        writeln!(std::io::stdout(), "{}", container.id())?;
        return Ok(ExitCode::SUCCESS);
    }
    attach::start_and_follow(&container, session, wanted)
}

/// What of a container somebody in the foreground sees.
fn wanted(container: &Container, streams: &[String]) -> Wanted {
    let attached = |stream: &str| streams.is_empty() || streams.iter().any(|one| one.eq_ignore_ascii_case(stream));
    Wanted {
        stdin: container.spec.open_stdin && attached("stdin"),
        stdout: attached("stdout"),
        stderr: attached("stderr"),
        terminal: container.spec.terminal,
        ..Wanted::default()
    }
}

/// As Docker: who wants a terminal for what is typed must have one.
pub(super) fn check_terminal(interactive: bool, tty: bool) -> Result<(), Failure> {
    if interactive && tty && !std::io::stdin().is_terminal() {
        return Err(Failure::new("the input device is not a TTY").hint("leave out -t"));
    }
    Ok(())
}

/// The kind of this terminal; Docker's answer where that is not known.
pub(super) fn terminal() -> String {
    std::env::var("TERM").ok().filter(|term| !term.is_empty()).unwrap_or_else(|| "xterm".to_owned())
}

/// The exit code says whose failure it was; all but these two are kiln's own.
pub(super) fn refused(error: Error) -> anyhow::Result<ExitCode> {
    with_code(error.into())
}

/// Shows a failure that has an exit code of its own.
pub(super) fn with_code(error: anyhow::Error) -> anyhow::Result<ExitCode> {
    let code = match error.downcast_ref::<kiln_container::Error>() {
        Some(kiln_container::Error::Refused { code, .. }) => Some(*code),
        Some(kiln_container::Error::Exec(error)) => code_of(error),
        _ => error.downcast_ref::<Error>().and_then(code_of),
    };
    match code {
        Some(code) => Ok(show(&error, code)),
        None => Err(error),
    }
}

fn code_of(error: &Error) -> Option<u8> {
    match error {
        Error::NotFound { .. } => Some(NOT_FOUND),
        Error::NotExecutable { .. } => Some(NOT_EXECUTABLE),
        _ => None,
    }
}
