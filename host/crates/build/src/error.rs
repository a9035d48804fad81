//! Why a build could not be done, with the place in the Dockerfile where that is known.

use kiln_dockerfile::{Diagnostic, Span};
use kiln_types::Digest;

/// A build's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Everything that is wrong with the Dockerfile itself.
    #[error("{} in the Dockerfile", count(.0.len()))]
    Dockerfile(Vec<Diagnostic>),
    /// A problem of one instruction, found before or while it was done.
    #[error(transparent)]
    Instruction(Box<Located>),
    /// A RUN that ended with a code other than 0.
    #[error(transparent)]
    Step(Box<StepFailure>),
    #[error("cancelled")]
    Cancelled,
    #[error("no wasm artifact can be made of this image: {reason}; {remedy}")]
    NoArtifact { reason: String, remedy: &'static str },
    #[error("cannot start a thread for each stage")]
    Threads(#[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] kiln_store::Error),
    #[error("cannot read the build context {path}")]
    Context { path: String, source: std::io::Error },
    #[error("cannot read the archive")]
    Archive(#[source] kiln_image::Error),
    #[error(transparent)]
    Fetch(#[from] kiln_fetch::Error),
    #[error("the secret `{0}` cannot be sent in a header: it is not one line of text")]
    NoHeader(String),
    #[error("the ignore file has a bad pattern: {0}")]
    Ignore(String),
    #[error("stage `{wanted}` is not in the Dockerfile{}", instead(.wanted, .known))]
    UnknownTarget { wanted: String, known: Vec<String> },
}

/// A message about one instruction.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Located {
    /// Stable, for scripts: `copy-not-found`, `unknown-stage`, …
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    pub span: Span,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Located {
    pub(crate) fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, span, source: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl From<Located> for Error {
    fn from(located: Located) -> Self {
        Self::Instruction(Box::new(located))
    }
}

/// A command that was run and failed.
#[derive(Debug, thiserror::Error)]
#[error("the command `{}` returned a non-zero code: {code}", cut(.command))]
pub struct StepFailure {
    /// As history shows it: `/bin/sh -c exit 7`.
    pub command: String,
    pub code: i32,
    pub span: Span,
    /// Why it could not even be started; what it said itself has been reported as output.
    pub reason: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The image before the failing instruction, to look around in; `None` when that was scratch.
    pub before: Option<Digest>,
    /// Whether the step is kept to be looked into.
    pub kept: bool,
}

/// The beginning of a text that may be of any length.
fn cut(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Which stage may have been meant.
fn instead(wanted: &str, known: &[String]) -> String {
    match kiln_dockerfile::closest(wanted, known.iter().map(String::as_str)) {
        Some(close) => format!("; did you mean `{close}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; it has: {}", known.join(", ")),
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}
