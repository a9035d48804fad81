//! The network of a container: a way out of its network namespace ([`serve`]) and published ports into it ([`publish`]).
//!
//! Both work without privileges on the host and without touching its interfaces, routes or firewall: what goes out and
//! what comes in passes through ordinary sockets of this process. The caller makes the namespace, with loopback up.
//!
//! Only Linux has network namespaces; elsewhere there are the types alone.

#[cfg(target_os = "linux")]
mod descriptors;
mod error;
#[cfg(target_os = "linux")]
mod flows;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod poller;
mod port;
#[cfg(target_os = "linux")]
mod publish;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(all(test, target_os = "linux"))]
mod tests;

pub use error::{Error, Result};
pub use port::{Bound, Port, Protocol};
#[cfg(target_os = "linux")]
pub use publish::{Published, publish};
#[cfg(target_os = "linux")]
pub use serve::{ADDRESS, GATEWAY, NAMESERVER, Network, Settings, has_device, serve};
