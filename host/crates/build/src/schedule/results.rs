//! What each stage ended with, for the stages that need it.

use std::sync::{Arc, OnceLock};

use crate::state::State;

/// One for each stage: those who wait for one are not woken by the others.
pub(super) struct Results(Vec<OnceLock<Outcome>>);

type Outcome = Option<Arc<State>>;

impl Results {
    pub(super) fn new(stages: usize) -> Self {
        Self((0..stages).map(|_| OnceLock::new()).collect())
    }

    pub(super) fn finish(&self, stage: usize, state: State) {
        self.set(stage, Some(Arc::new(state)));
    }

    pub(super) fn abandon(&self, stage: usize) {
        self.set(stage, None);
    }

    /// Waits for a stage; `None` when it will never be finished.
    pub(super) fn wait(&self, stage: usize) -> Outcome {
        self.0[stage].wait().clone()
    }

    /// What a stage ended with stays.
    fn set(&self, stage: usize, outcome: Outcome) {
        let _ = self.0[stage].set(outcome);
    }
}
