//! Containers: processes that are started and then followed by a supervisor, and others that join them.

use std::path::{Path, PathBuf};

use kiln_sys::Capabilities;
use kiln_sys::cgroup::Cgroup;
use kiln_sys::process::Identity;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::process::Resource;

use super::Namespaces;
use crate::{Error, Process, Root, Status};

/// What a container has beyond a build step. Its output comes in two pipes, or through its terminal.
pub struct Container<'a> {
    /// Receives all changes, and is kept by the caller from one start to the next. Made if it is missing.
    pub upper: &'a Path,
    /// Overlayfs' own, on the filesystem of `upper`. Made anew each time.
    pub work: &'a Path,
    /// What it writes need not survive a crash of the machine, as it will be removed when it ends (`--rm`): no syncs.
    pub volatile: bool,
    pub read_only: bool,
    pub confinement: &'a Confinement,
    /// A terminal of its own instead of pipes: `/dev/pts/0`, and `/dev/console`.
    pub terminal: Option<Size>,
    /// Standard input is a pipe; else it is empty. With a terminal it is that.
    pub stdin: bool,
    /// Instead of the host's `/etc/resolv.conf`.
    pub resolv_conf: Option<&'a [u8]>,
    /// Of `/dev/shm`, in bytes; 64 MiB otherwise.
    pub shm_size: Option<u64>,
    pub devices: &'a [Device],
    pub cgroup: Option<&'a Cgroup>,
}

/// What a process may do. [`Process::insecure`] means nothing where there is one of these.
#[derive(Debug, Clone, PartialEq)]
pub struct Confinement {
    pub capabilities: Capabilities,
    pub seccomp: Seccomp,
    /// No program that it executes gives it more than it has (`--security-opt no-new-privileges`).
    pub no_new_privileges: bool,
    /// All capabilities whatever `capabilities` says, no filter, nothing masked, the host's devices.
    pub privileged: bool,
    pub limits: Vec<Limit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// Docker's default profile, which depends on the capabilities.
    Default,
    Unconfined,
}

/// `--ulimit`; `None` is unlimited.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub resource: Resource,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// Of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub host: PathBuf,
    /// Beneath `/dev`.
    pub target: PathBuf,
}

/// How another process runs in a container.
pub struct Enter<'a> {
    pub confinement: &'a Confinement,
    pub terminal: Option<Size>,
    pub stdin: bool,
    /// Descriptors of the caller to be its standard streams, instead of pipes of its own. Only pipes and sockets are handed
    /// in: a file, a directory or a terminal of the host could be opened again there, for more. Their pipes are in
    /// [`Started`].
    pub given: [Option<BorrowedFd<'a>>; 3],
    /// The container's.
    pub cgroup: Option<&'a Cgroup>,
}

/// A process that is ready, and held back until [`Started::go`]. Dropped, it is killed: a container with all its
/// processes.
pub struct Started {
    /// Process 1 of the container, as this process sees it; of one that entered, what stands for it here.
    pub id: Identity,
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
}

impl Started {
    /// The container's network namespace.
    pub fn network(&self) -> Result<OwnedFd, Error> {
        Err(todo_error())
    }

    /// Lets it go. Fails if it cannot be executed, or not found; then it has ended.
    pub fn go(&mut self) -> Result<(), Error> {
        Err(todo_error())
    }

    /// Readable when it has ended.
    pub fn exit_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Waits until it has ended, and a container's other processes with it.
    pub fn wait(&mut self) -> Result<Status, Error> {
        Err(todo_error())
    }

    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        let _ = signal;
        Err(todo_error())
    }

    pub fn resize(&self, size: Size) -> Result<(), Error> {
        let _ = size;
        Err(todo_error())
    }
}

impl Namespaces {
    /// Starts a container. The calling thread must live as long as it: when it dies, the kernel kills the container.
    pub fn start(&self, root: &Root<'_>, process: &Process, container: &Container<'_>) -> Result<Started, Error> {
        let _ = (root, process, container);
        Err(todo_error())
    }

    /// Starts another process in a container that runs: in its namespaces, its control group, and confined as `how` says.
    /// `of` is the container's process 1. The calling thread must live as long as the process, as above.
    pub fn enter(&self, of: Identity, process: &Process, how: &Enter<'_>) -> Result<Started, Error> {
        let _ = (of, process, how);
        Err(todo_error())
    }
}

/// The root directory of a container that runs. What is in it is the container's: resolve paths beneath it
/// (`openat2` with `RESOLVE_IN_ROOT`).
pub fn root_of(container: Identity) -> Result<OwnedFd, Error> {
    let _ = container;
    Err(todo_error())
}

impl Namespaces {
    /// The root directory of a container that does not run, with its volumes not mounted: for reading and for writing.
    /// It is mounted nowhere, and as long as the descriptor is there.
    pub fn mount(&self, root: &Root<'_>, upper: &Path, work: &Path) -> Result<OwnedFd, Error> {
        let _ = (root, upper, work);
        Err(todo_error())
    }
}

fn todo_error() -> Error {
    Error::System { action: "run containers yet".to_owned(), source: std::io::ErrorKind::Unsupported.into() }
}
