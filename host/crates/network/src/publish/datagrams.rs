//! All UDP ports that one container publishes, in one thread.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType, recv, recvfrom, send, sendto};

use super::{Listener, connected};
use crate::flows::Flows;
use crate::poller::{Interest, Poller, Ready};

/// Clients of one container at a time.
const MOST_FLOWS: usize = 1024;
/// How long a client may be silent and still gets answers.
const IDLE: Duration = Duration::from_secs(90);
/// How many datagrams one socket is asked for before others have their turn.
const ROUNDS: usize = 64;
const LARGEST: usize = 65536;

/// A client, and which of the listeners it speaks to.
type Client = (usize, SocketAddr);

struct Datagrams {
    poller: Poller,
    listeners: Vec<Listener>,
    flows: Flows<Client, ()>,
    buffer: Vec<u8>,
}

/// Forwards until the poller says stop.
pub(super) fn run(poller: Poller, listeners: Vec<Listener>) {
    for (token, listener) in (0..).zip(&listeners) {
        // A new poller takes the few descriptors that listen.
        let _ = poller.watch(&listener.socket, token, &mut Interest::NONE.clone(), Interest::READ);
    }
    let mut all = Datagrams { poller, listeners, flows: Flows::new(MOST_FLOWS), buffer: vec![0; LARGEST] };
    let mut ready = Vec::new();
    while all.poller.wait(all.flows.deadline(), &mut ready).is_some() {
        for ready in &ready {
            all.handle(*ready);
        }
        all.flows.forget(Instant::now());
    }
}

impl Datagrams {
    fn handle(&mut self, ready: Ready) {
        let listeners = self.listeners.len() as u64;
        match usize::try_from(ready.token) {
            Ok(at) if at < self.listeners.len() => self.requests(at),
            _ => self.answers(ready.token - listeners),
        }
    }

    /// From clients to the service.
    fn requests(&mut self, at: usize) {
        for _ in 0..ROUNDS {
            let (size, client) = match recvfrom(&self.listeners[at].socket, &mut *self.buffer, RecvFlags::empty()) {
                Ok((size, _, Some(client))) => (size, client),
                Ok(_) | Err(Errno::INTR) => continue,
                // Also what went wrong with an earlier answer; the next turn has the next datagram.
                Err(_) => return,
            };
            let Ok(client) = SocketAddr::try_from(client) else { continue };
            let now = Instant::now();
            if self.flows.find(&(at, client), now).is_none() && self.open((at, client), now).is_err() {
                continue;
            }
            if let Some((_, flow)) = self.flows.find(&(at, client), now) {
                // What cannot be sent is lost, as datagrams are.
                let _ = send(&flow.socket, &self.buffer[..size], SendFlags::NOSIGNAL);
            }
        }
    }

    fn open(&mut self, client: Client, now: Instant) -> Result<(), Errno> {
        let socket = connected(SocketType::DGRAM, self.listeners[client.0].container_port)?;
        let token = self.listeners.len() as u64 + self.flows.next_number();
        self.poller.watch(&socket, token, &mut Interest::NONE.clone(), Interest::READ)?;
        self.flows.add(client, socket, (), IDLE, now);
        Ok(())
    }

    /// From the service to a client.
    fn answers(&mut self, number: u64) {
        let Some(flow) = self.flows.get(number, Instant::now()) else { return };
        let (at, client) = flow.key;
        for _ in 0..ROUNDS {
            match recv(&flow.socket, &mut *self.buffer, RecvFlags::empty()) {
                Ok((size, _)) => {
                    let _ = sendto(&self.listeners[at].socket, &self.buffer[..size], SendFlags::NOSIGNAL, &client);
                }
                Err(Errno::INTR) => {}
                // Nothing more, or nobody listens on that port (yet): the client may try again.
                Err(_) => return,
            }
        }
    }
}
