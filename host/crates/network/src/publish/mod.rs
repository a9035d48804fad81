//! Published ports: listened on in the host's network, served in the container's.

mod bind;
mod datagrams;
mod stream;
mod streams;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::descriptors::afford;
use crate::poller::{Poller, Worker};
use crate::{ADDRESS, Bound, Error, Port, Protocol, Result};

/// Ports that are published until this is dropped; then their connections end, too.
#[derive(Debug)]
pub struct Published {
    bound: Vec<Bound>,
    /// One for each protocol that is used.
    _workers: Vec<Worker>,
}

impl Published {
    /// Where the host listens, in the order of the ports that were asked for.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }
}

/// A port of the container, and the host's socket that leads to it.
#[derive(Debug)]
struct Listener {
    socket: OwnedFd,
    container_port: u16,
}

/// Listens on the host; each connection is connected to the container's port inside the network namespace `namespace`.
///
/// A service is reached at the container's address ([`crate::ADDRESS`]) where the namespace is served, else at
/// 127.0.0.1. The namespace may be without processes still. All ports are bound when this returns, or none.
///
/// # Errors
/// A port that is in use or reserved, an address that the host does not have.
pub fn publish(namespace: BorrowedFd<'_>, ports: &[Port]) -> Result<Published> {
    let (mut bound, mut streams, mut datagrams) = (Vec::new(), Vec::new(), Vec::new());
    for port in ports {
        for (at, socket) in bind::bind(port)? {
            bound.push(at);
            let listeners = match port.protocol {
                Protocol::Tcp => &mut streams,
                Protocol::Udp => &mut datagrams,
            };
            listeners.push(Listener { socket, container_port: port.container_port });
        }
    }
    let mut workers = Vec::new();
    if !streams.is_empty() {
        workers.push(start(namespace, "publish tcp", |poller| streams::run(poller, streams))?);
    }
    if !datagrams.is_empty() {
        workers.push(start(namespace, "publish udp", |poller| datagrams::run(poller, datagrams))?);
    }
    Ok(Published { bound, _workers: workers })
}

/// Starts a thread that lives inside `namespace`: its sockets are the container's, those of `Listener`s stay the host's.
fn start(namespace: BorrowedFd<'_>, name: &str, body: impl FnOnce(Poller) + Send + 'static) -> Result<Worker> {
    let failed = |source| Error::System { action: "forward ports", source };
    let namespace = namespace.try_clone_to_owned().map_err(failed)?;
    let poller = Poller::new().map_err(|errno| failed(errno.into()))?;
    Worker::start(name, &poller.clone(), Some(namespace), move || body(poller))
}

/// A socket of the container that is connected, or about to be, to its own port.
fn connected(kind: SocketType, port: u16) -> std::result::Result<OwnedFd, Errno> {
    for address in [ADDRESS, Ipv4Addr::LOCALHOST] {
        let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        let socket = afford(socket)?;
        match connect(&socket, &SocketAddrV4::new(address, port)) {
            Ok(()) | Err(Errno::INPROGRESS) => return Ok(socket),
            // The namespace is not served: it has loopback alone.
            Err(Errno::NETUNREACH) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::NETUNREACH)
}
