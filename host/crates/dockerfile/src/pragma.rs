//! `# kiln:executor=…`: a comment to other builders, a choice to kiln (WASI_STEPS section 1, rules 2 to 4).

use crate::diagnostic::quoted;
use crate::lines::Physical;
use crate::lint::Warning;
use crate::lint::rules::KILN_PRAGMA_WITHOUT_EFFECT;
use crate::{Diagnostic, Keyword, Span, closest};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    Namespace,
    Wasi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pragma {
    pub executor: Executor,
    pub span: Span,
}

/// Finds out which instruction a pragma belongs to: the one below its block of comments. Above the first FROM a blank
/// line or an ARG below it makes it the file's.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    above: Option<Pragma>,
    pub(crate) file: Option<Pragma>,
    /// Pragmas that belong to nothing.
    pub(crate) idle: Vec<Warning>,
}

impl Scan {
    /// Takes `line` if it is a pragma.
    pub(crate) fn comment(&mut self, line: Physical<'_>) -> Result<bool, Diagnostic> {
        let Some((comment, start)) = line.comment() else { return Ok(false) };
        let Some(text) = comment.trim().strip_prefix("kiln:") else { return Ok(false) };
        let start = start + comment.len() - comment.trim_start().len();
        let span = Span::new(start, start + comment.trim().len());
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.trim() != "executor" {
            let message = format!("unknown pragma {}", quoted(key.trim()));
            return Err(Diagnostic::error("unknown-pragma", span, message).hint("the known one is kiln:executor="));
        }
        let executor = match value.trim() {
            "namespace" => Executor::Namespace,
            "wasi" => Executor::Wasi,
            other => {
                let guess = closest(other, ["namespace", "wasi"]).map(|guess| format!("did you mean {guess}?"));
                return Err(Diagnostic::error("unknown-executor", span, format!("unknown executor {}", quoted(other)))
                    .hint("write kiln:executor=wasi or kiln:executor=namespace")
                    .maybe_hint(guess));
            }
        };
        set(&mut self.above, Pragma { executor, span }).map(|()| true)
    }

    /// A blank line: what stood above it belongs to no instruction.
    pub(crate) fn blank(&mut self, before_stages: bool) -> Result<(), Diagnostic> {
        match self.above.take() {
            Some(pragma) if before_stages => set(&mut self.file, pragma),
            Some(pragma) => {
                self.without_effect(pragma);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The pragma above an instruction of `keyword`, where it may have one.
    pub(crate) fn instruction(
        &mut self,
        keyword: Option<Keyword>,
        before_stages: bool,
    ) -> Result<Option<Pragma>, Diagnostic> {
        match (self.above.take(), keyword) {
            (pragma, Some(Keyword::Run | Keyword::From)) => Ok(pragma),
            (Some(pragma), Some(Keyword::Arg)) if before_stages => set(&mut self.file, pragma).map(|()| None),
            (Some(pragma), Some(_)) => {
                self.without_effect(pragma);
                Ok(None)
            }
            (_, None) | (None, _) => Ok(None),
        }
    }

    fn without_effect(&mut self, pragma: Pragma) {
        let detail = "This comment has no effect here: put it directly above a RUN or a FROM, or at the top of the \
                      file followed by a blank line";
        self.idle.push(Warning { rule: &KILN_PRAGMA_WITHOUT_EFFECT, detail: detail.to_owned(), span: pragma.span });
    }
}

fn set(place: &mut Option<Pragma>, pragma: Pragma) -> Result<(), Diagnostic> {
    if place.is_some() {
        let message = "the executor is chosen twice";
        return Err(Diagnostic::error("duplicate-pragma", pragma.span, message).hint("keep one of them"));
    }
    *place = Some(pragma);
    Ok(())
}
