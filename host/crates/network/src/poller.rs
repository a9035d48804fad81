//! Waiting for many descriptors at once, and being told to stop.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use crate::{Error, Result, namespace};

/// What a descriptor is waited for. With neither it is not watched at all: an error or the end of a connection would be
/// reported again and again to someone who cannot act on it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Interest {
    pub(crate) const NONE: Self = Self { read: false, write: false };
    pub(crate) const READ: Self = Self { read: true, write: false };
    pub(crate) const WRITE: Self = Self { read: false, write: true };

    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

/// A descriptor that is ready, by the token it was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    /// The connection is broken; its error is to be asked for.
    pub(crate) error: bool,
}

/// The token of the descriptor that tells the loop to stop.
const STOP: u64 = u64::MAX;
const MOST_EVENTS: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct Poller {
    epoll: Arc<OwnedFd>,
    stop: Arc<OwnedFd>,
}

impl Poller {
    pub(crate) fn new() -> std::result::Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&epoll, &stop, EventData::new_u64(STOP), EventFlags::IN)?;
        Ok(Self { epoll: Arc::new(epoll), stop })
    }

    /// Changes what `descriptor` is waited for from `now` to `wanted`.
    pub(crate) fn watch(
        &self,
        descriptor: impl AsFd,
        token: u64,
        now: &mut Interest,
        wanted: Interest,
    ) -> std::result::Result<(), Errno> {
        if *now == wanted {
            return Ok(());
        }
        let data = EventData::new_u64(token);
        match (*now, wanted) {
            (Interest::NONE, _) => epoll::add(&self.epoll, descriptor, data, wanted.flags())?,
            (_, Interest::NONE) => epoll::delete(&self.epoll, descriptor)?,
            _ => epoll::modify(&self.epoll, descriptor, data, wanted.flags())?,
        }
        *now = wanted;
        Ok(())
    }

    /// Waits until something is ready or `deadline` has come; `None` when the loop is to stop.
    pub(crate) fn wait(&self, deadline: Option<Instant>, ready: &mut Vec<Ready>) -> Option<()> {
        ready.clear();
        let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        let mut events = [const { MaybeUninit::uninit() }; MOST_EVENTS];
        let events = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Some(()),
            // The descriptor is ours and the buffer is valid: nothing but the loop itself can be wrong.
            Err(_) => return None,
        };
        for event in events {
            let (token, flags) = (event.data.u64(), event.flags);
            if token == STOP {
                return None;
            }
            ready.push(Ready { token, error: flags.contains(EventFlags::ERR) });
        }
        Some(())
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// A thread that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: Arc<OwnedFd>,
    /// What is waited for then.
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Runs `body`, which uses `poller` until that says stop, in a thread; inside `namespace` if there is one.
    pub(crate) fn start(
        name: &str,
        poller: &Poller,
        namespace: Option<OwnedFd>,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<Self> {
        let (entered, result) = mpsc::sync_channel(1);
        let run = move || {
            let outcome = namespace.map_or(Ok(()), |namespace| namespace::enter(namespace.as_fd()));
            let inside = outcome.is_ok();
            // Whoever waits for it is below.
            let _ = entered.send(outcome);
            if inside {
                body();
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|source| Error::System { action: "start a thread", source })?;
        match result.recv() {
            Ok(Ok(())) => Ok(Self { stop: Arc::clone(&poller.stop), thread: Some(thread) }),
            Ok(Err(source)) => Err(Error::System { action: namespace::ENTER, source }),
            Err(mpsc::RecvError) => unreachable!("the thread sends before it ends"),
        }
    }

    /// Makes dropping it tell the thread to end, and not wait until it did.
    pub(crate) fn unawaited(mut self) -> Self {
        self.thread = None;
        self
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It cannot fail: the counter is far from full.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic there ended the thread already.
            let _ = thread.join();
        }
    }
}
