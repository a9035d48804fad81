//! Runs a process in namespaces of its own, over an overlay of directories.
//!
//! Everything is prepared before the fork ([`prepare`]), because the parent has threads: between fork and exec only
//! plain system calls are allowed, no allocation and no locks. The forked child becomes process 1 of the new pid
//! namespace. It mounts the root filesystem ([`child`], [`mounts`], [`devices`]), gives up privileges ([`privileges`],
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
mod prepare;
mod privileges;
mod probe;
mod raw;
mod report;
mod running;

use std::path::{Path, PathBuf};

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
    pub lower: Vec<PathBuf>,
    /// Receives all changes. Its own metadata is that of the root directory.
    pub upper: &'a Path,
    /// Empty directory on the filesystem of `upper`, for the kernel's use.
    pub work: &'a Path,
    /// Empty directory to mount on.
    pub merged: &'a Path,
    /// Files in memory that appear over others: (content, path in the root filesystem, without symbolic links). What
    /// is written to them reaches nothing else.
    pub files: Vec<(Vec<u8>, Vec<u8>)>,
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
