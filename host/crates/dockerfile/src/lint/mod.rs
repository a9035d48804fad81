//! What is doubtful about a Dockerfile: one file for each group of rules, one table of all of them.

mod options;
pub(crate) mod rules;

use crate::Span;

pub use options::{CheckOptions, CheckOptionsError};
pub use rules::{RULES, Rule, rule};

/// A rule that is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub rule: &'static Rule,
    /// One sentence without its final stop.
    pub detail: String,
    pub span: Span,
}

/// More warnings than this help nobody, and hostile input must not make them without end.
const MOST: usize = 1000;

/// The warnings found so far.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(crate) fn push(&mut self, warning: Warning) {
        if self.0.len() < MOST {
            self.0.push(warning);
        }
    }

    /// In the order of the text.
    pub(crate) fn into_sorted(mut self) -> Vec<Warning> {
        self.0.sort_by(|a, b| (a.span.start, a.rule.name, &a.detail).cmp(&(b.span.start, b.rule.name, &b.detail)));
        self.0
    }
}
