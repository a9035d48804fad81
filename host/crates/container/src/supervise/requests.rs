//! What clients ask for and say, and what is done about it.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::client::{Client, Role};
use super::serve::{MAIN, Supervisor};
use super::{code_of, said};
use crate::error::{Error, Result};
use crate::protocol::{Answer, Incoming, Message, Request, WindowSize};
use crate::signal::{SIGKILL, SIGTERM};
use crate::{Phase, signal};

/// What `stop` and a machine that goes down leave a container by default.
const DEFAULT_PATIENCE: u64 = 10;

impl Supervisor<'_> {
    pub(super) fn admit(&mut self, stream: UnixStream, incoming: Incoming) -> Option<u64> {
        let client = Client::new(stream, incoming).ok()?;
        let id = self.next_id();
        self.clients.insert(id, client);
        Some(id)
    }

    /// A client has gone, or speaks another language.
    pub(super) fn part(&mut self, id: u64) {
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
    pub(super) fn hear(&mut self, id: u64) {
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

    pub(super) fn grant(&mut self, id: u64, request: Request) {
        let name = self.container.name().to_owned();
        let (answer, role) = match request {
            Request::Watch => (Ok(()), Role::Served),
            Request::Wait => (Ok(()), Role::Attached { to: MAIN, stdin: false, stdout: false, stderr: false }),
            Request::Attach(_) | Request::Exec(_) if self.container.state.phase == Phase::Restarting => {
                let message = format!("container {name} is restarting; wait until it runs");
                (Err(Error::Refused { message, code: 1 }), Role::Served)
            }
            Request::Attach(_) | Request::Exec(_) if self.is_paused() => {
                let message = format!("container {name} is paused; let it go on with `kiln unpause {name}`");
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
    fn redraw(&self, size: WindowSize) {
        if let Some(job) = self.jobs.get(&MAIN) {
            job.resize(WindowSize { rows: size.rows.saturating_add(1), ..size });
            job.resize(size);
        }
    }

    pub(super) fn signal(&mut self, signal: i32) -> Result<()> {
        self.is_to_end |= [SIGKILL, self.stop_signal()].contains(&signal);
        // Between two starts there is none.
        self.jobs.get(&MAIN).map_or(Ok(()), |job| job.signal(signal))?;
        // The frozen do not even die.
        if self.is_paused() && [SIGKILL, SIGTERM, self.stop_signal()].contains(&signal) {
            self.freeze(false)?;
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, signal: i32, seconds: Option<u64>) -> Result<()> {
        let kill_at = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        self.is_to_end = true;
        // Of several who stop it the most impatient counts.
        self.kill_at = [self.kill_at, kill_at].into_iter().flatten().min();
        if self.is_paused() {
            self.freeze(false)?;
        }
        self.signal(signal)
    }

    pub(super) fn stop_signal(&self) -> i32 {
        let named = self.container.spec.config.stop_signal.as_deref();
        named.and_then(|name| signal::parse(name).ok()).unwrap_or(SIGTERM)
    }

    pub(super) fn patience(&self) -> u64 {
        self.container.spec.stop_timeout.map_or(DEFAULT_PATIENCE, |seconds| u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    fn freeze(&mut self, frozen: bool) -> Result<()> {
        let name = self.container.name();
        let refused = |message| Err(Error::Refused { message, code: 1 });
        match (self.container.state.phase, frozen) {
            (Phase::Paused, true) => return refused(format!("container {name} is paused already")),
            (Phase::Paused, false) | (Phase::Running, true) => {}
            (Phase::Restarting, _) => return refused(format!("container {name} is restarting; wait until it runs")),
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
