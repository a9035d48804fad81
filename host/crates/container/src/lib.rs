//! Containers: what one is ([`Spec`]), how it fares ([`State`]), and the process that looks after it while it runs.
//!
//! There is no daemon. Each container that runs has a supervisor, a process of its own, which holds the lock of the
//! container's folder for as long as it lives; nobody else writes there meanwhile.
//!
//! ```text
//! containers/<id>/record.json   id, name, image: the store's
//! containers/<id>/lock          held exclusively by the supervisor
//! containers/<id>/spec.json     what was asked for; never changes
//! containers/<id>/state.json    how it fares; replaced by rename
//! containers/<id>/upper, work   the writable layer
//! containers/<id>/changes       the same of WebAssembly programs, as one tar
//! containers/<id>/socket        where the supervisor can be spoken to
//! containers/<id>/log           what the container wrote, in Docker's json-file form; log.1 and so on before it
//! ```

mod changes;
#[cfg(unix)]
pub mod client;
mod container;
mod copy;
pub mod devices;
mod environment;
mod error;
mod follow;
mod health;
pub mod keys;
mod log;
pub mod mounts;
pub mod names;
pub mod ports;
pub mod protocol;
mod remove;
mod restart;
pub mod security;
pub mod signal;
pub mod size;
#[cfg(unix)]
mod socket;
mod spec;
mod state;
#[cfg(target_os = "linux")]
mod supervise;
pub mod sysctl;
#[cfg(test)]
mod testing;
pub mod volumes;
pub mod wasi;

pub use container::{Container, Damaged, Listed, list, now};
pub use copy::Owners;
pub use error::{Error, Result};
pub use log::{Entry, LogConfig, LogDriver, LogOptions, parse as parse_log, read as read_log};
pub use remove::{remove, remove_damaged};
pub use restart::RestartPolicy;
pub use spec::{
    ExecutorKind, MountPoint, MountSource, NetworkMode, PortMapping, Protocol, Resources, Spec, Tmpfs, Ulimit,
};
pub use state::{Health, HealthStatus, Phase, Probe, PublishedPort, State};
#[cfg(target_os = "linux")]
pub use supervise::{Environment, supervise};
