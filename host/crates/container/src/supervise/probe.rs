//! Asks the healthcheck at its times.

use std::time::{Duration, Instant};

use super::said;
use super::serve::Supervisor;
use crate::health::{Check, MAX_OUTPUT};
use crate::protocol::Exec;
use crate::{Health, Probe, now};

/// Of a container that has a healthcheck.
pub(super) struct Monitor {
    check: Check,
    container_started: Instant,
    next: Instant,
    asked: Option<Asked>,
}

/// An answer that is waited for.
struct Asked {
    job: u64,
    start: i64,
    age: Duration,
    deadline: Instant,
    output: Vec<u8>,
}

impl Monitor {
    pub(super) fn new(check: Check) -> Self {
        let now = Instant::now();
        let next = now + check.pause(&Health::default(), Duration::ZERO);
        Self { check, container_started: now, next, asked: None }
    }

    /// When there is something to do next.
    pub(super) fn due(&self) -> Instant {
        self.asked.as_ref().map_or(self.next, |asked| asked.deadline)
    }

    pub(super) fn is_due(&self) -> bool {
        self.asked.is_none() && Instant::now() >= self.next
    }

    pub(super) fn asked(&mut self, job: u64) {
        let start = Instant::now();
        self.asked = Some(Asked {
            job,
            start: now(),
            age: start - self.container_started,
            deadline: start + self.check.timeout,
            output: Vec::new(),
        });
    }

    /// The process of the check that has taken too long.
    pub(super) fn overdue(&self) -> Option<u64> {
        let asked = self.asked.as_ref()?;
        (Instant::now() >= asked.deadline).then_some(asked.job)
    }

    pub(super) fn is_asking(&self, job: u64) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.job == job)
    }

    pub(super) fn heard(&mut self, bytes: &[u8]) {
        if let Some(asked) = &mut self.asked {
            let room = MAX_OUTPUT.saturating_sub(asked.output.len());
            asked.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Takes the answer: an exit code, or −1 with a reason.
    pub(super) fn answer(&mut self, health: &mut Health, exit_code: i32, reason: Option<String>) {
        let Some(asked) = self.asked.take() else { return };
        let output = reason.unwrap_or_else(|| String::from_utf8_lossy(&asked.output).into_owned());
        let probe = Probe { start: asked.start, end: now(), exit_code, output };
        self.check.record(health, probe, asked.age);
        self.pause(health);
    }

    /// The next time is counted from now on.
    pub(super) fn pause(&mut self, health: &Health) {
        self.next = Instant::now() + self.check.pause(health, self.container_started.elapsed());
    }
}

impl Supervisor<'_> {
    /// Ends a check that takes too long, or begins the next.
    pub(super) fn watch_health(&mut self) {
        let Some(monitor) = &self.monitor else { return };
        if let Some(job) = monitor.overdue() {
            let reason = format!("Health check exceeded timeout ({:?})", monitor.check.timeout);
            self.answered(job, -1, Some(reason));
            // Or what it waits for would pile up, check after check.
            if let Some(job) = self.jobs.get(&job) {
                let _ = job.kill_all();
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

    pub(super) fn answered(&mut self, job: u64, code: i32, reason: Option<String>) {
        let Some(monitor) = self.monitor.as_mut().filter(|monitor| monitor.is_asking(job)) else { return };
        let health = self.container.state.health.get_or_insert_default();
        monitor.answer(health, code, reason);
        let _ = self.container.write_state();
    }
}
