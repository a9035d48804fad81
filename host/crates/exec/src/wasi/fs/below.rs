//! What is below a volume: layers, as the step sees them, or files of this host.
//!
//! Step keys leave times out, so a step must not be able to tell one time of a lower file from another: in layers every
//! time is that of the step's wall clock, if that stands still.

use std::sync::Arc;

use kiln_image::{Found, Result, View};

use super::host::HostTree;
use crate::Clock;

pub(super) enum Below {
    Layers { view: View, clock: Clock },
    Host(Arc<HostTree>),
}

impl Below {
    pub(super) fn new(view: View, clock: Clock) -> Self {
        Self::Layers { view, clock }
    }

    pub(super) fn lookup(&self, path: &[u8]) -> Result<Option<Found>> {
        match self {
            Self::Layers { view, clock } => Ok(view.lookup(path)?.map(|found| seen(found, *clock))),
            Self::Host(tree) => tree.lookup(path),
        }
    }

    pub(super) fn read_dir(&self, path: &[u8]) -> Result<Vec<Found>> {
        match self {
            Self::Layers { view, clock } => {
                Ok(view.read_dir(path)?.into_iter().map(|found| seen(found, *clock)).collect())
            }
            Self::Host(tree) => tree.read_dir(path),
        }
    }
}

fn seen(mut found: Found, clock: Clock) -> Found {
    if let Clock::Still(seconds) = clock {
        found.meta.mtime = seconds;
    }
    found
}
