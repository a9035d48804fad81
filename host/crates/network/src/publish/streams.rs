//! All TCP connections of one container's published ports, in one thread.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::Listener;
use super::stream::Stream;
use crate::descriptors::afford;
use crate::poller::{Interest, Poller, Ready};

/// More clients wait in the kernel's queue.
const MOST_STREAMS: usize = 8192;
/// What all connections together may have read and not yet written.
const MOST_PENDING: usize = 128 << 20;
/// What one connection reads at once: larger makes it no faster, smaller does.
const LARGEST_READ: usize = 256 << 10;
const SMALLEST_READ: usize = 8 << 10;
/// How many clients of one port are accepted before others have their turn.
const ROUNDS: usize = 64;
/// How long no client is accepted when this process or the host has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

struct Streams {
    poller: Poller,
    listeners: Vec<(Listener, Interest)>,
    streams: HashMap<u64, Stream>,
    next: u64,
    buffer: Vec<u8>,
    /// Until when no clients are accepted.
    paused: Option<Instant>,
}

/// Forwards until the poller says stop.
pub(super) fn run(poller: Poller, listeners: Vec<Listener>) {
    let listeners = listeners.into_iter().map(|listener| (listener, Interest::NONE)).collect();
    let mut all =
        Streams { poller, listeners, streams: HashMap::new(), next: 0, buffer: vec![0; LARGEST_READ], paused: None };
    let mut ready = Vec::new();
    loop {
        all.listen();
        if all.poller.wait(all.paused, &mut ready).is_none() {
            return;
        }
        for ready in &ready {
            all.handle(*ready);
        }
    }
}

impl Streams {
    /// Watches the listeners as long as there may be more connections.
    fn listen(&mut self) {
        if self.paused.is_some_and(|until| until <= Instant::now()) {
            self.paused = None;
        }
        let accepting = self.paused.is_none() && self.streams.len() < MOST_STREAMS;
        let wanted = if accepting { Interest::READ } else { Interest::NONE };
        for (token, (listener, interest)) in (0..).zip(&mut self.listeners) {
            if self.poller.watch(&listener.socket, token, interest, wanted).is_err() {
                self.paused = Some(Instant::now() + PAUSE);
            }
        }
    }

    /// The tokens of a stream's ends; those below are the listeners'.
    fn tokens(&self, number: u64) -> (u64, u64) {
        let first = self.listeners.len() as u64 + 2 * number;
        (first, first + 1)
    }

    fn handle(&mut self, ready: Ready) {
        let listeners = self.listeners.len() as u64;
        if ready.token < listeners {
            self.accept(ready.token);
        } else {
            self.advance((ready.token - listeners) / 2, ready.error);
        }
    }

    fn accept(&mut self, token: u64) {
        for _ in 0..ROUNDS {
            // The token is one of a listener, and these are few.
            let Some((listener, _)) = usize::try_from(token).ok().and_then(|at| self.listeners.get(at)) else { return };
            if self.streams.len() >= MOST_STREAMS {
                return;
            }
            match accept_with(&listener.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).and_then(afford) {
                Ok(client) => match Stream::new(client, listener.container_port) {
                    Ok(stream) => {
                        let number = self.next;
                        self.next += 1;
                        self.streams.insert(number, stream);
                        self.advance(number, false);
                    }
                    Err(error) if is_short(error) => return self.pause(),
                    // The client was told.
                    Err(_) => {}
                },
                Err(Errno::AGAIN) => return,
                Err(error) if is_short(error) => return self.pause(),
                // A client that went away before it was accepted.
                Err(_) => {}
            }
        }
    }

    fn pause(&mut self) {
        self.paused = Some(Instant::now() + PAUSE);
    }

    fn advance(&mut self, number: u64, broken: bool) {
        let tokens = self.tokens(number);
        let size = (MOST_PENDING / (2 * self.streams.len().max(1))).clamp(SMALLEST_READ, LARGEST_READ);
        // Events of one turn may be about a stream that ended in it.
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let going =
            if broken { Err(Errno::CONNRESET) } else { stream.advance(&self.poller, tokens, &mut self.buffer[..size]) };
        match going {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => stream.reset(),
        }
        self.streams.remove(&number);
    }
}

/// Whether this process or the host has too little of something.
fn is_short(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}
