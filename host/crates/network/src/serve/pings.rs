//! Pings of the container to the outside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send, socket_with,
};
use smoltcp::wire::{Icmpv4Message, Icmpv4Packet, Ipv4Packet};

use super::address::{ADDRESS, Destination};
use super::packet::{Packet, Unreachable, send_echo_reply, send_unreachable};
use super::stack::Around;
use crate::descriptors::afford;
use crate::flows::Flows;

const MOST_FLOWS: usize = 64;
const IDLE: Duration = Duration::from_secs(30);
/// How many answers to one program come in before others have their turn.
const ROUNDS: usize = 16;
const LARGEST: usize = 65536;

pub(super) struct Pings {
    flows: Flows<Program, Kind>,
    buffer: Box<[u8]>,
}

/// Who is pinged, and the number by which the program that does it knows its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Program {
    remote: Ipv4Addr,
    number: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Pings alone, with a number that the kernel chose.
    Plain,
    /// All of ICMP, behind headers of IP.
    Raw,
}

impl Pings {
    pub(super) fn new() -> Self {
        Self { flows: Flows::new(MOST_FLOWS), buffer: vec![0; LARGEST].into() }
    }

    /// Takes a packet of ICMP that the container sent to somebody outside.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, around: &mut Around<'_>) {
        let Ok(request) = Icmpv4Packet::new_checked(packet.payload) else { return };
        let IpAddr::V4(remote) = packet.to else { return };
        if request.msg_type() != Icmpv4Message::EchoRequest {
            return;
        }
        let target = match (around.route)(SocketAddr::new(packet.to, 0)) {
            Destination::Outside(target) => target,
            Destination::Forbidden => return send_unreachable(around.link, packet, Unreachable::Prohibited),
            Destination::Resolver | Destination::Gateway | Destination::Nobody => return,
        };
        let program = Program { remote, number: request.echo_ident() };
        if self.flows.find(&program, around.now).is_none()
            && let Err(error) = self.open(program, target, around)
        {
            let why = if error == Errno::NETUNREACH { Unreachable::Network } else { Unreachable::Prohibited };
            return send_unreachable(around.link, packet, why);
        }
        let Some((_, flow)) = self.flows.find(&program, around.now) else { return };
        // A raw socket sends what it is given.
        let mut copy = packet.payload.to_vec();
        Icmpv4Packet::new_unchecked(&mut copy[..]).fill_checksum();
        let _ = send(&flow.socket, &copy, SendFlags::NOSIGNAL);
    }

    fn open(&mut self, program: Program, target: SocketAddr, around: &Around<'_>) -> Result<(), Errno> {
        // Who may make plain ones is a setting of the host, which may leave out even root, who needs them least.
        let (socket, kind) = socket(SocketType::DGRAM)
            .map(|socket| (socket, Kind::Plain))
            .or_else(|_| socket(SocketType::RAW).map(|socket| (socket, Kind::Raw)))?;
        connect(&socket, &target)?;
        around.watch_ping(&socket, self.flows.next_number())?;
        self.flows.add(program, socket, kind, IDLE, around.now);
        Ok(())
    }

    /// Something came for a program.
    pub(super) fn event(&mut self, number: u64, around: &mut Around<'_>) {
        for _ in 0..ROUNDS {
            let Some(flow) = self.flows.get(number, around.now) else { return };
            let size = match recv(&flow.socket, &mut *self.buffer, RecvFlags::empty()) {
                Ok((size, _)) => size,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let Some(bytes) = answer(&mut self.buffer[..size], flow.key, flow.data) else { continue };
            send_echo_reply(around.link, flow.key.remote.into(), ADDRESS.into(), bytes);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.flows.deadline()
    }

    pub(super) fn forget(&mut self, now: Instant) {
        self.flows.forget(now);
    }
}

fn socket(kind: SocketType) -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(ipproto::ICMP))
        .and_then(afford)
}

/// What came for a program, with the number that it expects; `None` if it is for somebody else.
fn answer(received: &mut [u8], program: Program, kind: Kind) -> Option<&[u8]> {
    let header = match kind {
        Kind::Plain => 0,
        Kind::Raw => usize::from(Ipv4Packet::new_checked(&*received).ok()?.header_len()),
    };
    let bytes = received.get_mut(header..)?;
    let mut packet = Icmpv4Packet::new_checked(bytes).ok()?;
    let own = kind == Kind::Plain || packet.echo_ident() == program.number;
    if packet.msg_type() != Icmpv4Message::EchoReply || !own {
        return None;
    }
    packet.set_echo_ident(program.number);
    Some(packet.into_inner())
}
