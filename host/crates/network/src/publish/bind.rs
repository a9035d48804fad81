//! The host's side of a published port: sockets that listen.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::{Errno, Result as Outcome};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind as bind_socket, getsockname, listen, socket_with, sockopt,
};

use crate::{Bound, Error, Port, Protocol, Result};

/// How often a free port of IPv4 is looked for that is free for IPv6, too.
const TRIES: usize = 32;

/// Connections that wait to be accepted; the kernel has a limit of its own.
const BACKLOG: i32 = 4096;

/// Listens where `port` says.
pub(super) fn bind(port: &Port) -> Result<Vec<(Bound, OwnedFd)>> {
    if let Some(address) = port.address {
        return Ok(vec![bind_one(port, address, port.port)?]);
    }
    for attempt in 1.. {
        let first = bind_one(port, Ipv4Addr::UNSPECIFIED.into(), port.port)?;
        match bind_one(port, Ipv6Addr::UNSPECIFIED.into(), first.0.port) {
            Ok(second) => return Ok(vec![first, second]),
            // A host without IPv6.
            Err(Error::NoSuchAddress { .. }) => return Ok(vec![first]),
            Err(Error::PortInUse { .. }) if port.port == 0 && attempt < TRIES => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("the last attempt returns")
}

fn bind_one(port: &Port, address: IpAddr, number: u16) -> Result<(Bound, OwnedFd)> {
    let (socket, number) = listening(SocketAddr::new(address, number), port.protocol)
        .map_err(|errno| error(errno, address, number, port))?;
    let bound = Bound { address, port: number, container_port: port.container_port, protocol: port.protocol };
    Ok((bound, socket))
}

fn listening(at: SocketAddr, protocol: Protocol) -> Outcome<(OwnedFd, u16)> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of before that are not quite forgotten do not make the port one in use.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind_socket(&socket, &at)?;
    if protocol == Protocol::Tcp {
        listen(&socket, BACKLOG)?;
    }
    let at = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((socket, at.port()))
}

fn error(errno: Errno, address: IpAddr, number: u16, port: &Port) -> Error {
    let protocol = port.protocol;
    match errno {
        Errno::ADDRINUSE => Error::PortInUse { address, port: number, protocol },
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Error::NoSuchAddress { address },
        Errno::ACCESS if number != 0 => {
            Error::PortReserved { address, port: number, protocol, first: first_unprivileged() }
        }
        _ => Error::Listen { address, port: number, protocol, source: errno.into() },
    }
}

fn first_unprivileged() -> u16 {
    let setting = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    setting.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn port(address: Option<&str>, port: u16, protocol: Protocol) -> Port {
        let address = address.map(|address| address.parse().expect("an address"));
        Port { address, port, container_port: 80, protocol }
    }

    #[test]
    fn all_addresses_share_one_free_port() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let bound = bind(&port(None, 0, protocol)).expect("there are free ports");
            assert_ne!(bound[0].0.port, 0);
            assert!(bound.iter().all(|(at, _)| at.port == bound[0].0.port && at.container_port == 80));
            assert_eq!(bound[0].0.address, Ipv4Addr::UNSPECIFIED);
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let number = taken.local_addr().expect("it is bound").port();
        for address in [Some("127.0.0.1"), None] {
            let error = bind(&port(address, number, Protocol::Tcp)).expect_err("the port is taken");
            let address = address.unwrap_or("0.0.0.0");
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("cannot listen on {address}:{number}/tcp: the port is in use;")),
                "{text}"
            );
        }
        bind(&port(Some("127.0.0.1"), number, Protocol::Udp)).expect("udp has ports of its own");
    }

    #[test]
    fn an_address_of_others_is_refused() {
        let error = bind(&port(Some("203.0.113.9"), 0, Protocol::Tcp)).expect_err("nobody has that address");
        assert!(matches!(error, Error::NoSuchAddress { .. }), "{error}");
    }
}
