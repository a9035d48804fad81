//! `store.max-size`: obeyed by every command that puts something into the store, when it is done.

use kiln_store::{Limited, Store};

use crate::report::problem::Problem;
use crate::report::size;
use crate::session::Session;

/// Whatever comes of it, the command has done what it was asked for.
pub(super) fn obey(store: &Store, session: &Session) -> anyhow::Result<()> {
    let Some(limit) = session.config()?.store.max_size else { return Ok(()) };
    let message = match store.keep_below(limit) {
        Ok(Limited::Below | Limited::Collected(_)) => return Ok(()),
        Ok(Limited::Busy) => {
            "the store is larger than store.max-size, and another kiln is at work: the last to end makes it smaller"
                .to_owned()
        }
        Ok(Limited::TooMuch { bytes, .. }) => format!(
            "the store takes {}, more than store.max-size ({}), for images alone that have a name, are running or were \
             just built: remove some of them, or raise it",
            size::exact(bytes),
            size::exact(limit)
        ),
        Err(error) => format!("store.max-size is not obeyed: {error}"),
    };
    Problem::warning(message).show();
    Ok(())
}
