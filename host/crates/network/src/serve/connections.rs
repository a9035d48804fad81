//! All TCP connections of one container to the outside.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, connect, socket_with, sockopt};
use smoltcp::wire::TcpPacket;

use super::address::{Destination, family};
use super::connection::{Clock, Connection, Going, refuse};
use super::packet::{Ends, Packet, Unreachable, parse, send_unreachable};
use super::stack::Around;
use crate::descriptors::afford;
use crate::poller::{Interest, Ready};

/// What the buffers of all connections hold together; each has two. The more connections there are, the smaller are those
/// of a new one; about 2000 fit.
const MOST_BUFFERED: usize = 256 << 20;
const SHARE: usize = 1024;
const LARGEST_BUFFER: usize = 256 << 10;
const SMALLEST_BUFFER: usize = 16 << 10;

/// The first packet of a connection has headers alone. Data in it is a wish that is not granted: the container sends it
/// again without.
const MOST_SYN: usize = 256;

pub(super) struct Connections {
    numbers: HashMap<Ends, u64>,
    slots: HashMap<u64, Slot>,
    due: BTreeSet<(Instant, u64)>,
    /// Those that packets or events were for since they were last advanced.
    touched: Vec<u64>,
    next: u64,
    unused: usize,
    clock: Clock,
}

struct Slot {
    ends: Ends,
    stage: Stage,
    interest: Interest,
    buffer: usize,
    due: Option<Instant>,
    touched: bool,
}

enum Stage {
    /// The other end was asked; what becomes of the container's SYN depends on it.
    Opening {
        host: OwnedFd,
        target: SocketAddr,
        resolver: bool,
        syn: Box<[u8]>,
    },
    Open(Box<Connection>),
}

impl Connections {
    pub(super) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            slots: HashMap::new(),
            due: BTreeSet::new(),
            touched: Vec::new(),
            next: 0,
            unused: MOST_BUFFERED,
            clock: Clock::new(),
        }
    }

    /// Takes a TCP segment of the container.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, around: &mut Around<'_>) {
        let Ok(segment) = TcpPacket::new_checked(packet.payload) else { return };
        let (from, to) = (segment.src_port(), segment.dst_port());
        if from == 0 || to == 0 {
            return;
        }
        let ends = Ends { container: SocketAddr::new(packet.from, from), remote: SocketAddr::new(packet.to, to) };
        let Some(&number) = self.numbers.get(&ends) else {
            if segment.syn() && !segment.ack() && !segment.rst() {
                self.open(ends, packet, around);
            } else if (around.route)(ends.remote) != Destination::Nobody {
                self.refuse(packet, &ends, around);
            }
            return;
        };
        let Some(slot) = self.slots.get_mut(&number) else { return };
        match &mut slot.stage {
            // The container asks again, or gave up.
            Stage::Opening { .. } if segment.rst() => self.remove(number),
            Stage::Opening { .. } => {}
            Stage::Open(connection) => {
                if contained(|| connection.receive(packet.whole, around.now, around.link)).is_none() {
                    self.remove(number);
                } else if !slot.touched {
                    slot.touched = true;
                    self.touched.push(number);
                }
            }
        }
    }

    /// Begins to connect to where the container wants to.
    fn open(&mut self, ends: Ends, packet: &Packet<'_>, around: &mut Around<'_>) {
        let (target, resolver) = match (around.route)(ends.remote) {
            Destination::Outside(target) => (target, false),
            Destination::Resolver => (around.resolvers.ask(around.now), true),
            Destination::Gateway => return self.refuse(packet, &ends, around),
            Destination::Forbidden => return send_unreachable(around.link, packet, Unreachable::Prohibited),
            Destination::Nobody => return,
        };
        if packet.whole.len() > MOST_SYN {
            return;
        }
        let share = (self.unused / SHARE).clamp(SMALLEST_BUFFER, LARGEST_BUFFER);
        // A power of two: the window is the whole buffer then, whatever its scale.
        let buffer = 1 << share.ilog2();
        if 2 * buffer > self.unused {
            // The container asks again after a second, and perhaps there is room by then.
            return;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let made = socket_with(family(target), SocketType::STREAM, flags, None).and_then(afford).and_then(|host| {
            match connect(&host, &target) {
                Ok(()) | Err(Errno::INPROGRESS) => {}
                Err(error) => return Err(error),
            }
            let mut interest = Interest::NONE;
            around.watch_connection(&host, self.next, &mut interest, Interest::WRITE)?;
            Ok((host, interest))
        });
        let (host, interest) = match made {
            Ok(made) => made,
            Err(error) => return self.answer(error, packet, &ends, around),
        };
        let number = self.next;
        self.next += 1;
        self.unused -= 2 * buffer;
        self.numbers.insert(ends, number);
        let stage = Stage::Opening { host, target, resolver, syn: packet.whole.into() };
        self.slots.insert(number, Slot { ends, stage, interest, buffer, due: None, touched: false });
    }

    fn refuse(&self, packet: &Packet<'_>, ends: &Ends, around: &mut Around<'_>) {
        contained(|| refuse(packet.whole, ends, self.clock, around.now, around.link));
    }

    /// Tells the container why there is no connection.
    fn answer(&self, error: Errno, packet: &Packet<'_>, ends: &Ends, around: &mut Around<'_>) {
        let why = match error {
            Errno::CONNREFUSED | Errno::CONNRESET => {
                return self.refuse(packet, ends, around);
            }
            Errno::NETUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL => Unreachable::Network,
            Errno::HOSTUNREACH | Errno::TIMEDOUT => Unreachable::Host,
            Errno::ACCESS | Errno::PERM => Unreachable::Prohibited,
            // Something is short here, such as descriptors: the container asks again.
            _ => return,
        };
        send_unreachable(around.link, packet, why);
    }

    /// Something happened to the host's socket of a connection.
    pub(super) fn event(&mut self, number: u64, ready: Ready, around: &mut Around<'_>) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        match &mut slot.stage {
            Stage::Opening { .. } => self.opened(number, around),
            Stage::Open(connection) if ready.error => {
                contained(|| connection.abort(around.now, around.link));
                self.remove(number);
            }
            Stage::Open(_) => self.advance(number, around),
        }
    }

    /// The other end accepted, or did not.
    fn opened(&mut self, number: u64, around: &mut Around<'_>) {
        let Some(mut slot) = self.slots.remove(&number) else { return };
        if let Stage::Opening { host, target, resolver, syn } = slot.stage {
            let outcome = sockopt::socket_error(&host).and_then(|outcome| outcome);
            match outcome {
                Ok(()) if resolver => around.resolvers.answered(target),
                Err(_) if resolver => around.resolvers.failed(target),
                _ => {}
            }
            let clock = self.clock;
            let connection = outcome.map(|()| {
                contained(|| {
                    let mut connection = Connection::new(&slot.ends, host, slot.buffer, clock, around.now, around.link);
                    connection.receive(&syn, around.now, around.link);
                    connection
                })
            });
            match connection {
                Ok(Some(connection)) => {
                    slot.stage = Stage::Open(connection.into());
                    self.slots.insert(number, slot);
                    return self.advance(number, around);
                }
                Ok(None) => {}
                Err(error) => {
                    if let Some(packet) = parse(&syn) {
                        self.answer(error, &packet, &slot.ends, around);
                    }
                }
            }
        }
        self.forget(&slot.ends, slot.buffer);
    }

    /// Advances all connections that packets came for.
    pub(super) fn settle(&mut self, around: &mut Around<'_>) {
        for number in std::mem::take(&mut self.touched) {
            self.advance(number, around);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Advances those whose time has come.
    pub(super) fn wake(&mut self, around: &mut Around<'_>) {
        while let Some(&(due, number)) = self.due.first()
            && due <= around.now
        {
            self.due.remove(&(due, number));
            self.advance(number, around);
        }
    }

    fn advance(&mut self, number: u64, around: &mut Around<'_>) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        let Stage::Open(connection) = &mut slot.stage else { return };
        slot.touched = false;
        let going = contained(|| connection.advance(around.now, around.link));
        let Some(Going::On(due)) = going else { return self.remove(number) };
        let wanted = connection.wanted();
        if around.watch_connection(connection.host(), number, &mut slot.interest, wanted).is_err() {
            contained(|| connection.abort(around.now, around.link));
            return self.remove(number);
        }
        if slot.due != due {
            if let Some(before) = slot.due {
                self.due.remove(&(before, number));
            }
            slot.due = due;
        }
        if let Some(due) = due {
            self.due.insert((due, number));
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(slot) = self.slots.remove(&number) {
            if let Some(due) = slot.due {
                self.due.remove(&(due, number));
            }
            self.forget(&slot.ends, slot.buffer);
        }
    }

    fn forget(&mut self, ends: &Ends, buffer: usize) {
        self.numbers.remove(ends);
        self.unused += 2 * buffer;
    }
}

/// Runs what packets drive in smoltcp. It panics where it finds its own state wrong: that may cost the connection it
/// happens in, not the container's network.
fn contained<T>(body: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(body)).ok()
}
