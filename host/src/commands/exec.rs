//! `kiln exec`.

use std::process::ExitCode;

use kiln_container::protocol;
use kiln_container::{Container, Error, ExecutorKind, Phase};

use super::arguments;
use super::attach::{self, Wanted};
use crate::cli::exec::Exec;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Exec, session: &Session) -> anyhow::Result<ExitCode> {
    let container = Container::find(&session.store()?, options.container())?;
    let name = container.name();
    if container.spec.executor == ExecutorKind::Wasi {
        return Err(super::run::wasi::refuse(&container, "exec into").into());
    }
    // Whether one that has a supervisor can be entered at the moment, that knows.
    if matches!(container.state.phase, Phase::Created | Phase::Exited) {
        return Err(Error::NotRunning { name: name.to_owned() }.into());
    }
    if let Some(directory) = &options.workdir
        && !directory.starts_with('/')
    {
        let failure = Failure::new(format!("the working directory {directory} is not absolute"));
        return Err(failure.hint("begin it with `/`").into());
    }
    if !options.detach {
        super::run::check_terminal(options.interactive, options.tty)?;
    }
    let mut env = arguments::read_files(&options.env_file)?;
    env.extend(arguments::read(&options.env)?);
    let stdin = options.interactive && !options.detach;
    let exec = protocol::Exec {
        argv: options.argv().to_vec(),
        env,
        cwd: options.workdir.clone(),
        user: options.user.clone(),
        privileged: options.privileged,
        terminal: options.tty,
        stdin,
        detached: options.detach,
        size: None,
    };
    let wanted = Wanted {
        stdin,
        stdout: true,
        stderr: true,
        terminal: options.tty,
        keys: options.detach_keys.clone().unwrap_or_default(),
        signals: true,
    };
    attach::exec(&container, exec, wanted)
}
