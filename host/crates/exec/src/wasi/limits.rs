//! What one step may use. All of it is shared by the step's processes, so that a result never depends on which of them
//! ran first: who exceeds a limit that another process could have used up fails the whole step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memories and tables of all live processes together, and what the host holds for them: arguments, pipes, listings.
pub(crate) const MEMORY: u64 = 4 << 30;
pub(crate) const MEMORY_NAME: &str = "4 GiB of memory";
/// Elements of one table; each takes a pointer.
pub(crate) const TABLE_ELEMENTS: usize = 10_000_000;
/// Bytes written to standard output and standard error.
pub(crate) const OUTPUT: u64 = 1 << 30;
/// Bytes of all files that the step has made or changed, holes counted.
pub(crate) const FILE_BYTES: u64 = 64 << 30;
/// Files, directories and links that the step has made and that still exist.
pub(crate) const FILES: u64 = 1 << 20;
/// Live processes: each is a thread, and a host that is out of threads cannot say so in time.
pub(crate) const PROCESSES: usize = 256;
/// Processes that have ended and that nobody has waited for yet.
pub(crate) const ENDED_PROCESSES: usize = 1 << 16;
/// Open descriptors of one process.
pub(crate) const DESCRIPTORS: usize = 4096;
/// The stack of a process; its thread gets some more for the host's own calls.
pub(crate) const STACK: usize = 8 << 20;
/// Bytes of all paths in a change set.
pub(crate) const PATHS: u64 = 1 << 30;
/// Arguments of one process, and its environment; what it takes to keep them is counted.
pub(crate) const ARGUMENTS: usize = 4 << 20;
/// A module's size.
pub(crate) const MODULE: u64 = 1 << 30;

/// One bounded resource and how much of it is in use.
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    /// Takes `amount` unless that would exceed the limit.
    pub(crate) fn take(&self, amount: u64) -> bool {
        let within = |used: u64| used.checked_add(amount).filter(|&sum| sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    pub(crate) fn give_back(&self, amount: u64) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// A part of a budget that is in use until this is dropped.
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    amount: u64,
}

impl Reservation {
    pub(crate) fn new(budget: &Arc<Budget>, amount: u64) -> Option<Self> {
        budget.take(amount).then(|| Self { budget: budget.clone(), amount })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.amount);
    }
}
