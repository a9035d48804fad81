//! Problems in a Dockerfile: what is wrong, where, and what to do about it. The program renders them.

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub level: Level,
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
        Self { level: Level::Error, code, message: message.into(), hint: None, span }
    }

    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, span, message) }
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

/// More problems than this of one level help nobody, and hostile input must not make them without end.
const MOST: usize = 100;

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    told: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Diagnostic) {
        let (count, what) = match problem.level {
            Level::Error => (&mut self.errors, "errors"),
            Level::Warning => (&mut self.warnings, "warnings"),
        };
        *count += 1;
        match (*count).cmp(&(MOST + 1)) {
            Ordering::Less => self.told.push(problem),
            Ordering::Equal => {
                let message = format!("there are more {what}, which are not told");
                self.told.push(Diagnostic { code: "too-many-problems", message, hint: None, ..problem });
            }
            Ordering::Greater => {}
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// No further error would be told.
    pub(crate) fn is_full(&self) -> bool {
        self.errors > MOST
    }

    /// In the order of the text.
    pub(crate) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.told.sort_by_key(|problem| problem.span.start);
        self.told
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
