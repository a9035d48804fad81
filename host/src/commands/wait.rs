//! `kiln wait`.

use std::io::Write as _;
use std::process::ExitCode;

use kiln_container::Container;

use crate::cli::wait::Wait;
use crate::report::failure::{FAILED, show};
use crate::session::Session;

pub(super) fn run(options: &Wait, session: &Session) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for name in &options.containers {
        match wait(name, session) {
            Ok(exit_code) => writeln!(std::io::stdout(), "{exit_code}")?,
            Err(error) => code = show(&error, FAILED),
        }
    }
    Ok(code)
}

fn wait(name: &str, session: &Session) -> anyhow::Result<i32> {
    let mut container = Container::find(&session.store_to_read()?, name)?;
    if let Some(code) = heard(&container)? {
        return Ok(code);
    }
    container.folder.wait()?;
    container.refresh()?;
    Ok(container.state.exit_code)
}

/// What its supervisor says at the end: after `--rm` nobody else knows.
#[cfg(unix)]
fn heard(container: &Container) -> anyhow::Result<Option<i32>> {
    use kiln_container::client::Connection;
    use kiln_container::protocol::{Answer, Request};

    let Ok(mut connection) = Connection::to(container) else { return Ok(None) };
    if connection.ask(Request::Wait).is_err() {
        return Ok(None);
    }
    while let Some(answer) = connection.receive()? {
        if let Answer::Ended(code) = answer {
            return Ok(Some(code));
        }
    }
    Ok(None)
}

#[cfg(not(unix))]
fn heard(_: &Container) -> anyhow::Result<Option<i32>> {
    Ok(None)
}
