//! Namespaces for tests: the caller of this crate makes its own.

use std::io;
use std::net::IpAddr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::interface::{INET6, add_address, add_default_route, set_up as switch_on};

/// Loopback is the first interface of every namespace.
const LOOPBACK: u32 = 1;

/// Switches on loopback in the calling thread's namespace; with other addresses it stands for a host.
pub(crate) fn set_up(addresses: &[IpAddr]) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    switch_on(&socket, LOOPBACK, None)?;
    for address in addresses {
        add_address(&socket, LOOPBACK, *address, if address.is_ipv4() { 32 } else { 128 })?;
        if address.is_ipv6() {
            add_default_route(&socket, LOOPBACK, INET6, None)?;
        }
    }
    Ok(())
}
