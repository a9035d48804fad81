//! Runs a process in namespaces of its own, over an overlay of directories.
//!
//! Everything is prepared before the fork ([`prepare`]), because the parent has threads: between fork and exec only
//! plain system calls are allowed, no allocation and no locks. The forked child becomes process 1 of the new pid
//! namespace. It mounts the root filesystem ([`child`], [`mounts`], [`devices`], [`nested`]), gives up privileges ([`privileges`],
//! [`landlock`]), forks the command ([`command`]), reaps what is orphaned ([`init`]), and tells its parent over a pipe
//! what failed or how the command ended ([`report`]). The parent follows along ([`running`]).
//!
//! All mounts belong to the child's mount namespace: whatever way it ends, the kernel removes them.

mod child;
mod command;
mod devices;
mod enter;
mod forked;
mod init;
mod landlock;
mod mounts;
mod nested;
mod network;
mod prepare;
mod privileges;
mod probe;
mod program;
pub(crate) mod raw;
mod report;
mod running;
mod started;
mod streams;
mod terminal;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Lower;
use crate::cgroup::Cgroup;
use crate::userns::Ids;

pub use enter::Entering;
pub use landlock::available as writing_is_restricted;
pub use network::{NetworkInTheMaking, NetworkNamespace};
pub use probe::probe;
pub use program::{Confinement, Limit, Program, Seccomp, Size};
pub use report::{Failure, Stage};
pub use running::{Ended, Running, Stream, Wish};
pub use started::Started;
pub use tree::{Tree, Volume, mount};

/// What to run and what it sees.
#[derive(Debug)]
pub struct Sandbox<'a> {
    pub ids: Ids,
    /// The read-only directories of the root filesystem, topmost first; at least one.
    pub lower: Vec<Lower>,
    /// Receives all changes. Its own metadata is that of the root directory.
    pub upper: &'a Path,
    /// Empty directory on the filesystem of `upper`, for the kernel's use.
    pub work: &'a Path,
    /// Files in memory that appear over others: (content, path in the root filesystem, without symbolic links). What
    /// is written to them reaches nothing else.
    pub files: Vec<(Vec<u8>, Vec<u8>)>,
    /// In this order: what is nested comes after what it is in.
    pub mounts: Vec<Mount>,
    pub network: Network,
    pub hostname: &'a str,
    /// Its working directory is made if it is missing.
    pub program: Program<'a>,
    pub stdin: Stdin,
    pub output: Output,
    /// Syncs are not obeyed: what has to be durable is made of the changes later.
    pub volatile: bool,
    /// The root filesystem, not what is mounted on it.
    pub read_only: bool,
    /// Files outside the root cannot be written to, whatever descriptors of them a process gets hold of.
    pub restrict_writing: bool,
    /// Of `/dev/shm`, in bytes; 64 MiB otherwise.
    pub shm_size: Option<u64>,
    pub devices: &'a [Device],
    /// Files beneath `/proc/sys` that the sandbox has for itself, and what is written to them.
    pub sysctls: &'a [(String, String)],
    pub cgroup: Option<&'a Cgroup>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub host: PathBuf,
    /// Its clean path beneath `/dev`.
    pub target: Vec<u8>,
}

/// Something that is seen at a place of the root filesystem.
#[derive(Debug)]
pub struct Mount {
    /// Its path in the root filesystem, without symbolic links. What is missing is made; in the root filesystem itself
    /// nothing should be, as it would be a change.
    pub target: Vec<u8>,
    pub read_only: bool,
    pub source: Source,
}

/// What is mounted.
pub enum Source {
    /// A file or directory of the host.
    Host(PathBuf),
    /// What is at `path` in directories over one another, topmost first. Changes go to `upper`.
    Overlay { lower: Vec<Lower>, upper: PathBuf, work: PathBuf, path: Vec<u8> },
    /// An empty filesystem in memory.
    Memory { size: Option<u64>, mode: u32, uid: u32, gid: u32, no_exec: bool },
    /// A file in memory.
    Bytes { content: Vec<u8>, mode: u32, uid: u32, gid: u32 },
}

/// Contents may be secrets.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host(_) => "Host",
            Self::Overlay { .. } => "Overlay",
            Self::Memory { .. } => "Memory",
            Self::Bytes { .. } => "Bytes",
        })
    }
}

#[derive(Debug, Clone)]
pub enum Network {
    Host,
    /// A loopback interface and nothing else.
    None,
    /// The same, which was made before.
    Made(Arc<NetworkNamespace>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    Empty,
    Inherit,
    Pipe,
    /// A terminal of its own, which is standard output and error, too.
    Terminal(Size),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Two pipes, read by [`Running::finish`].
    Pipes,
    Inherit,
}

impl Sandbox<'_> {
    /// Starts it. The calling thread must live until it has ended: when it dies, the kernel kills the sandbox.
    pub fn spawn(&self) -> Result<Running, Failure> {
        running::spawn(&prepare::Prepared::new(self, false)?, self.stdin, self.output)
    }

    /// Sets it up, and holds its program back until [`Started::go`]. The calling thread must live as above.
    pub fn start(&self) -> Result<Started, Failure> {
        started::start(&prepare::Prepared::new(self, true)?, self.stdin)
    }
}
