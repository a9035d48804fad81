//! Asking the supervisor of a container that runs.

use kiln_container::protocol::Request;
use kiln_container::{Container, Error};

#[cfg(unix)]
pub(super) fn ask(container: &Container, request: Request) -> Result<(), Error> {
    kiln_container::client::ask(container, request)
}

/// There is none.
#[cfg(not(unix))]
pub(super) fn ask(container: &Container, _: Request) -> Result<(), Error> {
    Err(Error::NotRunning { name: container.name().to_owned() })
}
