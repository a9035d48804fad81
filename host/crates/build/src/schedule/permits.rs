//! How many steps may work at once.
//!
//! What computes in this process (COPY, ADD, RUN as WASI, writing layers) shares the processors. A native RUN only waits
//! for its processes, which the system shares the processors among: those are bounded by their number, and it is for
//! files with absurdly many stages.

use std::sync::{Condvar, Mutex};

pub(super) struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

/// Given back when dropped.
pub(super) struct Permit<'a>(&'a Permits);

/// Native RUN steps at once, whatever the machine: they may sleep, download, or compile on all processors.
const PROCESSES: usize = 64;

impl Permits {
    pub(super) fn one_per_processor() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    pub(super) fn for_processes() -> Self {
        Self::new(PROCESSES)
    }

    fn new(count: usize) -> Self {
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
