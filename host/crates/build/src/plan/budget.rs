//! What a plan may hold: values can double from line to line, and every stage and step has variables of its own.

use std::cell::Cell;

use kiln_dockerfile::{Diagnostic, Span};
use kiln_image::MAX_DOCUMENT;

use super::Op;

/// No Dockerfile that people write comes near.
const MOST_BYTES: usize = 256 << 20;
/// What a text costs beside its bytes.
const OVERHEAD: usize = 64;

#[derive(Default)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    /// Nothing more can be planned.
    pub(super) fn is_spent(&self) -> bool {
        self.0.get() > MOST_BYTES
    }

    /// Takes what `texts` need, or says that the plan is too large at `span`.
    pub(super) fn spend<'t>(&self, texts: impl IntoIterator<Item = &'t String>, span: Span) -> Result<(), Diagnostic> {
        let bytes: usize = texts.into_iter().map(|text| text.len() + OVERHEAD).sum();
        let spent = self.0.get().saturating_add(bytes);
        self.0.set(spent);
        if spent <= MOST_BYTES {
            return Ok(());
        }
        let message = "variables and commands come to more than 256 MiB when they are expanded";
        Err(Diagnostic::error("plan-too-large", span, message).hint("look for values that grow from line to line"))
    }
}

/// What the history of a stage's image comes to at least, in bytes. Each step makes an image whose id is a digest of all
/// steps before it, so a file with too many has to be refused before the first of them.
#[derive(Clone, Copy, Default)]
pub(super) struct HistorySize(usize);

impl HistorySize {
    /// `{"created":"1970-01-01T00:00:00Z","created_by":""},`
    const LEAST: usize = 50;
    /// `ADD dir:<64 hex digits> in / `
    const LEAST_OF_COPY: usize = 78;

    /// What comes after the first problem of this kind is not told.
    pub(super) fn is_too_long(self) -> bool {
        self.0 as u64 > MAX_DOCUMENT
    }

    pub(super) fn grow(&mut self, op: &Op, span: Span) -> Result<(), Diagnostic> {
        let text = match op {
            Op::Metadata { comment, .. } | Op::Workdir { comment, .. } => comment.len(),
            Op::Copy(_) => Self::LEAST_OF_COPY,
            Op::Run(run) => run.command.len(),
        };
        self.0 = self.0.saturating_add(Self::LEAST).saturating_add(text);
        if !self.is_too_long() {
            return Ok(());
        }
        let message = "the history of this image comes to more than 4 MiB, and no tool reads an image with more";
        Err(Diagnostic::error("history-too-long", span, message)
            .hint("make several instructions one: LABEL a=1 b=2, or RUN with a heredoc"))
    }
}
