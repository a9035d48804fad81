//! Parser directives: `# escape=`, `# syntax=`, `# check=` at the very top of the file.

use crate::lines::Physical;
use crate::lint::Warning;
use crate::lint::rules::KILN_LATE_DIRECTIVE;
use crate::{Diagnostic, Span, Word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    /// Backslash or backtick: continues lines and escapes characters.
    pub escape: u8,
    /// The front end that the file asks for.
    pub syntax: Option<Word>,
    /// Options for the lint.
    pub check: Option<Word>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: b'\\', syntax: None, check: None }
    }
}

/// The scan for directives. The first line that is none ends it, but for `#!` on the first line.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) directives: Directives,
    escape_seen: bool,
    shebang: bool,
    pub(crate) done: bool,
}

impl Scan {
    /// Takes `line` if it is a directive.
    pub(crate) fn take(&mut self, line: Physical<'_>) -> Result<bool, Diagnostic> {
        if line.number == 1 && line.full.starts_with("#!") {
            self.shebang = true;
            return Ok(true);
        }
        // Below `#!` BuildKit looks for syntax and check only.
        let wanted = |key: &str| !(self.done || self.shebang && key == "escape");
        let Some((key, value)) = recognise(line).filter(|(key, _)| wanted(key)) else {
            self.done = true;
            return Ok(false);
        };
        let seen = match key {
            "escape" => std::mem::replace(&mut self.escape_seen, true),
            "syntax" => self.directives.syntax.is_some(),
            _ => self.directives.check.is_some(),
        };
        if seen {
            let message = format!("the {key} directive is given twice");
            return Err(Diagnostic::error("duplicate-directive", line.span(), message).hint("keep one of them"));
        }
        match key {
            "escape" => {
                self.directives.escape = match value.text.as_str() {
                    "\\" => b'\\',
                    "`" => b'`',
                    _ => {
                        return Err(Diagnostic::error(
                            "invalid-escape",
                            value.span,
                            "the escape character must be a backslash or a backtick",
                        )
                        .hint("write # escape=\\ or # escape=`"));
                    }
                };
            }
            "syntax" => self.directives.syntax = Some(value),
            _ => self.directives.check = Some(value),
        }
        Ok(true)
    }

    /// What to say of a comment that would be a directive further up.
    pub(crate) fn late(line: Physical<'_>) -> Option<Warning> {
        // Above an instruction `# check=` speaks of that instruction alone.
        let (key, _) = recognise(line).filter(|&(key, _)| key != "check")?;
        let detail = format!(
            "This {key} directive has no effect here: directives stand at the top of the file, before comments, blank \
             lines and instructions"
        );
        Some(Warning { rule: &KILN_LATE_DIRECTIVE, detail, span: line.span() })
    }
}

/// `# key = value` with a known key, which is given in lower case.
fn recognise(line: Physical<'_>) -> Option<(&'static str, Word)> {
    const KEYS: [&str; 3] = ["check", "escape", "syntax"];
    let (comment, start) = line.comment()?;
    let (key, value) = comment.split_once('=')?;
    let key = KEYS.into_iter().find(|known| key.trim().eq_ignore_ascii_case(known))?;
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return None;
    }
    let start = start + comment.len() - value.trim_start().len();
    Some((key, Word { text: trimmed.to_owned(), span: Span::new(start, start + trimmed.len()) }))
}
