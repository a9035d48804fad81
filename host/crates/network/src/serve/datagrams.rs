//! All UDP flows of one container to the outside.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with};
use smoltcp::wire::UdpPacket;

use super::address::{Destination, family};
use super::packet::{Ends, Packet, Unreachable, send_datagram, send_refused, send_unreachable};
use super::stack::Around;
use crate::descriptors::afford;
use crate::flows::Flows;

const MOST_FLOWS: usize = 1024;
/// How long a flow may be silent.
const IDLE: Duration = Duration::from_secs(90);
/// Questions are answered at once or not at all, and there are many.
const IDLE_QUESTION: Duration = Duration::from_secs(20);
/// How many datagrams of one flow come in before others have their turn.
const ROUNDS: usize = 64;
const LARGEST: usize = 65536;

pub(super) struct Datagrams {
    flows: Flows<Ends, Option<Resolver>>,
    buffer: Box<[u8]>,
}

/// Which of the host's resolvers a flow goes to.
#[derive(Debug, Clone, Copy)]
struct Resolver(SocketAddr);

impl Datagrams {
    pub(super) fn new() -> Self {
        Self { flows: Flows::new(MOST_FLOWS), buffer: vec![0; LARGEST].into() }
    }

    /// Takes a datagram of the container.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, around: &mut Around<'_>) {
        let Ok(datagram) = UdpPacket::new_checked(packet.payload) else { return };
        let (from, to) = (datagram.src_port(), datagram.dst_port());
        if from == 0 || to == 0 {
            return;
        }
        let ends = Ends { container: SocketAddr::new(packet.from, from), remote: SocketAddr::new(packet.to, to) };
        let (target, resolver) = match (around.route)(ends.remote) {
            Destination::Outside(target) => (target, None),
            Destination::Resolver => {
                let target = around.resolvers.ask(around.now);
                (target, Some(Resolver(target)))
            }
            Destination::Gateway => return send_unreachable(around.link, packet, Unreachable::Port),
            Destination::Forbidden => return send_unreachable(around.link, packet, Unreachable::Prohibited),
            Destination::Nobody => return,
        };
        self.leave_silent_resolver(&ends, resolver, around.now);
        if self.flows.find(&ends, around.now).is_none()
            && let Err(error) = self.open(ends, target, resolver, around)
        {
            return answer(error, packet, around);
        }
        let Some((number, flow)) = self.flows.find(&ends, around.now) else { return };
        // What is too large for the way, or too much at once, is lost, as datagrams are. A refusal is what became of an
        // earlier one.
        if send(&flow.socket, datagram.payload(), SendFlags::NOSIGNAL) == Err(Errno::CONNREFUSED) {
            self.refused(number, around);
        }
    }

    /// A question that is asked again goes to the resolver whose turn it is by then.
    fn leave_silent_resolver(&mut self, ends: &Ends, resolver: Option<Resolver>, now: Instant) {
        if let Some(Resolver(current)) = resolver
            && let Some((number, flow)) = self.flows.find(ends, now)
            && flow.data.is_some_and(|Resolver(asked)| asked != current)
        {
            self.flows.remove(number);
        }
    }

    fn open(
        &mut self,
        ends: Ends,
        target: SocketAddr,
        resolver: Option<Resolver>,
        around: &Around<'_>,
    ) -> Result<(), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = afford(socket_with(family(target), SocketType::DGRAM, flags, None)?)?;
        connect(&socket, &target)?;
        around.watch_flow(&socket, self.flows.next_number())?;
        let idle = if ends.remote.port() == 53 { IDLE_QUESTION } else { IDLE };
        self.flows.add(ends, socket, resolver, idle, around.now);
        Ok(())
    }

    /// Something came for a flow from outside.
    pub(super) fn event(&mut self, number: u64, around: &mut Around<'_>) {
        for _ in 0..ROUNDS {
            let Some(flow) = self.flows.get(number, around.now) else { return };
            match recv(&flow.socket, &mut *self.buffer, RecvFlags::empty()) {
                Ok((size, _)) => {
                    if let Some(Resolver(server)) = flow.data {
                        around.resolvers.answered(server);
                    }
                    send_datagram(around.link, &flow.key, &self.buffer[..size]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::CONNREFUSED) => return self.refused(number, around),
                Err(_) => return,
            }
        }
    }

    fn refused(&mut self, number: u64, around: &mut Around<'_>) {
        let Some(flow) = self.flows.get(number, around.now) else { return };
        match flow.data {
            // The next question goes to another.
            Some(Resolver(server)) => around.resolvers.failed(server),
            None => send_refused(around.link, &flow.key),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.flows.deadline()
    }

    pub(super) fn forget(&mut self, now: Instant) {
        self.flows.forget(now);
    }
}

fn answer(error: Errno, packet: &Packet<'_>, around: &mut Around<'_>) {
    let why = match error {
        Errno::NETUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL => Unreachable::Network,
        Errno::HOSTUNREACH => Unreachable::Host,
        Errno::ACCESS | Errno::PERM => Unreachable::Prohibited,
        _ => return,
    };
    send_unreachable(around.link, packet, why);
}
