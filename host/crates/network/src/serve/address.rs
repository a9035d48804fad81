//! Who has which address, and where packets to an address go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// The container's address.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
/// The container's way out; it answers pings and nothing else.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Where the host's resolvers answer.
pub const NAMESERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
pub(super) const PREFIX: u8 = 24;

/// The container's address of IPv6, where the host has a way out for it.
pub(crate) const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd6b, 0x696c, 0x6e00, 0, 0, 0, 0, 0x100);
pub(super) const PREFIX_V6: u8 = 64;

/// The metadata service of a cloud that has an address of its own for IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Where a packet of the container goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// To that address, by a socket of the host.
    Outside(SocketAddr),
    /// To the host's resolvers.
    Resolver,
    /// To this stack itself, which has no services.
    Gateway,
    /// Nowhere, and the container is told.
    Forbidden,
    /// Nowhere, and nobody is told: it is no address of one host.
    Nobody,
}

/// Where packets to `to` go.
///
/// What goes out comes from the host itself for everybody else, so whatever trusts the host for that alone is out of
/// reach: its loopback, and link-local addresses, where clouds hand out credentials.
pub(super) fn destination(to: SocketAddr) -> Destination {
    let forbidden = match to.ip() {
        IpAddr::V4(ip) if ip.is_multicast() || ip.is_broadcast() => return Destination::Nobody,
        IpAddr::V6(ip) if ip.is_multicast() => return Destination::Nobody,
        IpAddr::V4(NAMESERVER) if to.port() == 53 => return Destination::Resolver,
        IpAddr::V4(GATEWAY | NAMESERVER) => return Destination::Gateway,
        IpAddr::V4(ip) => {
            let first = ip.octets()[0];
            ip == ADDRESS || first == 0 || ip.is_loopback() || ip.is_link_local() || first >= 240
        }
        IpAddr::V6(ip) => {
            let embedded = ip.to_ipv4().is_some();
            ip.segments()[..4] == ADDRESS_V6.segments()[..4]
                || embedded
                || ip.is_unicast_link_local()
                || ip == METADATA_V6
        }
    };
    if forbidden { Destination::Forbidden } else { Destination::Outside(to) }
}

/// Whether the host has a route for IPv6. Nothing is sent.
pub(super) fn reaches_ipv6() -> bool {
    let anywhere = SocketAddr::new(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1).into(), 53);
    socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .is_ok_and(|socket| connect(&socket, &anywhere).is_ok())
}

/// The family of sockets that reach `address`.
pub(super) fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_trusts_the_host_is_out_of_reach() {
        for (address, expected) in [
            ("93.184.216.34:80", None),
            ("10.0.2.15:80", None),
            ("192.168.1.1:53", None),
            ("[2606:2800::1]:443", None),
            ("[fd00::1]:443", None),
            ("10.0.2.3:53", Some(Destination::Resolver)),
            ("10.0.2.3:80", Some(Destination::Gateway)),
            ("10.0.2.2:22", Some(Destination::Gateway)),
            ("10.0.2.100:22", Some(Destination::Forbidden)),
            ("127.0.0.1:22", Some(Destination::Forbidden)),
            ("127.8.8.8:22", Some(Destination::Forbidden)),
            ("0.0.0.0:22", Some(Destination::Forbidden)),
            ("0.1.2.3:22", Some(Destination::Forbidden)),
            ("169.254.169.254:80", Some(Destination::Forbidden)),
            ("240.0.0.1:80", Some(Destination::Forbidden)),
            ("[::]:22", Some(Destination::Forbidden)),
            ("[::1]:22", Some(Destination::Forbidden)),
            ("[::127.0.0.1]:22", Some(Destination::Forbidden)),
            ("[::ffff:127.0.0.1]:22", Some(Destination::Forbidden)),
            ("[::ffff:8.8.8.8]:22", Some(Destination::Forbidden)),
            ("[fe80::1]:22", Some(Destination::Forbidden)),
            ("[fd00:ec2::254]:80", Some(Destination::Forbidden)),
            ("[fd6b:696c:6e00::1]:80", Some(Destination::Forbidden)),
            ("255.255.255.255:67", Some(Destination::Nobody)),
            ("224.0.0.251:5353", Some(Destination::Nobody)),
            ("[ff02::fb]:5353", Some(Destination::Nobody)),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(destination(address), expected.unwrap_or(Destination::Outside(address)), "{address}");
        }
    }
}
