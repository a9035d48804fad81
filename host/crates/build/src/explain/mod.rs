//! Why a step was done: the nearest record of an earlier build, and what differs from it.
//!
//! A record keeps the components of its key, so comparing two keys is comparing two lists. Which files of a COPY differ
//! is read from the index of the layer that the earlier one made: nothing is kept for explanations alone, and without
//! `--explain` nothing of this happens.

mod differences;
mod files;
mod nearest;
mod words;

use kiln_types::Digest;

pub use files::FileChange;
pub(crate) use files::Listed;
pub(crate) use nearest::Known;

/// What there is to say of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Of a RUN.
    pub executor: Option<ChosenExecutor>,
    pub outcome: Outcome,
}

/// Which executor runs a step, and the rule of the documentation that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenExecutor {
    pub name: &'static str,
    pub rule: u8,
    pub because: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Hit,
    /// `--no-cache`.
    NotWanted,
    /// Nothing like it was ever built.
    New,
    /// It was built before, but its layer is gone.
    Lost,
    /// The nearest record is another one: never empty.
    Differs(Vec<Difference>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The files that the step stands on.
    Below(Below),
    /// Another component of the key, in words.
    Component { name: String, text: String },
    /// The files that a COPY or ADD takes.
    Files(FileChanges),
}

/// Why a step stands on other files than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Below {
    /// This is the first step that was done again, and the files after it are others; without a number it is a trigger of the base image.
    Step {
        number: Option<usize>,
    },
    /// It followed a step that no longer comes directly before it.
    Moved {
        after: String,
    },
    Base,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChanges {
    /// The first of them, and how many there are.
    Listed { changes: Vec<FileChange>, total: usize },
    /// What it took before is no longer there, or only what is in an archive could say more.
    Unknown,
}

/// What was found out about a step that is to be done.
pub(crate) struct Miss {
    pub(crate) outcome: Outcome,
    /// The content of the layer that the nearest record has, if there is a record and it has one.
    pub(crate) earlier: Option<Option<Digest>>,
    /// That record stood on other files.
    pub(crate) moved: bool,
}

impl Miss {
    /// Whether steps that follow stand on other files than before, now that the step made a layer of that content.
    pub(crate) fn disturbs(&self, content: Option<Digest>) -> bool {
        self.moved || self.earlier.unwrap_or_default() != content
    }
}
