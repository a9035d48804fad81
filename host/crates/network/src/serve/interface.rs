//! Configuring the interface, by netlink, from inside the namespace.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use super::address::{ADDRESS, ADDRESS_V6, GATEWAY, PREFIX, PREFIX_V6};

pub(super) const NAME: &str = "eth0";

/// As large as packets of IP can be: each costs two system calls whatever its size.
pub(super) const MTU: usize = 65535;

// linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h
const ACKNOWLEDGED_REQUEST: u16 = 0x01 | 0x04;
const CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Nobody else can have the address, so it is not asked for.
const IFA_F_NODAD: u8 = 0x02;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;
const IFF_UP: u32 = 1;

const INET: u8 = 2;
pub(super) const INET6: u8 = 10;

/// What containers of other engines may do in a network of their own: ping, and listen on any port, whoever they are.
/// Where that is refused, root still can.
pub(super) fn open_to_users() {
    let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", format!("0 {}", last_group()));
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/// The last group there is in this process's user namespace.
fn last_group() -> u64 {
    let map = fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    let ends = map.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().filter_map(|word| word.parse::<u64>().ok());
        Some(numbers.next()? + numbers.nth(1)?.saturating_sub(1))
    });
    // The setting has no room for more.
    ends.max().unwrap_or(0).min(i32::MAX.unsigned_abs().into())
}

/// Gives the interface of the calling thread's namespace its addresses and routes, and switches it on.
pub(super) fn configure(ipv6: bool) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let index = name_to_index(&any, NAME)?;
    set_up(&socket, index, Some(MTU))?;
    add_address(&socket, index, ADDRESS.into(), PREFIX)?;
    add_default_route(&socket, index, INET, Some(GATEWAY.into()))?;
    // A kernel may have IPv6 switched off for new namespaces.
    if ipv6 && add_address(&socket, index, ADDRESS_V6.into(), PREFIX_V6).is_ok() {
        add_default_route(&socket, index, INET6, None)?;
    }
    Ok(())
}

pub(super) fn set_up(socket: &OwnedFd, index: u32, mtu: Option<usize>) -> io::Result<()> {
    let mut message = Message::new(RTM_NEWLINK, 0);
    message.bytes(&[0; 4]).bytes(&index.to_ne_bytes()).bytes(&IFF_UP.to_ne_bytes()).bytes(&IFF_UP.to_ne_bytes());
    if let Some(mtu) = mtu.and_then(|mtu| u32::try_from(mtu).ok()) {
        message.attribute(IFLA_MTU, &mtu.to_ne_bytes());
    }
    message.send(socket)
}

pub(super) fn add_address(socket: &OwnedFd, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
    let (family, flags) = if address.is_ipv4() { (INET, 0) } else { (INET6, IFA_F_NODAD) };
    let mut message = Message::new(RTM_NEWADDR, CREATE);
    message.bytes(&[family, prefix, flags, 0]).bytes(&index.to_ne_bytes());
    message.attribute(IFA_LOCAL, &octets(address)).attribute(IFA_ADDRESS, &octets(address));
    message.send(socket)
}

pub(super) fn add_default_route(socket: &OwnedFd, index: u32, family: u8, gateway: Option<IpAddr>) -> io::Result<()> {
    let mut message = Message::new(RTM_NEWROUTE, CREATE);
    message.bytes(&[family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0, 0, 0, 0]);
    message.attribute(RTA_OIF, &index.to_ne_bytes());
    if let Some(gateway) = gateway {
        message.attribute(RTA_GATEWAY, &octets(gateway));
    }
    message.send(socket)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A request to the kernel.
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new(kind: u16, flags: u16) -> Self {
        let mut message = Self(Vec::new());
        // The length is known at the end; sequence number and sender do not matter to whoever asks one thing at a time.
        message.bytes(&[0; 4]).bytes(&kind.to_ne_bytes()).bytes(&(flags | ACKNOWLEDGED_REQUEST).to_ne_bytes());
        message.bytes(&[0; 8]);
        message
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(4 + value.len()).expect("addresses and numbers are short");
        self.bytes(&length.to_ne_bytes()).bytes(&kind.to_ne_bytes()).bytes(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn send(&mut self, socket: &OwnedFd) -> io::Result<()> {
        let length = u32::try_from(self.0.len()).expect("messages are short");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        send(socket, &self.0, SendFlags::empty())?;
        let mut answer = [0; 1024];
        let (size, _) = recv(socket, &mut answer, RecvFlags::empty())?;
        match answer.get(..size) {
            // A header of 16 bytes, then a negative errno or 0.
            Some([_, _, _, _, a, b, _, _, _, _, _, _, _, _, _, _, e0, e1, e2, e3, ..])
                if u16::from_ne_bytes([*a, *b]) == NLMSG_ERROR =>
            {
                match i32::from_ne_bytes([*e0, *e1, *e2, *e3]) {
                    0 => Ok(()),
                    error => Err(io::Error::from_raw_os_error(-error)),
                }
            }
            _ => Err(Errno::PROTO.into()),
        }
    }
}
