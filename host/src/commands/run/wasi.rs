//! A container whose program is WebAssembly: it runs in this process, in the foreground.

use std::io::{self, Write as _};
use std::process::ExitCode;

use kiln_container::{Container, wasi};
use kiln_exec::{Stdin, Stream};
use kiln_store::Store;

use crate::report::failure::Failure;
use crate::session::Session;

/// What shells report of a program that nobody listened to any more.
const BROKEN_PIPE: u8 = 141;

/// Runs `container` to its end. `stdin`: it gets that of this process.
pub(in crate::commands) fn run(
    store: Store,
    container: &mut Container,
    stdin: bool,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let cancel = session.interrupts.catch()?;
    let environment = wasi::Environment {
        stdin: if stdin { Stdin::Inherit } else { Stdin::Empty },
        output: &pass_on,
        cancel,
        term: &super::terminal(),
        cancelled: &|| session.interrupts.code().unwrap_or(BROKEN_PIPE),
    };
    match wasi::run(store, container, &environment) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => super::with_code(error.into()),
    }
}

/// Refuses what is not for such a container.
pub(in crate::commands) fn refuse(container: &Container, what: &str) -> Failure {
    Failure::new(format!("cannot {what} container {}: {}", container.name(), wasi::ALONE))
}

fn pass_on(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Out => {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        Stream::Err => io::stderr().write_all(bytes),
    }
}
