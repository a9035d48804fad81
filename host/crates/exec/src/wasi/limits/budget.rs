//! Counting what is in use of a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Limit;

/// A limit and how much of it is in use.
pub(crate) struct Budget {
    pub(crate) limit: Limit,
    amount: u64,
    used: AtomicU64,
}

impl Budget {
    pub(crate) const fn new(limit: Limit) -> Self {
        let amount = match limit {
            Limit::Memory(amount)
            | Limit::Fuel(Some(amount))
            | Limit::Output(amount)
            | Limit::FileBytes(amount)
            | Limit::Files(amount)
            | Limit::Processes(amount) => amount,
            Limit::Fuel(None) | Limit::Time(_) => u64::MAX,
        };
        Self { limit, amount, used: AtomicU64::new(0) }
    }

    /// Takes `amount` unless that would exceed the limit.
    pub(crate) fn take(&self, amount: u64) -> bool {
        let within = |used: u64| used.checked_add(amount).filter(|&sum| sum <= self.amount);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    pub(crate) fn give_back(&self, amount: u64) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }

    pub(crate) fn left(&self) -> u64 {
        self.amount.saturating_sub(self.used.load(Ordering::Relaxed))
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
