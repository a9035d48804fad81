//! Another process in the container that runs: `exec`, and the healthcheck's.

use kiln_exec::namespaces::{Confinement, Enter, Namespaces, Size, Started, root_of};
use kiln_exec::{Clock, Network, Process};
use kiln_types::Digest;

use super::start::{Running, environment, set};
use super::user::Accounts;
use crate::Container;
use crate::error::{Error, Result};
use crate::protocol::Exec;

pub(super) fn enter(
    executor: &Namespaces,
    container: &Container,
    running: &Running,
    of: kiln_sys::process::Identity,
    wanted: &Exec,
) -> Result<Started> {
    let spec = &container.spec;
    let user = match &wanted.user {
        Some(user) => {
            let accounts = Accounts::of_root(root_of(of)?);
            // Docker says so with the code of what cannot be executed.
            let resolved = accounts.resolve(user, &[]);
            resolved.map_err(|error| Error::Refused { message: error.to_string(), code: 126 })?
        }
        None => running.user.clone(),
    };
    let mut env = environment(spec, &user, wanted.terminal);
    for (name, value) in &wanted.env {
        set(&mut env, name, value);
    }
    let process = Process {
        argv: wanted.argv.clone(),
        env,
        cwd: wanted.cwd.clone().unwrap_or_else(|| spec.directory()),
        user,
        hostname: spec.hostname.clone(),
        network: Network::Host,
        hosts: Vec::new(),
        insecure: wanted.privileged,
        seed: Digest::of(container.id()),
        clock: Clock::Host,
        guest_tools: false,
    };
    let confinement =
        Confinement { privileged: running.confinement.privileged || wanted.privileged, ..running.confinement.clone() };
    let how = Enter {
        confinement: &confinement,
        terminal: wanted.terminal.then(|| wanted.size.map_or(Size { rows: 24, columns: 80 }, Size::from)),
        stdin: wanted.stdin,
        given: [None, None, None],
        cgroup: running.cgroup.as_ref(),
    };
    let mut started = executor.enter(of, &process, &how)?;
    started.go()?;
    Ok(started)
}
