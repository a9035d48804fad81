//! Ctrl-C and friends: the first asks for an orderly end, the second ends at once.

use kiln_exec::Cancel;

#[cfg(unix)]
pub(super) fn cancel_on_interrupt() -> anyhow::Result<Cancel> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;

    use crate::report::failure::CANCELLED;

    let cancelled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in the order of registration: the first signal finds the flag still false.
        flag::register_conditional_shutdown(signal, CANCELLED.into(), Arc::clone(&cancelled))?;
        flag::register(signal, Arc::clone(&cancelled))?;
    }
    Ok(Cancel::from_flag(cancelled))
}

/// The system ends the process; the store recovers from that.
#[cfg(not(unix))]
pub(super) fn cancel_on_interrupt() -> anyhow::Result<Cancel> {
    Ok(Cancel::new())
}
