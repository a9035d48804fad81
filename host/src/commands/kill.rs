//! `kiln kill`.

use std::process::ExitCode;

use kiln_container::protocol::Request;
use kiln_container::{Container, Error, ExecutorKind, signal};

use super::control::ask;
use super::each;
use crate::cli::kill::Kill;
use crate::session::Session;

pub(super) fn run(options: &Kill, session: &Session) -> anyhow::Result<ExitCode> {
    let signal = signal::parse(&options.signal)?;
    each::each(&options.containers, &mut |name| {
        let container = Container::find(&session.store()?, name)?;
        kill(&container, signal)
    })
}

/// SIGKILL is waited for: it is over in a moment.
pub(super) fn kill(container: &Container, signal: i32) -> anyhow::Result<()> {
    if !container.state.is_running() {
        return Err(Error::NotRunning { name: container.name().to_owned() }.into());
    }
    if container.spec.executor == ExecutorKind::Wasi {
        return signal_wasi(container, signal);
    }
    ask(container, Request::Signal(signal))?;
    if signal == signal::SIGKILL {
        container.folder.wait()?;
    }
    Ok(())
}

/// The process that runs it is the one that started it.
#[cfg(unix)]
pub(super) fn signal_wasi(container: &Container, signal: i32) -> anyhow::Result<()> {
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap_or(rustix::process::Signal::TERM);
    Ok(kiln_container::wasi::signal(container, signal)?)
}

#[cfg(not(unix))]
pub(super) fn signal_wasi(container: &Container, _: i32) -> anyhow::Result<()> {
    Err(super::run::wasi::refuse(container, "signal").into())
}
