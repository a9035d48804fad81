//! `kiln stop` and `kiln restart`.

use std::process::ExitCode;

use kiln_container::protocol::Request;
use kiln_container::{Container, Error, ExecutorKind, signal};

use super::control::ask;
use super::{each, kill, start};
use crate::cli::stop::{How, Restart, Stop};
use crate::session::Session;

/// Docker's, where nobody said anything else.
const DEFAULT_PATIENCE: i64 = 10;

pub(super) fn stop(options: &Stop, session: &Session) -> anyhow::Result<ExitCode> {
    let signal = options.how.signal.as_deref().map(signal::parse).transpose()?;
    each::each(&options.how.containers, &mut |name| stop_one(name, signal, &options.how, session))
}

pub(super) fn restart(options: &Restart, session: &Session) -> anyhow::Result<ExitCode> {
    let signal = options.how.signal.as_deref().map(signal::parse).transpose()?;
    each::each(&options.how.containers, &mut |name| {
        stop_one(name, signal, &options.how, session)?;
        start::start_again(&session.store()?, name, session)
    })
}

/// Nothing is done about one that does not run.
fn stop_one(name: &str, signal: Option<i32>, how: &How, session: &Session) -> anyhow::Result<()> {
    let container = Container::find(&session.store()?, name)?;
    if !container.state.is_running() {
        return Ok(());
    }
    let own = container.spec.config.stop_signal.as_deref();
    let signal = signal.or_else(|| signal::parse(own?).ok()).unwrap_or(signal::SIGTERM);
    let seconds = how.timeout.or(container.spec.stop_timeout).unwrap_or(DEFAULT_PATIENCE);
    // Below zero is never.
    let seconds = u64::try_from(seconds).ok();
    if container.spec.executor == ExecutorKind::Wasi {
        // It ends by any signal.
        kill::signal_wasi(&container, signal)?;
    } else {
        match ask(&container, Request::Stop { signal, seconds }) {
            // It has ended meanwhile.
            Ok(()) | Err(Error::NotRunning { .. } | Error::Gone { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(container.folder.wait()?)
}
