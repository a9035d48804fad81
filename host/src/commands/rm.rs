//! `kiln rm`.

use std::process::ExitCode;

use kiln_container::{Container, signal};
use kiln_store::Error;

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
            Err(error) => return Err(error.into()),
        };
        if folder.is_locked()? {
            if !options.force {
                let failure = Failure::new(format!("cannot remove container {name}: it is running"));
                return Err(failure.hint("stop it first, or use -f").into());
            }
            // It may end by itself meanwhile, and with --rm even be gone.
            if let Ok(container) = Container::open(folder.clone()) {
                let _ = kill::kill(&container, signal::SIGKILL);
            }
            folder.wait()?;
        }
        match kiln_container::remove(&store, folder, options.volumes) {
            Err(kiln_container::Error::Store(Error::NoSuchContainer { .. })) if options.force => Ok(()),
            removed => Ok(removed?),
        }
    })
}
