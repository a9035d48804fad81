//! What a sandbox is made for: a program, the user that it runs as, and what it may do.

use std::io;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Capabilities;
use crate::seccomp::Profile;

/// What to execute, and as whom.
#[derive(Debug)]
pub struct Program<'a> {
    /// What to try to execute, in this order, until one exists.
    pub paths: Vec<Vec<u8>>,
    pub arguments: &'a [String],
    pub environment: &'a [(String, String)],
    /// Absolute.
    pub directory: &'a str,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub confinement: &'a Confinement,
}

/// What a process may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Confinement {
    pub capabilities: Capabilities,
    pub seccomp: Seccomp,
    /// No program that it executes gives it more than it has (`--security-opt no-new-privileges`).
    pub no_new_privileges: bool,
    /// All capabilities, no filter but a profile, nothing masked, whatever the other fields say.
    pub privileged: bool,
    pub limits: Vec<Limit>,
}

/// Docker's.
impl Default for Confinement {
    fn default() -> Self {
        Self {
            capabilities: Capabilities::DOCKER,
            seccomp: Seccomp::Default,
            no_new_privileges: false,
            privileged: false,
            limits: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// Docker's default profile, which depends on the capabilities.
    Default,
    Unconfined,
    /// Also for privileged ones.
    Profile(Arc<Profile>),
}

/// A limit of each process; `None` is unlimited.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub resource: Resource,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// As `ulimit` options have them.
const RESOURCES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

impl Limit {
    /// By the resource's name in `--ulimit`; `None` if there is none of that name.
    pub fn named(name: &str, soft: Option<u64>, hard: Option<u64>) -> Option<Self> {
        let (_, resource) = RESOURCES.iter().find(|(known, _)| *known == name)?;
        Some(Self { resource: *resource, soft, hard })
    }

    /// Lets this process have as many open files as it may ever have. Answers what its programs are to have: what it was.
    pub fn raise_open_files() -> io::Result<Self> {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        Ok(Self { resource: Resource::Nofile, soft: current, hard: maximum })
    }

    pub(super) fn values(&self) -> Rlimit {
        Rlimit { current: self.soft, maximum: self.hard }
    }
}

/// Of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}
