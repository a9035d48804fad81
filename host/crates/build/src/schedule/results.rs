//! What each stage ended with, for the stages that need it.

use std::sync::{Arc, Condvar, Mutex};

use crate::state::State;

pub(super) struct Results {
    stages: Mutex<Vec<Outcome>>,
    changed: Condvar,
}

#[derive(Clone)]
enum Outcome {
    Pending,
    Finished(Arc<State>),
    Abandoned,
}

impl Results {
    pub(super) fn new(stages: usize) -> Self {
        Self { stages: Mutex::new(vec![Outcome::Pending; stages]), changed: Condvar::new() }
    }

    pub(super) fn finish(&self, stage: usize, state: State) {
        self.set(stage, Outcome::Finished(Arc::new(state)));
    }

    pub(super) fn abandon(&self, stage: usize) {
        self.set(stage, Outcome::Abandoned);
    }

    /// Waits for a stage; `None` when it will never be finished.
    pub(super) fn wait(&self, stage: usize) -> Option<Arc<State>> {
        let stages = self.stages.lock().expect("no thread panics holding it");
        let pending = |stages: &mut Vec<Outcome>| matches!(stages[stage], Outcome::Pending);
        let stages = self.changed.wait_while(stages, pending).expect("no thread panics holding it");
        match &stages[stage] {
            Outcome::Finished(state) => Some(Arc::clone(state)),
            Outcome::Pending | Outcome::Abandoned => None,
        }
    }

    fn set(&self, stage: usize, outcome: Outcome) {
        self.stages.lock().expect("no thread panics holding it")[stage] = outcome;
        self.changed.notify_all();
    }
}
