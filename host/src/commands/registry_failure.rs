//! What registries refuse, told to who asked for it.

use kiln_registry::{Doing, Error};
use kiln_types::Reference;

use crate::report::failure::Failure;

/// A failed transfer of `name`.
pub(crate) fn explain(error: Error, doing: Doing, name: &Reference) -> anyhow::Error {
    match error.refusal(doing, name) {
        None => error.into(),
        Some(refusal) => {
            let failure = Failure::new(refusal.message).hint(refusal.hint);
            if refusal.is_all { failure.into() } else { failure.because(error).into() }
        }
    }
}
