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

use std::process::Command;

use registry::{Options, Registry};

/// A plain registry. Without one on this machine nothing can be tested, and that is said.
#[track_caller]
fn plain() -> Option<Registry> {
    with(&Options::default())
}

#[track_caller]
fn with(options: &Options) -> Option<Registry> {
    is_possible().then(|| Registry::start(options))
}

/// Whether this machine has what the tests need; if not, that is said.
#[track_caller]
fn is_possible() -> bool {
    let without = |program: &&str| Command::new(program).arg("--version").output().is_err();
    let missing = registry::missing().or_else(|| {
        let program = ["skopeo", "podman"].into_iter().find(without)?;
        Some(format!("there is no {program}; Debian's package has the same name"))
    });
    missing.as_deref().is_none_or(|reason| {
        kiln::skip(reason);
        false
    })
}
