//! The program's own errors, and what any error means for the exit code.

use std::io;
use std::process::ExitCode;

use super::problem::{Place, Problem};

/// The command was understood and failed.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong.
const MISUSED: u8 = 2;
/// What shells report of a program that was ended by SIGPIPE.
const BROKEN_PIPE: u8 = 141;

/// An error of the program itself, with what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    /// Boxed, for results shall be small.
    place: Option<Box<Place>>,
    /// It is the command line that is wrong.
    misuse: bool,
    #[source]
    source: Option<anyhow::Error>,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, place: None, misuse: false, source: None }
    }

    /// The command line cannot be meant so, whatever there is on this machine.
    pub(crate) fn misuse(message: impl Into<String>) -> Self {
        Self { misuse: true, ..Self::new(message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Where in a file it is.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    pub(crate) fn because(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Tells the user why a command failed and says how the process is to end.
pub(crate) fn show(error: &anyhow::Error, failed: u8) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::from(BROKEN_PIPE);
    }
    let mut problem = Problem::chain(error.as_ref());
    if is_bare(error) {
        problem = Problem { causes: vec![problem.message], ..Problem::error("cannot write to standard output") };
    }
    let failures = || error.chain().filter_map(|cause| cause.downcast_ref::<Failure>());
    problem.hints.extend(failures().find_map(|failure| failure.hint.clone()));
    problem.place = failures().find_map(|failure| failure.place.as_deref().cloned());
    problem.show();
    ExitCode::from(if failures().any(|failure| failure.misuse) { MISUSED } else { failed })
}

/// The end that the user wanted; `code` says by which signal.
pub(crate) fn show_cancelled(code: u8) -> ExitCode {
    Problem::error("cancelled").show();
    ExitCode::from(code)
}

/// Whether nothing says what could not be read or written. Only standard output is written without such words.
fn is_bare(error: &anyhow::Error) -> bool {
    // anyhow's own `is` looks through words that were added.
    error.chain().next().is_some_and(|error| error.is::<io::Error>())
}

/// Whoever read our output has gone, which is no failure to talk about: `kiln images | head -1`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn only_bare_errors_are_of_standard_output() {
        let error = || Err::<(), _>(io::Error::from(io::ErrorKind::NotFound));
        assert!(is_bare(&error().map_err(anyhow::Error::from).expect_err("an error")));
        assert!(!is_bare(&error().context("cannot read it").expect_err("an error")));
    }
}
