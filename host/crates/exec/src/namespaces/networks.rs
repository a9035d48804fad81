//! Network namespaces for steps without a network: each step has its own, which was made while something else was done.

use std::sync::{Arc, Mutex, PoisonError};

use kiln_sys::sandbox::{self, NetworkInTheMaking, NetworkNamespace};

use crate::Network;

/// The one for the next step.
#[derive(Debug, Default)]
pub(super) struct Networks(Mutex<Option<NetworkInTheMaking>>);

impl Networks {
    /// Begins to make one, unless one is waiting to be used.
    pub(super) fn begin(&self, network: Network) {
        if matches!(network, Network::None | Network::Private) {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if next.is_none() {
                *next = NetworkNamespace::begin().ok();
            }
        }
    }

    pub(super) fn take(&self, network: Network) -> sandbox::Network {
        if network == Network::Host {
            return sandbox::Network::Host;
        }
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Where none could be made, the sandbox says why.
        next.and_then(|next| next.wait().ok())
            .map_or(sandbox::Network::None, |made| sandbox::Network::Made(Arc::new(made)))
    }
}
