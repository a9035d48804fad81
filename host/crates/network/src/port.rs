//! Which port of the host leads to which port of the container.

use std::fmt;
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Where the host listens. `None`: on all its addresses, of IPv4 and, where the host has it, of IPv6.
    pub address: Option<IpAddr>,
    /// The host's port; 0 is any free one.
    pub port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}

/// Where the host listens for one port of the container. A port that is published on all addresses has two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub address: IpAddr,
    pub port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}
