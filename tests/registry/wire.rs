//! A stretch of the network between kiln and a registry: counts what passes, and breaks when it is told to.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the registry.
    Request,
    /// From the registry.
    Answer,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The connection ends.
    Cut,
    /// Nothing more comes, and nobody says so.
    Stall,
}

pub(crate) struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Each happens once: to the first connection that carried so many bytes in that direction.
    faults: Mutex<Vec<(Direction, u64, Fault)>>,
    /// Bytes in a second on each connection; 0: as fast as it goes.
    rate: AtomicU64,
    requested: AtomicU64,
    answered: AtomicU64,
}

impl Wire {
    /// To a port of loopback.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever asks a registry that is down finds the connection closed.
                if let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))) {
                    connect(&client, &server, &for_thread);
                }
            }
        });
        Self { port: own, shared }
    }

    /// Where the registry seems to be, as it stands in image names.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection ends once it carried so many bytes.
    pub(crate) fn cut(&self, direction: Direction, after: u64) {
        self.shared.faults().push((direction, after, Fault::Cut));
    }

    /// A connection goes silent once it carried so many bytes.
    pub(crate) fn stall(&self, direction: Direction, after: u64) {
        self.shared.faults().push((direction, after, Fault::Stall));
    }

    /// How many faults have not happened yet.
    pub(crate) fn faults_left(&self) -> usize {
        self.shared.faults().len()
    }

    /// From now on no connection carries more bytes in a second; 0: as fast as it goes.
    pub(crate) fn slow_down(&self, rate: u64) {
        self.shared.rate.store(rate, Ordering::Relaxed);
    }

    /// Bytes that were carried so far.
    pub(crate) fn carried(&self, direction: Direction) -> u64 {
        self.shared.counter(direction).load(Ordering::Relaxed)
    }

    /// Waits until so many bytes were carried.
    #[track_caller]
    pub(crate) fn wait_for(&self, direction: Direction, bytes: u64) {
        let start = Instant::now();
        while self.carried(direction) < bytes {
            assert!(start.elapsed() < Duration::from_secs(60), "only {} bytes came", self.carried(direction));
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Shared {
    fn faults(&self) -> MutexGuard<'_, Vec<(Direction, u64, Fault)>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counter(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Request => &self.requested,
            Direction::Answer => &self.answered,
        }
    }

    /// The fault that a connection meets that has carried `carried` bytes, and is about to carry `more`.
    fn fault(&self, direction: Direction, carried: u64, more: u64) -> Option<(u64, Fault)> {
        let mut faults = self.faults();
        let meets = |&(of, after, _): &(Direction, u64, Fault)| of == direction && carried + more > after;
        let at = faults.iter().position(meets)?;
        let (_, after, fault) = faults.remove(at);
        Some((after.saturating_sub(carried), fault))
    }
}

/// Carries both directions from now on.
pub(crate) fn join(client: &TcpStream, server: &TcpStream) {
    connect(client, server, &Arc::new(Shared::default()));
}

fn connect(client: &TcpStream, server: &TcpStream, shared: &Arc<Shared>) {
    for (from, to, direction) in [(client, server, Direction::Request), (server, client, Direction::Answer)] {
        let (from, to) = (from.try_clone().expect("a descriptor"), to.try_clone().expect("a descriptor"));
        let shared = Arc::clone(shared);
        thread::spawn(move || carry(from, to, direction, &shared));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, direction: Direction, shared: &Shared) {
    let mut block = [0; 16 << 10];
    let mut carried = 0;
    while let Ok(read @ 1..) = from.read(&mut block) {
        let more = read as u64;
        let fault = shared.fault(direction, carried, more);
        let passes = fault.map_or(read, |(passes, _)| usize::try_from(passes).unwrap_or(read).min(read));
        if to.write_all(&block[..passes]).is_err() {
            break;
        }
        shared.counter(direction).fetch_add(passes as u64, Ordering::Relaxed);
        carried += more;
        match fault {
            None => {}
            Some((_, Fault::Cut)) => break,
            Some((_, Fault::Stall)) => loop {
                thread::park();
            },
        }
        let rate = shared.rate.load(Ordering::Relaxed);
        if rate > 0 {
            thread::sleep(Duration::from_secs_f64(more as f64 / rate as f64));
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
