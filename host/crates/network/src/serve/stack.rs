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
use super::resolvers::Resolvers;
use crate::poller::{Interest, Poller, Ready};

/// How many packets of the container are taken before sockets have their turn.
const ROUNDS: usize = 64;

/// The token of the link; connections have odd ones, flows the other even ones.
const LINK: u64 = 0;

pub(super) struct Stack {
    poller: Poller,
    link: Link,
    route: fn(SocketAddr) -> Destination,
    resolvers: Resolvers,
    connections: Connections,
    datagrams: Datagrams,
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
        self.poller.watch(host, 2 * number + 1, interest, wanted)
    }

    pub(super) fn watch_flow(&self, socket: &OwnedFd, number: u64) -> Result<(), Errno> {
        self.poller.watch(socket, 2 * number + 2, &mut Interest::NONE.clone(), Interest::READ)
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
        poller.watch(&device, LINK, &mut Interest::NONE.clone(), Interest::READ)?;
        let (connections, datagrams) = (Connections::new(), Datagrams::new());
        Ok(Self { poller, link: Link::new(device), route, resolvers, connections, datagrams })
    }

    /// Serves until the poller says stop.
    pub(super) fn run(mut self) {
        let mut buffer = Link::buffer();
        let mut ready = Vec::new();
        loop {
            let deadline = [self.connections.deadline(), self.datagrams.deadline()].into_iter().flatten().min();
            if self.poller.wait(deadline, &mut ready).is_none() {
                return;
            }
            self.turn(&ready, &mut buffer);
        }
    }

    fn turn(&mut self, ready: &[Ready], buffer: &mut [u8]) {
        let Self { poller, link, route, resolvers, connections, datagrams } = self;
        let mut around = Around { now: Instant::now(), link, route: *route, resolvers, poller };
        for ready in ready {
            match ready.token {
                LINK => {
                    for _ in 0..ROUNDS {
                        let Some(bytes) = around.link.receive(buffer) else { break };
                        packet(bytes, connections, datagrams, &mut around);
                    }
                }
                token if token % 2 == 1 => connections.event(token / 2, *ready, &mut around),
                token => datagrams.event(token / 2 - 1, &mut around),
            }
        }
        connections.settle(&mut around);
        connections.wake(&mut around);
        datagrams.forget(around.now);
    }
}

/// Takes whatever the container sent.
fn packet(bytes: &[u8], connections: &mut Connections, datagrams: &mut Datagrams, around: &mut Around<'_>) {
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
        _ => {}
    }
}
