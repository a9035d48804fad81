//! A request to stop, shared by whoever may make it and whatever must obey it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Once cancelled, stays cancelled. Executors look at least every 100 ms and then kill what they run.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn new() -> Self {
        Self::default()
    }

    /// A request that another owner of `flag` makes, for instance a signal handler.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
