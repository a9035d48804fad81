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
mod init;
mod landlock;
mod mounts;
mod nested;
mod prepare;
mod privileges;
mod probe;
mod raw;
mod report;
mod running;

use std::path::{Path, PathBuf};

use crate::Lower;
use crate::userns::Ids;

pub use landlock::available as writing_is_restricted;
pub use probe::probe;
pub use report::{Failure, Stage};
pub use running::{Ended, Running, Stream, Wish};

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
    /// What to try to execute, in this order, until one exists.
    pub programs: Vec<Vec<u8>>,
    pub arguments: &'a [String],
    pub environment: &'a [(String, String)],
    /// Absolute; made if it is missing.
    pub directory: &'a str,
    pub uid: u32,
    pub gid: u32,
    pub groups: &'a [u32],
    pub stdin: Stdin,
    pub output: Output,
    /// All capabilities, no system call filter, nothing masked.
    pub insecure: bool,
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
    Memory { size: Option<u64> },
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Host,
    /// A loopback interface and nothing else.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    Empty,
    Inherit,
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
        running::spawn(&prepare::Prepared::new(self)?)
    }
}
