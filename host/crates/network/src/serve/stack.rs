//! Everything that serves one namespace: packets in, sockets out, one thread.

#[cfg(test)]
mod hostile;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;
use smoltcp::wire::IpProtocol;

use super::address::{ADDRESS, ADDRESS_V6, Destination, GATEWAY, NAMESERVER};
use super::connections::Connections;
use super::datagrams::Datagrams;
use super::link::Link;
use super::packet::{parse, send_echo};
use super::pings::Pings;
use super::resolvers::Resolvers;
use crate::poller::{Interest, Poller, Ready};

/// How many packets of the container are taken before sockets have their turn.
const ROUNDS: usize = 64;

/// The token of the link. The others are one more than three times the number of what they are for, and its kind.
const LINK: u64 = 0;
const CONNECTION: u64 = 0;
const FLOW: u64 = 1;
const PING: u64 = 2;

pub(super) struct Stack {
    poller: Poller,
    link: Link,
    interest: Interest,
    route: fn(SocketAddr) -> Destination,
    resolvers: Resolvers,
    connections: Connections,
    datagrams: Datagrams,
    pings: Pings,
}

/// What connections and flows need of the stack they are in.
pub(super) struct Around<'a> {
    pub(super) now: Instant,
    pub(super) link: &'a mut Link,
    pub(super) route: fn(SocketAddr) -> Destination,
    pub(super) resolvers: &'a mut Resolvers,
    poller: &'a Poller,
}

impl Around<'_> {
    pub(super) fn watch_connection(
        &self,
        host: &OwnedFd,
        number: u64,
        interest: &mut Interest,
        wanted: Interest,
    ) -> Result<(), Errno> {
        self.poller.watch(host, 1 + 3 * number + CONNECTION, interest, wanted)
    }

    pub(super) fn watch_flow(&self, socket: &OwnedFd, number: u64) -> Result<(), Errno> {
        self.poller.watch(socket, 1 + 3 * number + FLOW, &mut Interest::NONE.clone(), Interest::READ)
    }

    pub(super) fn watch_ping(&self, socket: &OwnedFd, number: u64) -> Result<(), Errno> {
        self.poller.watch(socket, 1 + 3 * number + PING, &mut Interest::NONE.clone(), Interest::READ)
    }
}

impl Stack {
    /// Watches `device`; packets go where `route` says.
    pub(super) fn new(
        poller: Poller,
        device: OwnedFd,
        route: fn(SocketAddr) -> Destination,
        resolvers: Resolvers,
    ) -> Result<Self, Errno> {
        let mut interest = Interest::NONE;
        poller.watch(&device, LINK, &mut interest, Interest::READ)?;
        let (connections, datagrams, pings) = (Connections::new(), Datagrams::new(), Pings::new());
        Ok(Self { poller, link: Link::new(device), interest, route, resolvers, connections, datagrams, pings })
    }

    /// Serves until the poller says stop.
    pub(super) fn run(mut self) {
        let mut buffer = Link::buffer();
        let mut ready = Vec::new();
        loop {
            let deadlines = [self.connections.deadline(), self.datagrams.deadline(), self.pings.deadline()];
            if self.poller.wait(deadlines.into_iter().flatten().min(), &mut ready).is_none() {
                return;
            }
            self.turn(&ready, &mut buffer);
        }
    }

    fn turn(&mut self, ready: &[Ready], buffer: &mut [u8]) {
        let Self { poller, link, interest, route, resolvers, connections, datagrams, pings } = self;
        let mut around = Around { now: Instant::now(), link, route: *route, resolvers, poller };
        for ready in ready {
            match ready.token {
                // Root of the container removed its interface. That would be said again and again.
                LINK if ready.error => drop(poller.watch(&*around.link, LINK, interest, Interest::NONE)),
                LINK => {
                    for _ in 0..ROUNDS {
                        let Some(bytes) = around.link.receive(buffer) else { break };
                        packet(bytes, connections, datagrams, pings, &mut around);
                    }
                }
                token => {
                    let number = (token - 1) / 3;
                    match (token - 1) % 3 {
                        CONNECTION => connections.event(number, *ready, &mut around),
                        FLOW => datagrams.event(number, &mut around),
                        _ => pings.event(number, &mut around),
                    }
                }
            }
        }
        connections.settle(&mut around);
        connections.wake(&mut around);
        datagrams.forget(around.now);
        pings.forget(around.now);
    }
}

/// Takes whatever the container sent.
fn packet(
    bytes: &[u8],
    connections: &mut Connections,
    datagrams: &mut Datagrams,
    pings: &mut Pings,
    around: &mut Around<'_>,
) {
    let Some(packet) = parse(bytes) else { return };
    if packet.from != IpAddr::V4(ADDRESS) && packet.from != IpAddr::V6(ADDRESS_V6) {
        return;
    }
    match packet.protocol {
        IpProtocol::Tcp => connections.packet(&packet, around),
        IpProtocol::Udp => datagrams.packet(&packet, around),
        IpProtocol::Icmp if packet.to == IpAddr::V4(GATEWAY) || packet.to == IpAddr::V4(NAMESERVER) => {
            send_echo(around.link, &packet);
        }
        IpProtocol::Icmp => pings.packet(&packet, around),
        _ => {}
    }
}
