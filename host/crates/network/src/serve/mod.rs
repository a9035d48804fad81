//! The way out of a network namespace: an interface in it whose packets this process serves.

mod address;
mod connection;
mod connections;
mod datagrams;
mod interface;
mod link;
#[cfg(test)]
pub(crate) mod loopback;
mod packet;
mod pings;
mod resolvers;
mod stack;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::io::Errno;

use self::stack::Stack;
use crate::namespace::inside;
use crate::poller::{Poller, Worker};
use crate::{Error, Result};

#[cfg(test)]
pub(crate) use address::ADDRESS_V6;
pub use address::{ADDRESS, GATEWAY, NAMESERVER};

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the host's resolvers are written; read again whenever it changes.
    pub resolv_conf: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into() }
    }
}

impl Settings {
    /// What belongs in /etc/resolv.conf of a container whose namespace is served: the host's search domains and options,
    /// and [`NAMESERVER`].
    pub fn container_resolv_conf(&self) -> String {
        resolvers::for_container(&std::fs::read_to_string(&self.resolv_conf).unwrap_or_default())
    }
}

/// A network namespace that is served until this is dropped.
#[derive(Debug)]
pub struct Network {
    _worker: Worker,
}

/// Whether this user may open /dev/net/tun, without which no namespace can be served.
pub fn has_device() -> bool {
    use rustix::fs::{Access, access};

    access("/dev/net/tun", Access::READ_OK | Access::WRITE_OK).is_ok()
}

/// Gives the network namespace `namespace` a way out: an interface eth0 with the address [`ADDRESS`], whose packets are
/// served by a thread of this process through ordinary sockets.
///
/// # Errors
/// [`Error::Unavailable`] where the host has no /dev/net/tun for this user.
pub fn serve(namespace: BorrowedFd<'_>, settings: &Settings) -> Result<Network> {
    let outside = address::reaches_ipv6();
    let device = inside(namespace, || {
        interface::open_to_users();
        let device = kiln_sys::tun::open(interface::NAME).map_err(|error| unavailable(&error))?;
        interface::configure(outside).map_err(|source| Error::System { action: "configure eth0", source })?;
        Ok(device)
    })?;
    let resolvers = resolvers::Resolvers::new(settings.resolv_conf.clone());
    let failed = |errno: Errno| Error::System { action: "serve the container's network", source: errno.into() };
    let poller = Poller::new().map_err(failed)?;
    let stack = Stack::new(poller.clone(), device, address::destination, resolvers).map_err(failed)?;
    // The kernel takes some 20 ms to remove an interface, for which a container's end need not wait.
    let worker = Worker::start("network", &poller, None, move || stack.run())?.unawaited();
    Ok(Network { _worker: worker })
}

fn unavailable(error: &io::Error) -> Error {
    let (reason, remedy) = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => (
            "there is no /dev/net/tun".to_owned(),
            "load the kernel's module with `modprobe tun`, or use --network host",
        ),
        Some(Errno::ACCESS) => (
            "this user may not open /dev/net/tun".to_owned(),
            "an administrator can allow it with `chmod 666 /dev/net/tun`, its usual mode; or use --network host",
        ),
        Some(Errno::PERM) => (
            "this user may not make network interfaces, not even in a namespace of its own".to_owned(),
            "run kiln as root, or use --network host",
        ),
        _ => (format!("/dev/net/tun cannot be used: {error}"), "use --network host"),
    };
    Error::Unavailable { reason, remedy: remedy.to_owned() }
}
