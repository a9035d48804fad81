//! The loop: whatever can be read or written next, and what is due.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use kiln_exec::Status;
use kiln_exec::namespaces::{Namespaces, Started};
use kiln_sys::process::Identity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::{Client, Role};
use super::exec;
use super::job::{Job, Read};
use super::probe::Monitor;
use super::start::Running;
use crate::error::{Error, Result};
use crate::health::Check;
use crate::log::Log;
use crate::protocol::{Answer, Exec, Incoming, PIECE, Request, Stream};
use crate::restart::Restarts;
use crate::signal::SIGKILL;
use crate::{Container, Phase};

/// Among the jobs.
pub(super) const MAIN: u64 = 0;
/// At once; each costs memory for what it has not read.
const MOST_CLIENTS: usize = 256;
/// How long nobody is admitted when that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// No pipe of an ordinary user holds more.
const MOST_LEFT: usize = 1 << 20;

pub(super) struct Supervisor<'a> {
    pub(super) executor: &'a Namespaces,
    pub(super) container: Container,
    pub(super) running: Running,
    pub(super) log: Log,
    listener: UnixListener,
    terminate: Option<UnixStream>,
    pub(super) identity: Identity,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) clients: BTreeMap<u64, Client>,
    next: u64,
    pub(super) kill_at: Option<Instant>,
    pub(super) monitor: Option<Monitor>,
    pub(super) restarts: Restarts,
    /// Somebody wants it to end: then it is not started again.
    pub(super) is_to_end: bool,
    /// When it is started again.
    pub(super) rest_until: Option<Instant>,
}

/// What is ready.
#[derive(Clone, Copy)]
pub(super) enum Ready {
    Listener,
    Terminate,
    Exit(u64),
    Output(u64, Stream),
    Sink(u64),
    /// Whether it is gone, and which.
    Client(bool, u64),
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        executor: &'a Namespaces,
        container: Container,
        listener: UnixListener,
        started: Started,
        running: Running,
        terminate: UnixStream,
    ) -> Result<Self> {
        listener.set_nonblocking(true).map_err(Error::io("listen at", container.socket()))?;
        let log = Log::open(&container.log(), &container.spec.log).map_err(Error::io("open", container.log()))?;
        let identity = started.id;
        let mut supervisor = Self {
            executor,
            running,
            log,
            listener,
            terminate: Some(terminate),
            identity,
            jobs: [(MAIN, Job::new(started)?)].into(),
            clients: BTreeMap::new(),
            next: MAIN + 1,
            kill_at: None,
            monitor: None,
            restarts: Restarts::new(container.spec.restart),
            is_to_end: false,
            rest_until: None,
            container,
        };
        supervisor.monitor = supervisor.new_monitor();
        Ok(supervisor)
    }

    pub(super) fn new_monitor(&self) -> Option<Monitor> {
        let spec = &self.container.spec;
        let check = spec.healthcheck().and_then(|check| Check::new(check, spec.config.shell.as_deref()));
        check.map(Monitor::new)
    }

    /// The client that had it started, and its request.
    pub(super) fn welcome(&mut self, stream: UnixStream, incoming: Incoming, request: Request) {
        if let Some(id) = self.admit(stream, incoming) {
            self.grant(id, request);
            self.hear(id);
        }
    }

    /// Until the container's process has ended.
    pub(super) fn serve(&mut self) -> Status {
        let mut buffer = vec![0; PIECE];
        loop {
            for ready in self.wait() {
                self.handle(ready, &mut buffer);
            }
            self.be_on_time();
            self.clients.retain(|_, client| !client.is_served());
            if let Some(status) = self.jobs[&MAIN].status {
                self.drain(MAIN, &mut buffer);
                return status;
            }
            let lingering = |job: &Job| job.status.is_some() && job.outputs().next().is_none();
            self.jobs.retain(|_, job| !lingering(job));
        }
    }

    pub(super) fn wait(&self) -> Vec<Ready> {
        let wanted = self.wanted();
        let polled = wanted.iter().map(|(_, descriptor, flags)| PollFd::from_borrowed_fd(*descriptor, *flags));
        let mut polled: Vec<PollFd<'_>> = polled.collect();
        let timeout = self.due().map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(|left| Timespec::try_from(left + Duration::from_millis(1)).unwrap_or_default());
        if poll(&mut polled, timeout.as_ref()).is_err() {
            // A signal came; whatever was ready still is.
            return Vec::new();
        }
        let ready = wanted.iter().zip(&polled).filter(|(_, polled)| !polled.revents().is_empty());
        let key = |(key, polled): (&(Ready, BorrowedFd<'_>, PollFlags), &PollFd<'_>)| match key.0 {
            Ready::Client(_, id) => Ready::Client(polled.revents().intersects(PollFlags::HUP | PollFlags::ERR), id),
            other => other,
        };
        ready.map(key).collect()
    }

    fn wanted(&self) -> Vec<(Ready, BorrowedFd<'_>, PollFlags)> {
        let mut wanted = Vec::new();
        if self.clients.len() < MOST_CLIENTS {
            wanted.push((Ready::Listener, self.listener.as_fd(), PollFlags::IN));
        }
        wanted.extend(self.terminate.iter().map(|end| (Ready::Terminate, end.as_fd(), PollFlags::IN)));
        for (&id, job) in &self.jobs {
            wanted.extend(job.exit().map(|exit| (Ready::Exit(id), exit, PollFlags::IN)));
            wanted.extend(job.waiting_sink().map(|sink| (Ready::Sink(id), sink, PollFlags::OUT)));
            // Who is behind holds the container up, as a terminal that was stopped does.
            let behind = self.attached(id).any(|client| client.is_behind());
            let outputs = job.outputs().filter(|_| !behind);
            wanted.extend(outputs.map(|(stream, fd)| (Ready::Output(id, stream), fd, PollFlags::IN)));
        }
        for (&id, client) in &self.clients {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::OUT, client.has_unsent());
            flags.set(PollFlags::IN, self.job_of(client).is_none_or(Job::takes_input));
            wanted.push((Ready::Client(false, id), client.stream().as_fd(), flags));
        }
        wanted
    }

    fn attached(&self, job: u64) -> impl Iterator<Item = &Client> {
        self.clients.values().filter(move |client| matches!(client.role, Role::Attached { to, .. } if to == job))
    }

    fn job_of(&self, client: &Client) -> Option<&Job> {
        match client.role {
            Role::Attached { to, .. } => self.jobs.get(&to),
            Role::Asking | Role::Stopping | Role::Served => None,
        }
    }

    fn due(&self) -> Option<Instant> {
        let asked = self.monitor.as_ref().filter(|_| !self.is_paused()).map(Monitor::due);
        [self.kill_at, asked, self.rest_until].into_iter().flatten().min()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.container.state.phase == Phase::Paused
    }

    pub(super) fn handle(&mut self, ready: Ready, buffer: &mut [u8]) {
        match ready {
            Ready::Listener => {
                match self.listener.accept() {
                    Ok((stream, _)) => drop(self.admit(stream, Incoming::default())),
                    // No descriptors are left, say. Whoever waits still does, and would be found again at once.
                    Err(_) => std::thread::sleep(ACCEPT_PAUSE),
                }
            }
            Ready::Terminate => {
                self.terminate = None;
                let signal = self.stop_signal();
                let _ = self.stop(signal, Some(self.patience()));
            }
            Ready::Exit(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.reap();
                }
                if id != MAIN {
                    self.ended(id, buffer);
                }
            }
            Ready::Output(id, stream) => {
                self.read(id, stream, buffer);
            }
            Ready::Sink(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.pass_input();
                }
            }
            Ready::Client(gone, id) => {
                let Some(client) = self.clients.get(&id) else { return };
                let takes_input = self.job_of(client).is_none_or(Job::takes_input);
                let Some(client) = self.clients.get_mut(&id) else { return };
                // What one that is gone said last is lost if nobody takes it now.
                let heard = if takes_input { client.receive() } else { !gone };
                if !heard || !client.send() {
                    self.part(id);
                } else {
                    self.hear(id);
                }
            }
        }
    }

    /// Reads one piece and hands it on. 0 if there was none.
    fn read(&mut self, id: u64, stream: Stream, buffer: &mut [u8]) -> usize {
        let Some(job) = self.jobs.get_mut(&id) else { return 0 };
        let Read::Bytes(length) = job.read(stream, buffer) else { return 0 };
        let bytes = &buffer[..length];
        if id == MAIN {
            self.log.write(stream, bytes);
        }
        if let Some(monitor) = self.monitor.as_mut().filter(|monitor| monitor.is_asking(id)) {
            monitor.heard(bytes);
        }
        for client in self.clients.values_mut() {
            if let Role::Attached { to, stdout, stderr, .. } = client.role
                && to == id
                && (if stream == Stream::Out { stdout } else { stderr })
            {
                client.tell(&Answer::Output(stream, bytes.to_vec()));
                // Mostly at once; what is left goes when the client is ready.
                client.send();
            }
        }
        length
    }

    /// What is still in the pipes of a job that has ended. Others that it started may go on writing to them.
    fn drain(&mut self, id: u64, buffer: &mut [u8]) {
        for stream in [Stream::Out, Stream::Err] {
            let mut left = MOST_LEFT;
            while left > 0 {
                match self.read(id, stream, buffer) {
                    0 => break,
                    length => left = left.saturating_sub(length),
                }
            }
        }
    }

    /// A process beside the main one has ended.
    fn ended(&mut self, id: u64, buffer: &mut [u8]) {
        self.drain(id, buffer);
        let Some(code) = self.jobs.get(&id).and_then(|job| job.status).map(Status::code) else { return };
        for client in self.clients.values_mut() {
            if matches!(client.role, Role::Attached { to, .. } if to == id) {
                client.tell(&Answer::Ended(code));
                client.role = Role::Served;
                client.send();
            }
        }
        self.answered(id, code, None);
    }

    fn be_on_time(&mut self) {
        if self.kill_at.is_some_and(|at| Instant::now() >= at) {
            self.kill_at = None;
            let _ = self.signal(SIGKILL);
        }
        if !self.is_paused() {
            self.watch_health();
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }

    pub(super) fn start_job(&mut self, id: u64, wanted: &Exec) -> Result<()> {
        let started = exec::enter(self.executor, &self.container, &self.running, self.identity, wanted)?;
        self.jobs.insert(id, Job::new(started)?);
        Ok(())
    }
}
