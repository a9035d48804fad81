//! One TCP connection: smoltcp speaks with the container, a socket of the host with the other end.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::time::{Duration as Span, Instant as Moment};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpListenEndpoint};

use super::link::{Exchange, Link};
use super::packet::Ends;
use crate::poller::Interest;

/// The container's kernel answers within microseconds. If it does not for so long, its end is gone.
const KEEP_ALIVE: Span = Span::from_secs(300);
const GIVE_UP: Span = Span::from_secs(900);
/// What smoltcp wants to do at once though it just had its turn is looked at again after so long.
const AGAIN: Duration = Duration::from_millis(10);

/// What TCP counts time by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    fn moment(self, now: Instant) -> Moment {
        let micros = now.saturating_duration_since(self.0).as_micros();
        Moment::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn instant(self, moment: Moment) -> Instant {
        self.0 + Duration::from_micros(u64::try_from(moment.total_micros()).unwrap_or(0))
    }
}

/// The part of the stack that has the address of whom the container connects to. As each connection has its own, there
/// is no searching among sockets, and smoltcp need not know that it stands for the whole world.
fn interface(remote: IpAddress, clock: Clock, now: Instant, exchange: &mut Exchange<'_>) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    let mut seed = [0; 8];
    // Initial sequence numbers: they are known to the container alone, whose connection it is.
    let _ = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
    config.random_seed = u64::from_ne_bytes(seed);
    let mut interface = Interface::new(config, exchange, clock.moment(now));
    // With this prefix everybody is a neighbour: no routes are needed.
    interface.update_ip_addrs(|addresses| {
        // There is room for one.
        let _ = addresses.push(IpCidr::new(remote, 0));
    });
    interface
}

/// Answers a segment that belongs to no connection, with a reset unless it is one.
pub(super) fn refuse(packet: &[u8], ends: &Ends, clock: Clock, now: Instant, link: &mut Link) {
    let mut exchange = Exchange::new(link, Some(packet));
    let mut interface = interface(ends.remote.ip().into(), clock, now, &mut exchange);
    interface.poll_ingress_single(clock.moment(now), &mut exchange, &mut SocketSet::new(Vec::new()));
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// It does; it is to be advanced at that time whatever happens.
    On(Option<Instant>),
    Ended,
}

pub(super) struct Connection {
    host: OwnedFd,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    clock: Clock,
    /// The host's socket takes no more for now.
    blocked: bool,
    /// The other end sends no more.
    finished: bool,
    /// The other end was told that the container sends no more.
    closed: bool,
}

impl Connection {
    /// A connection that the other end accepted: `host` is connected. The container's SYN is to be received next.
    pub(super) fn new(ends: &Ends, host: OwnedFd, buffer: usize, clock: Clock, now: Instant, link: &mut Link) -> Self {
        let (address, port) = (IpAddress::from(ends.remote.ip()), ends.remote.port());
        let interface = interface(address, clock, now, &mut Exchange::new(link, None));
        let mut socket = Socket::new(SocketBuffer::new(vec![0; buffer]), SocketBuffer::new(vec![0; buffer]));
        // The container's kernel and the other end's batch already; here it would be delay alone.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket.set_timeout(Some(GIVE_UP));
        // It fails for port 0 alone, which no packet that gets here has.
        let _ = socket.listen(IpListenEndpoint { addr: Some(address), port });
        let _ = sockopt::set_tcp_nodelay(&host, true);
        // The container's own keep-alive gets no further than to here.
        let _ = sockopt::set_socket_keepalive(&host, true);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self { host, interface, sockets, handle, clock, blocked: false, finished: false, closed: false }
    }

    pub(super) fn host(&self) -> &OwnedFd {
        &self.host
    }

    /// Takes a packet of the container; what follows from it comes with [`Connection::advance`].
    pub(super) fn receive(&mut self, packet: &[u8], now: Instant, link: &mut Link) {
        let moment = self.clock.moment(now);
        self.interface.poll_ingress_single(moment, &mut Exchange::new(link, Some(packet)), &mut self.sockets);
    }

    /// Moves what can be moved in both directions, and sends what is to be sent.
    pub(super) fn advance(&mut self, now: Instant, link: &mut Link) -> Going {
        let broken = self.move_out().and_then(|()| self.move_in()).is_err();
        if broken {
            self.socket().abort();
        }
        let moment = self.clock.moment(now);
        let mut exchange = Exchange::new(link, None);
        while self.interface.poll_egress(moment, &mut exchange, &mut self.sockets) != PollResult::None {}
        match self.socket().state() {
            // After a reset of a connection that was not quite made, smoltcp would wait for another.
            State::Closed | State::TimeWait | State::Listen => {
                self.end();
                Going::Ended
            }
            _ => {
                let due = self.interface.poll_at(moment, &self.sockets);
                Going::On(due.map(|due| self.clock.instant(due).max(now + AGAIN)))
            }
        }
    }

    /// Ends the connection because its other end broke off.
    pub(super) fn abort(&mut self, now: Instant, link: &mut Link) {
        self.socket().abort();
        self.advance(now, link);
    }

    /// What the host's socket is to be waited for.
    pub(super) fn wanted(&mut self) -> Interest {
        let (finished, blocked) = (self.finished, self.blocked);
        Interest { read: !finished && self.socket().can_send(), write: blocked }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// From the container to the other end.
    fn move_out(&mut self) -> Result<(), Errno> {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        self.blocked = false;
        while socket.can_recv() {
            let sent = socket.recv(|data| match send(&self.host, data, SendFlags::NOSIGNAL) {
                Ok(sent) => (sent, Ok(())),
                Err(error) => (0, Err(error)),
            });
            match sent {
                Ok(Ok(()) | Err(Errno::INTR)) => {}
                Ok(Err(Errno::AGAIN)) => {
                    self.blocked = true;
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                // The connection is not made yet, or no more.
                Err(_) => return Ok(()),
            }
        }
        if !self.closed && matches!(socket.recv(|_| (0, ())), Err(RecvError::Finished)) {
            shutdown(&self.host, Shutdown::Write)?;
            self.closed = true;
        }
        Ok(())
    }

    /// From the other end to the container.
    fn move_in(&mut self) -> Result<(), Errno> {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        while !self.finished && socket.can_send() {
            let received = socket.send(|space| match recv(&self.host, space, RecvFlags::empty()) {
                Ok((size, _)) => (size, Ok(size)),
                Err(error) => (0, Err(error)),
            });
            match received {
                Ok(Ok(0)) => self.finished = true,
                Ok(Ok(_) | Err(Errno::INTR)) => {}
                Ok(Err(Errno::AGAIN)) | Err(_) => break,
                Ok(Err(error)) => return Err(error),
            }
        }
        // Not before all that was sent arrived: a socket that is closed on both sides hears no more of a window that
        // was shut and opens again (smoltcp 0.14, LAST-ACK).
        if self.finished && socket.send_queue() == 0 {
            socket.close();
        }
        Ok(())
    }

    /// What ended otherwise than by both ends saying so is a reset for the other end, too.
    fn end(&self) {
        if !(self.finished && self.closed) {
            reset(&self.host);
        }
    }
}

/// Makes closing the socket a reset. It matters to nobody where that fails.
pub(super) fn reset(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}
