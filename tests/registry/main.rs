//! What users do with registries, with the real program against a real registry (Debian's `docker-registry`) and beside
//! the programs that others use (skopeo, podman). No test uses the internet.
//!
//! Faults that a real registry cannot be made to show are tested in `host/crates/registry`.
#![cfg(unix)]

mod build;
mod certificates;
mod faults;
mod harness;
mod http_proxy;
#[path = "../support/kiln.rs"]
#[allow(dead_code, unused_macros, reason = "suites that build use more of it")]
mod kiln;
mod layout;
mod login;
mod memory;
mod mirrors;
mod platforms;
#[path = "../support/registry.rs"]
mod registry;
mod tls;
mod token_server;
mod transfer;
mod user;
mod wire;

use registry::{Options, Registry};

/// A plain registry. Without one on this machine nothing can be tested, and that is said.
#[track_caller]
fn plain() -> Option<Registry> {
    with(&Options::default())
}

#[track_caller]
fn with(options: &Options) -> Option<Registry> {
    match registry::missing() {
        None => Some(Registry::start(options)),
        Some(reason) => {
            kiln::skip(&reason);
            None
        }
    }
}
