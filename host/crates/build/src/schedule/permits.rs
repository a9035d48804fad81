//! How many steps may work at once.

use std::sync::{Condvar, Mutex};

pub(super) struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

/// Given back when dropped.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn one_per_processor() -> Self {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { free: Mutex::new(count), returned: Condvar::new() }
    }

    pub(super) fn take(&self) -> Permit<'_> {
        let free = self.free.lock().expect("no thread panics holding it");
        let mut free = self.returned.wait_while(free, |free| *free == 0).expect("no thread panics holding it");
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().expect("no thread panics holding it") += 1;
        self.0.returned.notify_one();
    }
}
