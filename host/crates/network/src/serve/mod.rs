//! The way out of a network namespace.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use crate::{Error, Result};

/// The container's address, in 10.0.2.0/24.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
/// The container's way out; it answers pings and nothing else.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Where the host's resolvers answer.
pub const NAMESERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

#[derive(Debug, Clone)]
pub struct Settings {
    /// The host's resolvers; read again whenever it changes.
    pub resolv_conf: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into() }
    }
}

impl Settings {
    /// What belongs in /etc/resolv.conf of a container whose namespace is served: the host's search domains and options,
    /// and [`NAMESERVER`].
    pub fn container_resolv_conf(&self) -> String {
        format!("nameserver {NAMESERVER}\n")
    }
}

/// A network namespace that is served until this is dropped.
#[derive(Debug)]
pub struct Network {}

/// Gives the network namespace `namespace` a way out: an interface eth0 with the address [`ADDRESS`], whose packets are
/// served by a thread of this process through ordinary sockets.
///
/// # Errors
/// [`Error::Unavailable`] where the host has no /dev/net/tun for this user.
pub fn serve(namespace: BorrowedFd<'_>, settings: &Settings) -> Result<Network> {
    let _ = (namespace, settings);
    Err(Error::Unavailable { reason: "it is not there yet".into(), remedy: "use --network host".into() })
}
