//! Commands that do one thing to each of several containers: what succeeds is said, and what fails hinders nothing else.

use std::io::Write as _;
use std::process::ExitCode;

use crate::report::failure::{FAILED, show};

/// Prints the name of each for which `act` succeeds, as it was given.
pub(super) fn each(names: &[String], act: &mut dyn FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match act(name) {
            Ok(()) => writeln!(std::io::stdout(), "{name}")?,
            Err(error) => code = show(&error, FAILED),
        }
    }
    Ok(code)
}
