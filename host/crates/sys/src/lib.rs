//! What the operating system offers beyond std, and the only unsafe code of kiln.
//!
//! Linux alone has something here so far: entering a user namespace ([`userns`]), running a process in namespaces of its
//! own ([`sandbox`]) and what confines it ([`Capabilities`], [`seccomp`], [`cgroup`]), mounts for this process only ([`detached`]),
//! processes that outlive it ([`process`]), and writing files out early ([`writeback`]).

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
pub mod cgroup;
#[cfg(target_os = "linux")]
pub mod detached;
mod lower;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod sandbox;
#[cfg(target_os = "linux")]
pub mod seccomp;
#[cfg(target_os = "linux")]
pub mod tun;
#[cfg(target_os = "linux")]
pub mod userns;
#[cfg(target_os = "linux")]
pub mod writeback;

#[cfg(target_os = "linux")]
pub use capabilities::{Capabilities, CapabilityError};
pub use lower::Lower;
