//! Why a container has no network, or a port is not published.

use std::io;
use std::net::IpAddr;

use crate::Protocol;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This host has no way out for a private network; what needs none works all the same.
    #[error("a private network has no way out here: {reason}; {remedy}")]
    Unavailable { reason: String, remedy: String },
    #[error(
        "cannot listen on {}: the port is in use; stop what uses it, or publish another port",
        endpoint(*.address, *.port, *.protocol)
    )]
    PortInUse { address: IpAddr, port: u16, protocol: Protocol },
    #[error(
        "cannot listen on {}: ports below {first} are reserved for root; publish a higher port, or allow it with \
         `sysctl net.ipv4.ip_unprivileged_port_start={port}`",
        endpoint(*.address, *.port, *.protocol)
    )]
    PortReserved { address: IpAddr, port: u16, protocol: Protocol, first: u16 },
    #[error("cannot listen on {address}: no interface of this host has that address")]
    NoSuchAddress { address: IpAddr },
    #[error("cannot listen on {}", endpoint(*.address, *.port, *.protocol))]
    Listen { address: IpAddr, port: u16, protocol: Protocol, source: io::Error },
    /// `action` says what was tried, such as "enter the container's network".
    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
}

fn endpoint(address: IpAddr, port: u16, protocol: Protocol) -> String {
    format!("{}/{protocol}", std::net::SocketAddr::new(address, port))
}
