//! What can be wrong with a text that holds variables.

use crate::diagnostic::quoted;
use crate::{Diagnostic, Span};
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct ExpandError {
    /// Byte offset in the text that was expanded.
    pub offset: usize,
    pub fault: ExpandFault,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpandFault {
    #[error("{} is not closed", if *.0 == '"' { "a double quote" } else { "a single quote" })]
    UnterminatedQuote(char),
    #[error("`}}` is missing")]
    MissingBrace,
    #[error("`/` is missing between pattern and replacement")]
    MissingSlash,
    #[error("bad substitution")]
    BadSubstitution,
    #[error("unsupported modifier {} in a substitution", quoted(.0))]
    UnsupportedModifier(String),
    #[error("invalid pattern {} in a substitution", quoted(.0))]
    BadPattern(String),
    /// `${name:?message}`
    #[error("{name}: {}", required(.message, *.empty_is_unset))]
    Required { name: String, message: String, empty_is_unset: bool },
    #[error("substitutions are nested too deeply")]
    TooDeep,
    #[error("the text becomes too long: variables may bring in at most 1 MiB")]
    TooLong,
}

fn required(message: &str, empty_is_unset: bool) -> &str {
    match (message, empty_is_unset) {
        ("", true) => "must be set and not empty",
        ("", false) => "must be set",
        _ => message,
    }
}

impl ExpandFault {
    /// The code of a diagnostic that tells of it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnterminatedQuote(_) => "unterminated-quote",
            Self::MissingBrace | Self::MissingSlash | Self::BadSubstitution | Self::UnsupportedModifier(_) => {
                "bad-substitution"
            }
            Self::BadPattern(_) => "bad-substitution-pattern",
            Self::Required { .. } => "required-variable",
            Self::TooDeep => "substitution-too-deep",
            Self::TooLong => "substitution-too-long",
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::UnterminatedQuote(_) => "close it, or put the escape character before it to mean the quote itself",
            Self::MissingBrace | Self::MissingSlash | Self::BadSubstitution | Self::UnsupportedModifier(_) => {
                "known are ${v}, ${v:-w}, ${v:+w}, ${v:?w}, ${v#p}, ${v%p} and ${v/p/r}; \\$ means the dollar itself"
            }
            Self::BadPattern(_) => "a backslash may stand before *, ? and itself only",
            Self::Required { .. } => "give it a value with --build-arg, ARG or ENV",
            Self::TooDeep | Self::TooLong => return None,
        })
    }
}

impl ExpandError {
    /// As a problem of the Dockerfile, told at `span`.
    pub fn diagnostic(&self, span: Span) -> Diagnostic {
        Diagnostic::error(self.fault.code(), span, self.to_string()).maybe_hint(self.fault.hint().map(str::to_owned))
    }
}
