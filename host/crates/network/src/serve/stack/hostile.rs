//! Containers that send whatever they like: nothing panics, nothing runs for ever, and what is bounded stays so.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::{Once, PoisonError};
use std::time::Duration;

use proptest::prelude::*;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt};
use smoltcp::wire::TcpPacket;

use super::*;

thread_local! {
    /// Panics of this thread, those that are contained among them. Other tests of this process may fail meanwhile.
    static PANICS: Cell<usize> = const { Cell::new(0) };

    /// Of this thread alone: another world would accept what is this one's.
    static SERVER: TcpListener = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        listener.set_nonblocking(true).expect("it can be set");
        listener
    };
}

fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
}

/// The whole world is one server; but for what is nobody's.
fn route(to: SocketAddr) -> Destination {
    match super::super::address::destination(to) {
        Destination::Nobody => Destination::Nobody,
        _ => Destination::Outside(SERVER.with(TcpListener::local_addr).expect("it is bound")),
    }
}

struct World {
    stack: Stack,
    container: OwnedFd,
    buffer: Box<[u8]>,
    streams: Vec<TcpStream>,
    /// The next sequence numbers of the container and of whom it speaks with.
    own: u32,
    other: u32,
}

impl World {
    fn new() -> Self {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (device, container) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("there are sockets");
        let resolvers = Resolvers::new("/nonexistent".into());
        let stack =
            Stack::new(Poller::new().expect("there is epoll"), device, route, resolvers).expect("it is watched");
        Self { stack, container, buffer: Link::buffer(), streams: Vec::new(), own: 1000, other: 0 }
    }

    fn send(&mut self, packet: &[u8]) {
        let framed = [&[0; 10], packet].concat();
        let _ = send(&self.container, &framed, SendFlags::NOSIGNAL);
        self.turn();
    }

    /// Lets the stack do whatever there is to do, and looks at what it answers.
    fn turn(&mut self) {
        let mut ready = vec![Ready { token: LINK, error: false }];
        for _ in 0..4 {
            self.stack.turn(&ready, &mut self.buffer);
            while let Ok((stream, _)) = SERVER.with(TcpListener::accept) {
                stream.set_nonblocking(true).expect("it can be set");
                self.streams.push(stream);
            }
            let mut answer = vec![0; 70_000];
            while let Ok((size, _)) = recv(&self.container, &mut *answer, RecvFlags::empty()) {
                self.hear(&answer[10..size]);
            }
            // On loopback there is hardly anything to wait for: what is sent has arrived, but on a very busy machine.
            self.stack.poller.wait(Some(Instant::now()), &mut ready).expect("nobody says stop");
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let packet = parse(bytes).expect("what the stack sends is whole");
        if packet.protocol == IpProtocol::Tcp {
            let segment = TcpPacket::new_checked(packet.payload).expect("what the stack sends is whole");
            let number = u32::from_ne_bytes(segment.seq_number().0.to_ne_bytes());
            let length = u32::try_from(segment.segment_len()).expect("packets are short");
            self.other = number.wrapping_add(length);
        }
    }
}

/// A packet of IPv4 from the container to a server.
fn ip(protocol: u8, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).expect("packets are short").to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend(ADDRESS.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// A packet of IPv6 from the container to a server.
fn ip_v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("packets are short").to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64];
    packet.extend(ADDRESS_V6.octets());
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
    packet.extend(payload);
    packet
}

#[derive(Debug, Clone)]
enum Act {
    Bytes(Vec<u8>),
    PayloadV6 { protocol: u8, payload: Vec<u8> },
    Payload { protocol: u8, to: [u8; 4], payload: Vec<u8> },
    Segment { port: u16, flags: u8, own: u32, other: u32, window: u16, options: Vec<u8>, size: u16, advance: bool },
    ServerSends(u32),
    ServerCloses,
    ServerResets,
}

const SYN: u8 = 2;
const ACK: u8 = 16;

fn offset() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => Just(0_u32),
        2 => prop::sample::select(vec![1, 2, 100, 65_535, 262_144, 1 << 30, 1 << 31, u32::MAX, u32::MAX - 1, u32::MAX - 70_000]),
        1 => any::<u32>(),
    ]
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(vec![]),
        2 => Just(vec![2, 4, 0xff, 0xd7, 3, 3, 10, 0]),
        1 => Just(vec![2, 4, 0, 0, 3, 3, 255, 0]),
        1 => prop::collection::vec(any::<u8>(), 40).prop_map(|mut options| { options.truncate(options.len() / 4 * 4); options }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let flags = prop_oneof![
        4 => Just(ACK), 2 => Just(SYN), 2 => Just(ACK | 1), 1 => Just(ACK | 8), 1 => Just(4), 1 => Just(ACK | SYN),
        1 => any::<u8>()
    ];
    let size = prop_oneof![3 => Just(0_u16), 2 => 1..2000_u16, 1 => 60_000..65_400_u16];
    let segment = (1..3_u16, flags, offset(), offset(), any::<u16>(), options(), size, any::<bool>()).prop_map(
        |(port, flags, own, other, window, options, size, advance)| Act::Segment {
            port,
            flags,
            own,
            other,
            window,
            options,
            size,
            advance,
        },
    );
    let to = prop_oneof![
        Just([203, 0, 113, 1]),
        Just([10, 0, 2, 2]),
        Just([10, 0, 2, 3]),
        Just([224, 0, 0, 1]),
        Just([255; 4]),
        Just([0; 4]),
        any::<[u8; 4]>()
    ];
    let protocol = prop_oneof![Just(1_u8), Just(6), Just(17), any::<u8>()];
    let payload = (protocol, to, prop::collection::vec(any::<u8>(), 0..100))
        .prop_map(|(protocol, to, payload)| Act::Payload { protocol, to, payload });
    let protocol = prop_oneof![Just(58_u8), Just(6), Just(17), Just(0), Just(44), any::<u8>()];
    let payload_v6 = (protocol, prop::collection::vec(any::<u8>(), 0..100))
        .prop_map(|(protocol, payload)| Act::PayloadV6 { protocol, payload });
    prop_oneof![
        12 => segment,
        2 => payload,
        1 => payload_v6,
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Act::Bytes),
        2 => (1..600_000_u32).prop_map(Act::ServerSends),
        1 => Just(Act::ServerCloses),
        1 => Just(Act::ServerResets),
    ]
}

fn segment(world: &mut World, act: &Act) -> Option<Vec<u8>> {
    let Act::Segment { port, flags, own, other, window, options, size, advance } = act else { return None };
    let mut payload = Vec::new();
    payload.extend(port.to_be_bytes());
    payload.extend(80_u16.to_be_bytes());
    payload.extend(world.own.wrapping_add(*own).to_be_bytes());
    payload.extend(world.other.wrapping_add(*other).to_be_bytes());
    let words = u8::try_from(5 + options.len() / 4).expect("options are short");
    payload.extend([words << 4, *flags]);
    payload.extend(window.to_be_bytes());
    payload.extend([0; 4]);
    payload.extend(options);
    payload.extend(vec![7; usize::from(*size)]);
    if *advance || flags & SYN != 0 {
        let taken = u32::from(*size) + u32::from(flags & SYN != 0) + u32::from(flags & 1);
        world.own = world.own.wrapping_add(*own).wrapping_add(taken);
    }
    Some(ip(6, Ipv4Addr::new(203, 0, 113, 1), &payload))
}

fn perform(world: &mut World, act: &Act) {
    match act {
        Act::Bytes(bytes) => world.send(bytes),
        Act::PayloadV6 { protocol, payload } => world.send(&ip_v6(*protocol, payload)),
        Act::Payload { protocol, to, payload } => world.send(&ip(*protocol, (*to).into(), payload)),
        Act::Segment { .. } => {
            let packet = segment(world, act).expect("it is a segment");
            world.send(&packet);
        }
        Act::ServerSends(size) => {
            if let Some(stream) = world.streams.last_mut() {
                let _ = stream.write(&vec![5; *size as usize]);
            }
            world.turn();
        }
        Act::ServerCloses => {
            drop(world.streams.pop());
            world.turn();
        }
        Act::ServerResets => {
            if let Some(stream) = world.streams.pop() {
                let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            }
            world.turn();
        }
    }
}

/// A connection that is made and used, for the acts to disturb.
fn handshake(world: &mut World) {
    let say = |world: &mut World, flags, size| {
        let options = if flags == SYN { vec![2, 4, 0xff, 0xd7, 3, 3, 7, 0] } else { vec![] };
        let act = Act::Segment { port: 1, flags, own: 0, other: 0, window: 8192, options, size, advance: true };
        perform(world, &act);
    };
    say(world, SYN, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.other == 0 {
        assert!(Instant::now() < deadline, "nobody answered");
        std::thread::sleep(Duration::from_millis(1));
        world.turn();
    }
    say(world, ACK, 0);
    say(world, ACK, 100);
}

#[test]
fn a_connection_by_hand_is_one() {
    let _shared = crate::tests::ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let mut world = World::new();
    handshake(&mut world);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut got = [0; 200];
    loop {
        let read = world.streams.last_mut().map(|stream| stream.read(&mut got));
        match read {
            Some(Ok(size)) => break assert_eq!(size, 100),
            Some(Err(error)) if error.kind() != std::io::ErrorKind::WouldBlock => panic!("{error}"),
            _ => assert!(Instant::now() < deadline, "the server got nothing"),
        }
        std::thread::sleep(Duration::from_millis(1));
        world.turn();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(acts in prop::collection::vec(act(), 1..40), connected in any::<bool>()) {
        let _shared = crate::tests::ALONE.read().unwrap_or_else(PoisonError::into_inner);
        count_panics();
        let before = PANICS.get();
        let mut world = World::new();
        if connected {
            handshake(&mut world);
        }
        for act in &acts {
            perform(&mut world, act);
        }
        prop_assert_eq!(PANICS.get(), before);
    }
}
