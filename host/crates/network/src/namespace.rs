//! Doing something inside another network namespace.

use std::os::fd::{AsFd, BorrowedFd};
use std::{io, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Error, Result};

pub(crate) const ENTER: &str = "enter the container's network";

/// Moves the calling thread into `namespace`, for the rest of its life. Sockets that it makes belong there.
pub(crate) fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Runs `body` in a thread inside `namespace`.
pub(crate) fn inside<T: Send>(namespace: BorrowedFd<'_>, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let run = || {
        enter(namespace.as_fd()).map_err(|source| Error::System { action: ENTER, source })?;
        body()
    };
    thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
