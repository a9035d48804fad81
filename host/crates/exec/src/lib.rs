//! Runs one process in one root filesystem and says what it changed.
//!
//! An [`Executor`] knows nothing of Dockerfiles, keys or stores: it gets the merged view of an image's layers and a
//! [`Process`], and returns a change set. Two exist: `namespaces` (Linux programs on Linux) and `wasi` (WebAssembly
//! programs on every host).

mod cancel;
mod choose;
pub mod dispatch;
mod mount;
#[cfg(target_os = "linux")]
pub mod namespaces;
mod process;
pub mod wasi;

use std::path::{Path, PathBuf};

use kiln_image::{Change, Layer, View};
use kiln_sys::Lower;

pub use cancel::Cancel;
pub use choose::{Choice, Wanted, choose};
pub use mount::{Kept, Memory, Mount, MountKind};
pub use process::{Clock, Io, Network, Output, Process, Status, Stdin, Stream};

/// A cause that belongs to another crate, kept for its message.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Runs one process at a time; many calls may run at once on different roots.
pub trait Executor: Send + Sync {
    /// The name of what a process can observe here: part of every step key, so any observable change is a new name.
    fn abi(&self) -> &'static str;

    /// Whether this host can run it at all. Cheap after the first call.
    fn preflight(&self) -> Result<(), Unavailable>;

    /// Runs `process` to its end. A non-zero exit is a value, not an error.
    fn run(&self, root: &Root<'_>, process: &Process, io: &Io<'_>) -> Result<Finished, Error>;

    /// The same where nothing is kept of what `process` changes, and it gets the signals that `next_signal` has for it,
    /// asked at least every 100 ms until it has none. Processes that know no signals never see them.
    fn run_in_foreground(
        &self,
        root: &Root<'_>,
        process: &Process,
        io: &Io<'_>,
        next_signal: &dyn Fn() -> Option<i32>,
    ) -> Result<Status, Error> {
        let _ = next_signal;
        Ok(self.run(root, process, io)?.status)
    }
}

/// The root filesystem of a step before it runs, and a place to work in.
pub struct Root<'a> {
    pub view: View,
    pub mounts: &'a [Mount],
    /// The directory form of a layer, made when first asked for. Only executors that mount ask.
    pub directories: &'a (dyn Fn(&Layer) -> Result<Lower, BoxError> + Sync),
    /// A private, empty directory on the store's filesystem. The caller removes it.
    pub scratch: &'a Path,
    /// A private directory there that outlives the executor: what is made in it serves other steps, too.
    pub shared: &'a Path,
}

/// How a process ended and what it left behind.
pub struct Finished {
    pub status: Status,
    /// Sorted by path, parents before children.
    pub changes: Vec<Change>,
    /// What was changed in mounts that hand that back.
    pub kept: Vec<Kept>,
    /// The changes in the directory form that [`Root::directories`] answers with, where the executor has one.
    pub directory: Option<Directory>,
}

/// A directory, and what the kernel still takes apart that was mounted over it.
pub struct Directory {
    path: PathBuf,
    in_use: Box<dyn Send>,
}

impl Directory {
    /// Once `in_use` is dropped, nothing is mounted any more.
    pub fn in_use(path: PathBuf, in_use: impl Send + 'static) -> Self {
        Self { path, in_use: Box::new(in_use) }
    }

    /// Waits until it may be moved or removed.
    pub fn free(self) -> PathBuf {
        drop(self.in_use);
        self.path
    }
}

/// This host cannot run the executor, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {executor} executor is not available here: {reason}; {remedy}")]
pub struct Unavailable {
    pub executor: &'static str,
    pub reason: String,
    pub remedy: String,
}

/// Why a process could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Shells answer 127.
    #[error("{program}: not found in the image")]
    NotFound { program: String },
    /// Shells answer 126.
    #[error("{program}: cannot be executed: {reason}")]
    NotExecutable { program: String, reason: String },
    /// `executor` was asked for.
    #[error("{program} is {is} and cannot be run by the {executor} executor")]
    WrongExecutor { program: String, is: &'static str, executor: &'static str },
    /// A limit was exceeded; the step fails and names it. `raise` is what would allow more, where anything does.
    #[error("the step exceeded its limit of {limit}{}", .raise.iter().map(|raise| format!("; raise it with --limit {raise}")).collect::<String>())]
    Limit { limit: String, raise: Option<String> },
    /// The mount at that place of [`Root::mounts`] cannot be made.
    #[error("cannot mount {target}: {reason}")]
    Mount { number: usize, target: String, reason: String },
    #[error("cannot {action}")]
    System { action: String, source: std::io::Error },
    #[error("cannot make the directory form of layer {layer}")]
    Directory { layer: kiln_types::Digest, source: BoxError },
    #[error(transparent)]
    Image(#[from] kiln_image::Error),
    /// The engine refused or failed; not the guest's doing.
    #[error("webassembly engine: {0}")]
    Engine(String),
}
