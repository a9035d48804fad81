//! Namespaces for tests: the caller of this crate makes its own.

use std::io;
use std::net::IpAddr;

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::interface::{INET6, Message, NAME, add_address, add_default_route, set_up as switch_on};

const RTM_DELLINK: u16 = 17;

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

/// Removes the way out, as root of a container may.
pub(crate) fn remove_way_out() -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let index = name_to_index(&any, NAME)?;
    Message::new(RTM_DELLINK, 0).bytes(&[0; 4]).bytes(&index.to_ne_bytes()).bytes(&[0; 8]).send(&socket)
}
