//! Why something about a container failed.

use std::io;
use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] kiln_store::Error),
    #[error(transparent)]
    Exec(#[from] kiln_exec::Error),
    #[error(transparent)]
    Image(#[from] kiln_image::Error),
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("container {name} is damaged: {reason}; remove it with `kiln rm {name}`")]
    Damaged { name: String, reason: String },
    #[error("container {name} is not running")]
    NotRunning { name: String },
    #[error("container {name} keeps no log: it was made with --log-driver none")]
    NoLog { name: String },
    #[error("container {name} is being started or changed by another kiln; try again")]
    Busy { name: String },
    /// What its supervisor, or who starts one, refused. `code` is what `run` and `exec` end with.
    #[error("{message}")]
    Refused { message: String, code: u8 },
    #[error("the supervisor of container {name} ended before it answered")]
    Gone { name: String },
    #[error("the profile of system calls cannot be used")]
    Profile { source: serde_json::Error },
    #[error("`{text}` is no {what}: {reason}")]
    Invalid { what: &'static str, text: String, reason: String },
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Network(#[from] kiln_network::Error),
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Capability(#[from] kiln_sys::CapabilityError),
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Cgroup(#[from] kiln_sys::cgroup::Error),
    /// Who was to have what was read.
    #[error(transparent)]
    Output { source: io::Error },
    #[error("no random numbers")]
    Random(#[source] io::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn invalid(what: &'static str, text: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { what, text: text.to_owned(), reason: reason.into() }
    }
}
