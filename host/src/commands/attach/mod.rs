//! Following a container, or a command in it, from this terminal: `attach`, and the second half of `run`, `start -a` and
//! `exec`.

#[cfg(unix)]
mod follow;
#[cfg(not(unix))]
mod nowhere;
#[cfg(unix)]
mod terminal;

#[cfg(unix)]
pub(super) use follow::{attach, exec, start, start_and_follow};
#[cfg(not(unix))]
pub(super) use nowhere::{attach, exec, start, start_and_follow};

use std::process::ExitCode;

use kiln_container::keys::DetachKeys;
use kiln_container::{Container, ExecutorKind, Phase};

use crate::cli::attach::Attach;
use crate::report::failure::Failure;
use crate::session::Session;

/// What is connected to what.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// There is a terminal at the other end.
    pub(super) terminal: bool,
    pub(super) keys: DetachKeys,
    /// Signals are passed on.
    pub(super) signals: bool,
}

pub(super) fn run(options: &Attach, session: &Session) -> anyhow::Result<ExitCode> {
    let container = Container::find(&session.store()?, &options.container)?;
    if container.spec.executor == ExecutorKind::Wasi {
        return Err(super::run::wasi::refuse(&container, "attach to").into());
    }
    let name = container.name();
    match container.state.phase {
        Phase::Running => {}
        Phase::Paused => {
            let failure = Failure::new(format!("cannot attach to the paused container {name}"));
            return Err(failure.hint(format!("kiln unpause {name}")).into());
        }
        Phase::Restarting => {
            let failure = Failure::new(format!("cannot attach to the restarting container {name}"));
            return Err(failure.hint("wait until it runs").into());
        }
        Phase::Created | Phase::Exited => {
            let failure = Failure::new(format!("cannot attach to the stopped container {name}"));
            return Err(failure.hint(format!("start it first, or use `kiln start -a {name}`")).into());
        }
    }
    let stdin = container.spec.open_stdin && !options.no_stdin;
    super::run::check_terminal(stdin, container.spec.terminal)?;
    let wanted = Wanted {
        stdin,
        stdout: true,
        stderr: true,
        terminal: container.spec.terminal,
        keys: options.detach_keys.clone().unwrap_or_default(),
        signals: options.sig_proxy,
    };
    attach(&container, wanted)
}
