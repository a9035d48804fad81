//! Published ports.

use std::os::fd::BorrowedFd;

use crate::{Bound, Error, Port, Result};

/// Ports that are published until this is dropped; then their connections end, too.
#[derive(Debug)]
pub struct Published {
    bound: Vec<Bound>,
}

impl Published {
    /// Where the host listens, in the order of the ports that were asked for.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }
}

/// Listens on the host; each connection is connected to the container's port inside the network namespace `namespace`.
///
/// A service is reached at the container's address ([`crate::ADDRESS`]) where the namespace is served, else at
/// 127.0.0.1. The namespace may be without processes still. All ports are bound when this returns, or none.
///
/// # Errors
/// A port that is in use or reserved, an address that the host does not have.
pub fn publish(namespace: BorrowedFd<'_>, ports: &[Port]) -> Result<Published> {
    let _ = (namespace, ports);
    Err(Error::System { action: "publish ports", source: std::io::ErrorKind::Unsupported.into() })
}
