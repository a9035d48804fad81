//! Packets of IP: what of one matters here, and those that this stack makes itself.

use std::net::{IpAddr, SocketAddr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, IpProtocol, IpRepr, IpVersion, Ipv4Packet, Ipv6Packet,
    UdpPacket, UdpRepr,
};

use super::interface::MTU;
use super::link::Link;

const HOPS: u8 = 64;
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;
/// How much of a packet goes back with the reason why it went nowhere.
const MOST_RETURNED: usize = 512;

/// A packet whose lengths are right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) whole: &'a [u8],
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    pub(super) protocol: IpProtocol,
    pub(super) payload: &'a [u8],
}

/// The two ends of a connection or flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) container: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// Takes a packet apart. Fragments are none: with the largest packets there are, there is no need for them.
pub(super) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    // The version is in the first byte, which `of_packet` takes for granted.
    bytes.first()?;
    match IpVersion::of_packet(bytes).ok()? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(bytes).ok()?;
            if packet.more_frags() || packet.frag_offset() != 0 {
                return None;
            }
            Some(Packet {
                whole: &bytes[..packet.total_len().into()],
                from: packet.src_addr().into(),
                to: packet.dst_addr().into(),
                protocol: packet.next_header(),
                payload: packet.payload(),
            })
        }
        IpVersion::Ipv6 => {
            let packet = Ipv6Packet::new_checked(bytes).ok()?;
            Some(Packet {
                whole: &bytes[..packet.total_len()],
                from: packet.src_addr().into(),
                to: packet.dst_addr().into(),
                protocol: packet.next_header(),
                payload: packet.payload(),
            })
        }
    }
}

/// Why a packet went nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    Network,
    Host,
    Port,
    Prohibited,
}

impl Unreachable {
    /// The code of ICMP, RFC 792 and RFC 1812.
    fn code(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Port => 3,
            Self::Prohibited => 13,
        }
    }

    /// The code of ICMPv6, RFC 4443.
    fn code_v6(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Prohibited => 1,
            Self::Host => 3,
            Self::Port => 4,
        }
    }
}

fn send(
    link: &mut Link,
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    size: usize,
    fill: impl FnOnce(&mut [u8], &ChecksumCapabilities),
) {
    let ip = IpRepr::new(from.into(), to.into(), protocol, size, HOPS);
    // Datagrams of IPv6 may be larger than any packet here: they are lost, as on any way that is too narrow.
    if ip.buffer_len() <= MTU {
        link.send(ip.buffer_len(), |bytes| write(&ip, bytes, fill));
    }
}

fn write(ip: &IpRepr, bytes: &mut [u8], fill: impl FnOnce(&mut [u8], &ChecksumCapabilities)) {
    let sums = ChecksumCapabilities::default();
    ip.emit(&mut *bytes, &sums);
    fill(&mut bytes[ip.header_len()..], &sums);
}

/// A datagram to the container.
pub(super) fn send_datagram(link: &mut Link, ends: &Ends, data: &[u8]) {
    let (from, to) = (ends.remote, ends.container);
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    send(link, from.ip(), to.ip(), IpProtocol::Udp, UDP_HEADER + data.len(), |bytes, _| {
        let mut packet = UdpPacket::new_unchecked(bytes);
        let mut sums = ChecksumCapabilities::default();
        sums.udp = smoltcp::phy::Checksum::None;
        let fill = |payload: &mut [u8]| payload.copy_from_slice(data);
        udp.emit(&mut packet, &from.ip().into(), &to.ip().into(), data.len(), fill, &sums);
    });
}

/// Tells the container that `packet`, which it sent, went nowhere.
pub(super) fn send_unreachable(link: &mut Link, packet: &Packet<'_>, why: Unreachable) {
    let returned = &packet.whole[..packet.whole.len().min(MOST_RETURNED)];
    let size = ICMP_HEADER + returned.len();
    match (packet.from, packet.to) {
        (IpAddr::V4(_), _) => send(link, packet.to, packet.from, IpProtocol::Icmp, size, |bytes, _| {
            let mut icmp = Icmpv4Packet::new_unchecked(bytes);
            icmp.set_msg_type(Icmpv4Message::DstUnreachable);
            icmp.set_msg_code(why.code());
            icmp.data_mut().copy_from_slice(returned);
            icmp.fill_checksum();
        }),
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            send(link, packet.to, packet.from, IpProtocol::Icmpv6, size, |bytes, _| {
                let mut icmp = Icmpv6Packet::new_unchecked(bytes);
                icmp.set_msg_type(Icmpv6Message::DstUnreachable);
                icmp.set_msg_code(why.code_v6());
                icmp.payload_mut().copy_from_slice(returned);
                icmp.fill_checksum(&to, &from);
            });
        }
        // Both are of one version: they were in one packet.
        (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
}

/// Tells the container that nobody takes the datagrams of a flow.
pub(super) fn send_refused(link: &mut Link, ends: &Ends) {
    let (from, to) = (ends.container, ends.remote);
    let ip = IpRepr::new(from.ip().into(), to.ip().into(), IpProtocol::Udp, UDP_HEADER, HOPS);
    let mut bytes = vec![0; ip.buffer_len()];
    write(&ip, &mut bytes, |bytes, sums| {
        let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
        let mut packet = UdpPacket::new_unchecked(bytes);
        udp.emit(&mut packet, &from.ip().into(), &to.ip().into(), 0, |_| {}, sums);
    });
    if let Some(packet) = parse(&bytes) {
        send_unreachable(link, &packet, Unreachable::Port);
    }
}

/// Answers a ping that is for this stack.
pub(super) fn send_echo(link: &mut Link, request: &Packet<'_>) {
    let Ok(icmp) = Icmpv4Packet::new_checked(request.payload) else { return };
    if icmp.msg_type() != Icmpv4Message::EchoRequest {
        return;
    }
    send_echo_reply(link, request.to, request.from, request.payload);
}

/// Sends a ping's answer, given as what was asked or answered.
pub(super) fn send_echo_reply(link: &mut Link, from: IpAddr, to: IpAddr, ping: &[u8]) {
    send(link, from, to, IpProtocol::Icmp, ping.len(), |bytes, _| {
        bytes.copy_from_slice(ping);
        let mut icmp = Icmpv4Packet::new_unchecked(bytes);
        icmp.set_msg_type(Icmpv4Message::EchoReply);
        icmp.fill_checksum();
    });
}
