//! The image below a step, as the step sees it: every time is the step's wall clock.
//!
//! Step keys leave times out, so a step must not be able to tell one time of a lower file from another.

use kiln_image::{Found, Result, View};

pub(super) struct Below {
    view: View,
    /// Seconds since 1970.
    clock: i64,
}

impl Below {
    pub(super) fn new(view: View, clock: i64) -> Self {
        Self { view, clock }
    }

    pub(super) fn lookup(&self, path: &[u8]) -> Result<Option<Found>> {
        Ok(self.view.lookup(path)?.map(|found| self.seen(found)))
    }

    pub(super) fn read_dir(&self, path: &[u8]) -> Result<Vec<Found>> {
        Ok(self.view.read_dir(path)?.into_iter().map(|found| self.seen(found)).collect())
    }

    fn seen(&self, mut found: Found) -> Found {
        found.meta.mtime = self.clock;
        found
    }
}
