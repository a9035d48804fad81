//! The end of a container: what is put away, in the order in which others may see it.

use std::fs;
use std::path::Path;

use kiln_exec::Status;
use kiln_store::{ContainerLock, Store};
use kiln_sys::cgroup::Cgroup;
use rustix::event::{PollFd, PollFlags, poll};

use super::client::Role;
use super::serve::Supervisor;
use crate::protocol::Answer;
use crate::{Container, Phase, socket};

/// Removes what a supervisor that was killed could not, and one that failed.
pub(super) fn clear(container: &Container) {
    let _ = socket::remove(container.folder.path());
    let _ = fs::remove_dir_all(container.scratch());
    let _ = Cgroup::at(container.state.cgroup.clone()).remove();
}

/// For `--rm`: with its anonymous volumes.
pub(super) fn remove(store: &Store, container: &Container, lock: ContainerLock) {
    let record = container.folder.record.clone();
    if store.remove_locked_container(container.folder.clone(), lock).is_ok() {
        let _ = store.remove_anonymous_volumes(&record);
    }
}

impl Supervisor<'_> {
    /// The state is written before the lock goes, and the lock before clients are told: whoever learns of the end finds
    /// it to be so.
    pub(super) fn finish(mut self, root: &Path, lock: ContainerLock, status: Status) {
        self.end_run(status, Phase::Exited);
        let _ = self.container.write_state();
        clear(&self.container);
        match self.container.spec.auto_remove.then(|| Store::open(root)) {
            Some(Ok(store)) => remove(&store, &self.container, lock),
            _ => drop(lock),
        }
        self.say_goodbye(status.code());
    }

    /// Everything that clients are still to be told. Who does not listen is waited for: nothing but this process is held
    /// up by that.
    fn say_goodbye(&mut self, code: i32) {
        for client in self.clients.values_mut() {
            match client.role {
                Role::Attached { .. } | Role::Stopping => client.tell(&Answer::Ended(code)),
                Role::Asking => client.refuse(format!("container {} is not running", self.container.name()), 1),
                Role::Served => {}
            }
        }
        self.clients.retain(|_, client| client.send() && client.has_unsent());
        while !self.clients.is_empty() {
            let polled = self.clients.values().map(|client| PollFd::new(client.stream(), PollFlags::OUT));
            let _ = poll(&mut polled.collect::<Vec<_>>(), None);
            self.clients.retain(|_, client| client.send() && client.has_unsent());
        }
    }
}
