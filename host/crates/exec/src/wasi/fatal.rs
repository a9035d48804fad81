//! What makes the whole step fail: a limit that it exceeded, or a host that could not do its part.
//!
//! A program that saw that the host's disk is full could go on and leave another result. So none ever does: its process
//! ends before the call returns.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::errno::Errno;
use super::limits::Limit;
use crate::Error;

/// The first cause, once there is one.
#[derive(Default)]
pub(crate) struct Fatal {
    is_set: AtomicBool,
    cause: Mutex<Option<Error>>,
}

impl Fatal {
    pub(crate) fn set(&self, error: Error) {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.is_set.store(true, Ordering::SeqCst);
    }

    /// A limit that the user has set.
    pub(crate) fn exceeded(&self, limit: Limit) -> Errno {
        self.set(Error::Limit { limit: limit.to_string(), raise: Some(limit.doubled()) });
        Errno::NoSpace
    }

    /// A limit that cannot be changed.
    pub(crate) fn limit(&self, limit: String) -> Errno {
        self.set(Error::Limit { limit, raise: None });
        Errno::NoSpace
    }

    pub(crate) fn host(&self, action: &str, source: io::Error) -> Errno {
        self.set(Error::System { action: action.to_owned(), source });
        Errno::Io
    }

    /// The layers below cannot be read.
    pub(crate) fn image(&self, error: kiln_image::Error) -> Errno {
        self.set(error.into());
        Errno::Io
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    pub(crate) fn take(&self) -> Option<Error> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
