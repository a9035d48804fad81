//! What to run, what it is connected to, and how it ended.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use kiln_image::User;
use kiln_types::Digest;

use crate::Cancel;

/// One process as a Dockerfile or the command line describes it.
#[derive(Debug, Clone)]
pub struct Process {
    /// Never empty; `argv[0]` is looked up in the PATH of `env` unless it has a slash.
    pub argv: Vec<String>,
    /// In order; names are unique.
    pub env: Vec<(String, String)>,
    /// Absolute; made if it is missing.
    pub cwd: String,
    pub user: User,
    pub hostname: String,
    pub network: Network,
    /// Further lines of `/etc/hosts`, for Linux programs: name and address.
    pub hosts: Vec<(String, IpAddr)>,
    /// Linux programs keep all capabilities and are not confined by filters and masks.
    pub insecure: bool,
    /// What deterministic executors draw randomness from: the step key.
    pub seed: Digest,
    /// The time that WebAssembly programs see.
    pub clock: Clock,
    /// Whether kiln's own tools are visible at `/.kiln/bin`: where the image has no shell.
    pub guest_tools: bool,
}

/// What shows a WebAssembly program the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The wall clock stands still, at so many seconds since 1970. Whoever sleeps is not kept waiting, and the files of
    /// the image have no other time.
    Still(i64),
    /// The clocks of this host.
    Host,
}

impl Clock {
    /// The wall clock in nanoseconds since 1970.
    pub(crate) fn now(self) -> u64 {
        match self {
            Self::Still(seconds) => u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000),
            Self::Host => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Host,
    /// One of its own, with nothing but a loopback interface.
    None,
    /// The same, to which the caller connects something before the process runs.
    Private,
}

/// What the process's descriptors 0, 1 and 2 are connected to.
pub struct Io<'a> {
    pub stdin: Stdin,
    pub output: Output<'a>,
    pub cancel: &'a Cancel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    Empty,
    Inherit,
}

pub enum Output<'a> {
    /// The caller's own standard output and error.
    Inherit,
    /// Called with each piece as it is written, from whatever thread reads it.
    Each(&'a (dyn Fn(Stream, &[u8]) + Sync)),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Exited(i32),
    Signalled(i32),
}

impl Status {
    /// The exit code as shells know it: 128 + the signal for a killed process.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128 + signal,
        }
    }

    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}
