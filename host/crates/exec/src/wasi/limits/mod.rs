//! What one step may use. All of it is shared by the step's processes, so that a result never depends on which of them
//! ran first: who exceeds a limit that another process could have used up fails the whole step.
//!
//! No program can see a limit of [`Limits`]: it either stays within them or the step fails. So they are not part of any
//! key. What programs do see, as an error or a result, are the constants here: those are the same for every step.

mod budget;
mod text;

use std::time::Duration;

pub(crate) use budget::{Budget, Reservation};
pub use text::WrongLimit;

/// Elements of one table; each takes a pointer.
pub(crate) const TABLE_ELEMENTS: usize = 10_000_000;
/// Bytes of one file, holes counted.
pub(crate) const FILE_SIZE: u64 = 16 << 40;
/// Processes that have ended and that nobody has waited for yet.
pub(crate) const ENDED_PROCESSES: usize = 1 << 16;
/// Open descriptors of one process.
pub(crate) const DESCRIPTORS: usize = 4096;
/// The stack of a process; its thread gets some more for the host's own calls.
pub(crate) const STACK: usize = 8 << 20;
/// Bytes of all paths in a change set.
pub(crate) const PATHS: u64 = 1 << 30;
/// Arguments of one process, and its environment; what it takes to keep them is counted.
pub(crate) const ARGUMENTS: usize = 4 << 20;
/// A module's size.
pub(crate) const MODULE: u64 = 1 << 30;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// How much of everything a step may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memories and tables of all living processes, and of what the host holds for them: arguments, pipes,
    /// listings.
    pub memory: u64,
    /// Instructions of all processes; counting them takes some time, so they are counted only where there is a limit.
    pub fuel: Option<u64>,
    /// From the beginning of the step, compilation included. How far a step gets in it depends on the host: a last resort.
    pub time: Option<Duration>,
    /// Bytes written to standard output and standard error.
    pub output: u64,
    /// Bytes of all files that the step has made or changed, holes counted.
    pub file_bytes: u64,
    /// Files, directories and links that the step has made and that still exist.
    pub files: u64,
    /// Living processes: each is a thread, and a host that is out of threads cannot say so in time.
    pub processes: u64,
}

impl Limits {
    /// For the steps of a build.
    pub const BUILD: Self = Self {
        memory: 4 * GIB,
        fuel: None,
        time: Some(Duration::from_secs(3600)),
        output: GIB,
        file_bytes: 64 * GIB,
        files: 1 << 20,
        processes: 256,
    };

    /// For steps that a stranger has written. They end by counted instructions, alike on every host, before the time is
    /// up on an ordinary one.
    pub const UNTRUSTED: Self = Self {
        memory: GIB,
        fuel: Some(200_000_000_000),
        time: Some(Duration::from_secs(600)),
        output: 16 * MIB,
        file_bytes: 4 * GIB,
        files: 100_000,
        processes: 64,
    };

    /// For a program that the user runs himself: it may wait for him, and write as much as it likes.
    pub const FOREGROUND: Self = Self { time: None, output: u64::MAX, ..Self::BUILD };

    /// Changes one of them.
    pub fn set(&mut self, limit: Limit) {
        match limit {
            Limit::Memory(bytes) => self.memory = bytes,
            Limit::Fuel(instructions) => self.fuel = instructions,
            Limit::Time(time) => self.time = time,
            Limit::Output(bytes) => self.output = bytes,
            Limit::FileBytes(bytes) => self.file_bytes = bytes,
            Limit::Files(count) => self.files = count,
            Limit::Processes(count) => self.processes = count,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::BUILD
    }
}

/// One of the [`Limits`], as `memory=4g` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Memory(u64),
    Fuel(Option<u64>),
    Time(Option<Duration>),
    Output(u64),
    FileBytes(u64),
    Files(u64),
    Processes(u64),
}
