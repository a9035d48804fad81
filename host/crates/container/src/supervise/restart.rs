//! Starting a container again that has ended by itself. The supervisor stays, with its lock, its socket and the log;
//! meanwhile it hears who wants to end it for good.

use std::path::Path;
use std::time::Instant;

use kiln_exec::Status;
use kiln_store::Store;
use kiln_sys::cgroup::Cgroup;

use super::client::Role;
use super::job::Job;
use super::serve::{MAIN, Supervisor};
use super::{code_of, said, start};
use crate::error::Result;
use crate::protocol::{Answer, PIECE, Request};
use crate::{Phase, now};

impl Supervisor<'_> {
    /// Looks after the container through all its restarts. Answers how it ended for good.
    pub(super) fn serve_restarts(&mut self, root: &Path) -> Status {
        loop {
            let began = Instant::now();
            let status = self.serve();
            if self.is_to_end {
                return status;
            }
            let Some(pause) = self.restarts.next(status.code(), began.elapsed()) else { return status };
            self.end_run(status, Phase::Restarting);
            let _ = self.container.write_state();
            self.tell_end(status.code());
            self.rest(Instant::now() + pause);
            if self.is_to_end {
                return status;
            }
            if let Err(error) = self.start_again(root) {
                self.container.state.error = said(&error);
                // What was made for the start that failed.
                let _ = Cgroup::at(self.container.state.cgroup.clone()).remove();
                return Status::Exited(code_of(&error).into());
            }
        }
    }

    /// Who waited for this end, or saw the container's output, is told that it came.
    fn tell_end(&mut self, code: i32) {
        for client in self.clients.values_mut() {
            if matches!(client.role, Role::Attached { .. }) {
                client.tell(&Answer::Ended(code));
                client.role = Role::Served;
                client.send();
            }
        }
    }

    /// Listens to clients until then, or until somebody wants it to end.
    fn rest(&mut self, until: Instant) {
        let mut buffer = vec![0; PIECE];
        self.rest_until = Some(until);
        while !self.is_to_end && Instant::now() < until {
            for ready in self.wait() {
                self.handle(ready, &mut buffer);
            }
            self.clients.retain(|_, client| !client.is_served());
        }
        self.rest_until = None;
    }

    fn start_again(&mut self, root: &Path) -> Result<()> {
        self.container.state.restarts = self.restarts.count;
        let store = Store::open(root)?;
        // Nobody is there to be warned.
        let (started, running) =
            start::start(&store, self.executor, &mut self.container, &Request::Watch, &mut |_| {})?;
        self.identity = started.id;
        self.running = running;
        self.jobs.insert(MAIN, Job::new(started)?);
        self.monitor = self.new_monitor();
        Ok(())
    }

    /// What is true of every end.
    pub(super) fn end_run(&mut self, status: Status, phase: Phase) {
        self.kill_at = None;
        self.monitor = None;
        // The next run's first words do not belong to the last line of this one.
        self.log.finish();
        self.running.published.clear();
        self.running.network = None;
        self.jobs.clear();
        let state = &mut self.container.state;
        state.phase = phase;
        state.pid = None;
        state.exit_code = status.code();
        state.finished = Some(now());
        state.ports.clear();
        if let Some(health) = &mut state.health {
            // Docker's, of a container that does not run.
            health.status = crate::HealthStatus::Unhealthy;
        }
        if let Some(cgroup) = self.running.cgroup.take() {
            state.oom_killed = cgroup.usage().out_of_memory.is_some_and(|killed| killed > 0);
            let _ = cgroup.remove();
        }
        state.cgroup.clear();
        // What is shared with the next run, if there is one, stays.
        let _ = std::fs::remove_dir_all(self.container.scratch().join(start::OWN));
    }
}
