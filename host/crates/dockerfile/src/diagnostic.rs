//! Problems in a Dockerfile: what is wrong, where, and what to do about it. The program renders them.

use crate::lint::{Rule, Warning, Warnings};
use std::cmp::Ordering;
use std::ops::Range;

/// Byte offsets into the Dockerfile as it was given to [`crate::parse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// An error: nothing can be built. What is only doubtful is a [`Warning`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable and kebab-case, e.g. `unknown-instruction`: scripts may rely on it.
    pub code: &'static str,
    /// Lower case, without a final stop.
    pub message: String,
    /// A remedy that one can follow.
    pub hint: Option<String>,
    pub span: Span,
}

impl Diagnostic {
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, span }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

/// More errors than this help nobody, and hostile input must not make them without end.
const MOST: usize = 100;

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    told: Vec<Diagnostic>,
    errors: usize,
    pub(crate) warnings: Warnings,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Diagnostic) {
        self.errors += 1;
        match self.errors.cmp(&(MOST + 1)) {
            Ordering::Less => self.told.push(problem),
            Ordering::Equal => {
                let message = "there are more errors, which are not told".to_owned();
                self.told.push(Diagnostic { code: "too-many-problems", message, hint: None, ..problem });
            }
            Ordering::Greater => {}
        }
    }

    pub(crate) fn extend(&mut self, problems: impl IntoIterator<Item = Diagnostic>) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }

    pub(crate) fn warn(&mut self, rule: &'static Rule, span: Span, detail: impl Into<String>) {
        self.warnings.push(Warning { rule, detail: detail.into(), span });
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// No further error would be told.
    pub(crate) fn is_full(&self) -> bool {
        self.errors > MOST
    }

    /// The errors in the order of the text, and the warnings.
    pub(crate) fn into_sorted(mut self) -> (Vec<Diagnostic>, Vec<Warning>) {
        self.told.sort_by_key(|problem| problem.span.start);
        (self.told, self.warnings.into_sorted())
    }
}

/// Source text as it may stand in a message: quoted, control characters escaped, never long.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out = String::from("\"");
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        match character {
            '"' => out.push('"'),
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}
