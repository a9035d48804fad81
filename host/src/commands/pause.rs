//! `kiln pause` and `kiln unpause`.

use std::process::ExitCode;

use kiln_container::protocol::Request;
use kiln_container::{Container, Error, ExecutorKind};

use super::control::ask;
use super::{each, run};
use crate::cli::pause::{Pause, Unpause};
use crate::session::Session;

pub(super) fn pause(options: &Pause, session: &Session) -> anyhow::Result<ExitCode> {
    each::each(&options.containers, &mut |name| freeze(name, Request::Pause, session))
}

pub(super) fn unpause(options: &Unpause, session: &Session) -> anyhow::Result<ExitCode> {
    each::each(&options.containers, &mut |name| freeze(name, Request::Unpause, session))
}

fn freeze(name: &str, request: Request, session: &Session) -> anyhow::Result<()> {
    let container = Container::find(&session.store()?, name)?;
    if !container.state.is_running() {
        return Err(Error::NotRunning { name: container.name().to_owned() }.into());
    }
    if container.spec.executor == ExecutorKind::Wasi {
        return Err(run::wasi::refuse(&container, "pause").into());
    }
    Ok(ask(&container, request)?)
}
