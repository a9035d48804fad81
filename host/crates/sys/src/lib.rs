//! What the operating system offers beyond std, and the only unsafe code of kiln.
//!
//! Linux alone has something here so far: entering a user namespace ([`userns`]), running a process in namespaces of its
//! own ([`sandbox`]), and mounts for this process only ([`detached`]).

#[cfg(target_os = "linux")]
pub mod detached;
mod lower;
#[cfg(target_os = "linux")]
pub mod sandbox;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")]
pub mod userns;

pub use lower::Lower;
