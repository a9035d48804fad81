//! Where Linux programs cannot be run, there is nothing to follow.

use std::process::ExitCode;

use kiln_container::{Container, protocol};

use super::Wanted;
use crate::report::failure::Failure;
use crate::session::Session;

fn refused(container: &Container) -> anyhow::Error {
    let message = format!("container {} holds Linux programs, which need a Linux kernel", container.name());
    Failure::new(message).hint("use WebAssembly programs, or a Linux machine").into()
}

pub(in crate::commands) fn start(container: &Container, _: &Session) -> anyhow::Result<()> {
    Err(refused(container))
}

pub(in crate::commands) fn start_and_follow(container: &Container, _: &Session, _: Wanted) -> anyhow::Result<ExitCode> {
    Err(refused(container))
}

pub(in crate::commands) fn attach(container: &Container, _: Wanted) -> anyhow::Result<ExitCode> {
    Err(refused(container))
}

pub(in crate::commands) fn exec(container: &Container, _: protocol::Exec, _: Wanted) -> anyhow::Result<ExitCode> {
    Err(refused(container))
}
