//! A repository by way of its mirrors: each request goes to the first that is of use, at last to the registry itself.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::session::Session;
use crate::{Error, Event, Progress, Result};

pub(crate) struct Route<'a> {
    pub(crate) stops: Vec<Stop<'a>>,
    pub(crate) progress: &'a dyn Progress,
}

pub(crate) struct Stop<'a> {
    pub(crate) session: Session<'a>,
    told: AtomicBool,
}

impl<'a> Stop<'a> {
    pub(crate) fn new(session: Session<'a>) -> Self {
        Self { session, told: AtomicBool::new(false) }
    }
}

impl<'a> Route<'a> {
    /// What the first says that has an answer.
    pub(crate) fn ask<T>(&self, ask: impl Fn(&Session<'a>) -> Result<T>) -> Result<T> {
        for stop in &self.stops {
            let endpoint = stop.session.endpoint;
            if endpoint.is_useless() {
                continue;
            }
            match ask(&stop.session) {
                Err(error) if endpoint.is_mirror && !is_ours(&error) => {
                    if is_for_good(&error) {
                        endpoint.give_up();
                    }
                    self.pass_over(stop, &error);
                }
                result => return result,
            }
        }
        unreachable!("the registry itself comes last and is never passed over")
    }

    fn pass_over(&self, stop: &Stop<'_>, error: &Error) {
        if !stop.told.swap(true, Ordering::Relaxed) {
            self.progress.event(Event::PassedOver { endpoint: &stop.session.endpoint.name, error });
        }
    }
}

/// Not the endpoint's fault: another one would not help.
fn is_ours(error: &Error) -> bool {
    use kiln_fetch::Error::{Body, Cancelled, Keep};
    matches!(error, Error::Store(_) | Error::Fetch(Body(_) | Cancelled | Keep(_)))
}

/// Nothing good will come from there soon.
fn is_for_good(error: &Error) -> bool {
    use kiln_fetch::Error::{Broken, Busy, NotSecure, Stalled, Unreachable};
    matches!(
        error,
        Error::WrongDigest { .. }
            | Error::WrongSize { .. }
            | Error::Untrusted { .. }
            | Error::NotSecure { .. }
            | Error::Fetch(Broken { .. } | Busy { .. } | NotSecure { .. } | Stalled { .. } | Unreachable { .. })
    )
}
