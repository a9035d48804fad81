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
use super::job::{Job, Read};
use super::probe::Monitor;
use super::start::Running;
use super::{code_of, exec, said};
use crate::error::{Error, Result};
use crate::health::Check;
use crate::log::Log;
use crate::protocol::{Answer, Exec, Incoming, Message, PIECE, Request, Stream};
use crate::signal::{SIGKILL, SIGTERM};
use crate::{Container, Phase, signal, socket};

/// Among the jobs.
pub(super) const MAIN: u64 = 0;
/// At once; each costs memory for what it has not read.
const MOST_CLIENTS: usize = 256;
/// What `stop` and a machine that goes down leave a container by default.
const DEFAULT_PATIENCE: u64 = 10;

pub(super) struct Supervisor<'a> {
    executor: &'a Namespaces,
    pub(super) container: Container,
    pub(super) running: Running,
    pub(super) log: Log,
    listener: UnixListener,
    terminate: Option<UnixStream>,
    identity: Identity,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) clients: BTreeMap<u64, Client>,
    next: u64,
    kill_at: Option<Instant>,
    monitor: Option<Monitor>,
}

/// What is ready.
#[derive(Clone, Copy)]
enum Ready {
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
        started: Started,
        running: Running,
        terminate: UnixStream,
    ) -> Result<Self> {
        let folder = container.folder.path();
        let listener = socket::listen(folder).map_err(Error::io("listen at", container.socket()))?;
        listener.set_nonblocking(true).map_err(Error::io("listen at", container.socket()))?;
        let log = Log::open(&container.log()).map_err(Error::io("open", container.log()))?;
        let shell = container.spec.config.shell.as_deref();
        let check = container.spec.healthcheck().and_then(|check| Check::new(check, shell));
        let identity = started.id;
        Ok(Self {
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
            monitor: check.map(Monitor::new),
            container,
        })
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

    fn wait(&self) -> Vec<Ready> {
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
        [self.kill_at, asked].into_iter().flatten().min()
    }

    fn is_paused(&self) -> bool {
        self.container.state.phase == Phase::Paused
    }

    fn handle(&mut self, ready: Ready, buffer: &mut [u8]) {
        match ready {
            Ready::Listener => {
                if let Ok((stream, _)) = self.listener.accept() {
                    self.admit(stream, Incoming::default());
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

    /// Reads one piece and hands it on. `false` if there was none.
    fn read(&mut self, id: u64, stream: Stream, buffer: &mut [u8]) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let Read::Bytes(length) = job.read(stream, buffer) else { return false };
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
        true
    }

    /// What is still in the pipes of a job that has ended.
    fn drain(&mut self, id: u64, buffer: &mut [u8]) {
        for stream in [Stream::Out, Stream::Err] {
            while self.read(id, stream, buffer) {}
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
        if self.is_paused() {
            return;
        }
        let Some(monitor) = &self.monitor else { return };
        if let Some(job) = monitor.overdue() {
            let reason = format!("Health check exceeded timeout ({:?})", monitor.check.timeout);
            self.answered(job, -1, Some(reason));
            // With its process everything that it started and that stayed with it.
            if let Some(job) = self.jobs.get(&job) {
                let _ = job.signal(SIGKILL);
            }
        } else if monitor.is_due() {
            self.ask();
        }
    }

    /// Runs the healthcheck.
    fn ask(&mut self) {
        let id = self.next_id();
        let Some(monitor) = &mut self.monitor else { return };
        monitor.asked(id);
        let wanted = Exec { argv: monitor.check.argv.clone(), ..Exec::default() };
        match self.start_job(id, &wanted) {
            Ok(()) => {}
            Err(error) => self.answered(id, -1, Some(said(&error))),
        }
    }

    fn answered(&mut self, job: u64, code: i32, reason: Option<String>) {
        let Some(monitor) = self.monitor.as_mut().filter(|monitor| monitor.is_asking(job)) else { return };
        let health = self.container.state.health.get_or_insert_default();
        monitor.answer(health, code, reason);
        let _ = self.container.write_state();
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }

    fn start_job(&mut self, id: u64, wanted: &Exec) -> Result<()> {
        let started = exec::enter(self.executor, &self.container, &self.running, self.identity, wanted)?;
        self.jobs.insert(id, Job::new(started)?);
        Ok(())
    }

    fn admit(&mut self, stream: UnixStream, incoming: Incoming) -> Option<u64> {
        let client = Client::new(stream, incoming).ok()?;
        let id = self.next_id();
        self.clients.insert(id, client);
        Some(id)
    }

    /// A client has gone, or speaks another language.
    fn part(&mut self, id: u64) {
        let Some(client) = self.clients.remove(&id) else { return };
        if let Role::Attached { to, stdin: true, .. } = client.role {
            self.end_input(to);
        }
    }

    fn end_input(&mut self, job: u64) {
        let ends = job != MAIN || self.container.spec.stdin_once;
        if let Some(job) = self.jobs.get_mut(&job).filter(|_| ends) {
            job.end_input();
        }
    }

    /// Takes what a client has said.
    fn hear(&mut self, id: u64) {
        loop {
            let Some(client) = self.clients.get_mut(&id) else { return };
            let message = match client.message() {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(_) => return self.part(id),
            };
            match (message, &client.role) {
                (Message::Request(request), Role::Asking) => self.grant(id, request),
                (Message::Input(bytes), &Role::Attached { to, stdin: true, .. }) => {
                    if let Some(job) = self.jobs.get_mut(&to) {
                        job.feed(&bytes);
                    }
                }
                (Message::EndOfInput, &Role::Attached { to, stdin: true, .. }) => self.end_input(to),
                (Message::Resize(size), &Role::Attached { to, .. }) => {
                    if let Some(job) = self.jobs.get(&to) {
                        job.resize(size);
                    }
                }
                (Message::Signal(signal), &Role::Attached { to, .. }) => {
                    let _ = match to {
                        MAIN => self.signal(signal),
                        to => self.jobs.get(&to).map_or(Ok(()), |job| job.signal(signal)),
                    };
                }
                // Late words of who was served.
                (_, Role::Served | Role::Stopping) => {}
                _ => return self.part(id),
            }
        }
    }

    fn grant(&mut self, id: u64, request: Request) {
        let name = self.container.name().to_owned();
        let (answer, role) = match request {
            Request::Watch => (Ok(()), Role::Served),
            Request::Wait => (Ok(()), Role::Attached { to: MAIN, stdin: false, stdout: false, stderr: false }),
            Request::Attach(_) | Request::Exec(_) if self.is_paused() => {
                let message = format!("container {name} is paused; unpause it first");
                (Err(Error::Refused { message, code: 1 }), Role::Served)
            }
            Request::Attach(attach) => {
                if let Some(size) = attach.size {
                    self.redraw(size);
                }
                let (stdin, stdout, stderr) = (attach.stdin, attach.stdout, attach.stderr);
                (Ok(()), Role::Attached { to: MAIN, stdin, stdout, stderr })
            }
            Request::Exec(wanted) => {
                let job = self.next_id();
                let attached = Role::Attached { to: job, stdin: wanted.stdin, stdout: true, stderr: true };
                let role = if wanted.detached { Role::Served } else { attached };
                (self.start_job(job, &wanted), role)
            }
            Request::Signal(signal) => (self.signal(signal), Role::Served),
            Request::Stop { signal, seconds } => (self.stop(signal, seconds), Role::Stopping),
            Request::Pause | Request::Unpause => (self.freeze(request == Request::Pause), Role::Served),
        };
        let Some(client) = self.clients.get_mut(&id) else { return };
        match answer {
            Ok(()) => {
                client.tell(&Answer::Ready);
                client.role = role;
            }
            Err(error) => client.refuse(said(&error), code_of(&error)),
        }
        client.send();
    }

    /// Programs draw anew when the size of their terminal changes, so it is changed.
    fn redraw(&self, size: crate::protocol::WindowSize) {
        if let Some(job) = self.jobs.get(&MAIN) {
            job.resize(crate::protocol::WindowSize { rows: size.rows.saturating_add(1), ..size });
            job.resize(size);
        }
    }

    fn signal(&mut self, signal: i32) -> Result<()> {
        self.jobs[&MAIN].signal(signal)?;
        // The frozen do not even die.
        if self.is_paused() && [SIGKILL, SIGTERM, self.stop_signal()].contains(&signal) {
            self.freeze(false)?;
        }
        Ok(())
    }

    fn stop(&mut self, signal: i32, seconds: Option<u64>) -> Result<()> {
        let kill_at = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        // Of several who stop it the most impatient counts.
        self.kill_at = [self.kill_at, kill_at].into_iter().flatten().min();
        if self.is_paused() {
            self.freeze(false)?;
        }
        self.signal(signal)
    }

    fn stop_signal(&self) -> i32 {
        let named = self.container.spec.config.stop_signal.as_deref();
        named.and_then(|name| signal::parse(name).ok()).unwrap_or(SIGTERM)
    }

    fn patience(&self) -> u64 {
        self.container.spec.stop_timeout.map_or(DEFAULT_PATIENCE, |seconds| u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    fn freeze(&mut self, frozen: bool) -> Result<()> {
        let name = self.container.name();
        let refused = |message| Err(Error::Refused { message, code: 1 });
        match (self.container.state.phase, frozen) {
            (Phase::Paused, true) => return refused(format!("container {name} is paused already")),
            (Phase::Paused, false) | (Phase::Running, true) => {}
            _ => return refused(format!("container {name} is not paused")),
        }
        let Some(cgroup) = &self.running.cgroup else {
            return refused(format!("container {name} cannot be paused: kiln may make no control groups here"));
        };
        cgroup.freeze(frozen)?;
        self.container.state.phase = if frozen { Phase::Paused } else { Phase::Running };
        if let (false, Some(monitor), Some(health)) = (frozen, &mut self.monitor, &self.container.state.health) {
            monitor.pause(health);
        }
        self.container.write_state()
    }
}
