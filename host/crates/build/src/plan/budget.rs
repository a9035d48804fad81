//! What a plan may hold: values can double from line to line, and every stage and step has variables of its own.

use std::cell::Cell;

use kiln_dockerfile::{Diagnostic, Span};

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
