//! Network namespaces that are made before anybody needs them: the kernel takes as long for one as for the rest of a sandbox.

use std::io;
use std::thread::{self, JoinHandle};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::{forked, raw};

/// A network namespace with a loopback interface, in which nobody is or was.
#[derive(Debug)]
pub struct NetworkNamespace(OwnedFd);

/// One that is being made.
#[derive(Debug)]
pub struct NetworkInTheMaking(JoinHandle<io::Result<NetworkNamespace>>);

impl NetworkNamespace {
    /// Begins to make one. Only a thread that ends is ever in it.
    pub fn begin() -> io::Result<NetworkInTheMaking> {
        thread::Builder::new().name("network".to_owned()).spawn(make).map(NetworkInTheMaking)
    }
}

impl NetworkInTheMaking {
    pub fn wait(self) -> io::Result<NetworkNamespace> {
        let failed = |_| Err(io::Error::other("the thread that makes a network namespace failed"));
        self.0.join().unwrap_or_else(failed)
    }
}

impl AsFd for NetworkNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn make() -> io::Result<NetworkNamespace> {
    // SAFETY: descriptors stay shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    raw::loopback_up()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = openat(CWD, c"/proc/thread-self/ns/net", flags, Mode::empty())?;
    Ok(NetworkNamespace(forked::above_standard(namespace)?))
}

/// Moves this process into it. Makes a system call only.
pub(super) fn enter(namespace: &NetworkNamespace) -> rustix::io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}
