//! `kiln rm`.

use std::path::Path;
use std::process::ExitCode;

use kiln_container::{Container, signal};
use kiln_store::{Error, Store};

use super::{each, kill};
use crate::cli::rm::Rm;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Rm, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    each::each(&options.containers, &mut |name| {
        let folder = match store.container(name) {
            Ok(folder) => folder,
            Err(Error::NoSuchContainer { .. }) if options.force => return Ok(()),
            Err(Error::DamagedContainer { .. }) => return remove_damaged(&store, name, options.force),
            Err(error) => return Err(error.into()),
        };
        if folder.is_locked()? {
            if !options.force {
                return Err(runs(name).into());
            }
            // It may end by itself meanwhile, and with --rm even be gone.
            match Container::open(folder.clone()) {
                Ok(container) => drop(kill::kill(&container, signal::SIGKILL)),
                Err(_) => kill_unread(folder.path(), name)?,
            }
            folder.wait()?;
        }
        match kiln_container::remove(&store, folder, options.volumes) {
            Err(kiln_container::Error::Store(Error::NoSuchContainer { .. })) if options.force => Ok(()),
            removed => Ok(removed?),
        }
    })
}

fn runs(name: &str) -> Failure {
    Failure::new(format!("cannot remove container {name}: it is running")).hint("stop it first, or use -f")
}

/// Of one whose record cannot be read, the folder is known, and that is enough.
fn remove_damaged(store: &Store, name: &str, force: bool) -> anyhow::Result<()> {
    let Some(container) = store.damaged_container(name)? else { return Ok(()) };
    if container.is_locked()? {
        if !force {
            return Err(runs(name).into());
        }
        kill_unread(container.path(), name)?;
        container.wait()?;
    }
    Ok(kiln_container::remove_damaged(store, container)?)
}

/// Kills a container of which nothing can be read but its folder.
#[cfg(unix)]
fn kill_unread(folder: &Path, name: &str) -> anyhow::Result<()> {
    use kiln_container::client::Connection;
    use kiln_container::protocol::Request;

    let killed =
        Connection::at(folder, name).and_then(|mut supervisor| supervisor.ask(Request::Signal(signal::SIGKILL)));
    match killed {
        Ok(()) | Err(kiln_container::Error::Gone { .. }) => Ok(()),
        Err(kiln_container::Error::NotRunning { .. }) => Err(in_use(name).into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn kill_unread(_: &Path, name: &str) -> anyhow::Result<()> {
    Err(in_use(name).into())
}

fn in_use(name: &str) -> Failure {
    Failure::new(format!("cannot remove container {name}: another kiln has it, which does not answer"))
        .hint("wait until that has ended, or end it")
}
