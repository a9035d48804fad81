//! What a shell knows: variables, functions, options, descriptors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use kiln_guest::{OsStrExt, Pid};
use kiln_tools::context::reason;

use crate::options::Options;
use crate::process::Substituted;
use crate::streams::{CapturePipes, Stream, Streams};
use crate::syntax::ast::Command;
use crate::syntax::{Aliases, is_name};
use crate::variables::{ArrayArgument, Value, Variable};

/// Why control leaves a list early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Break(u32),
    Continue(u32),
    Return(u8),
    Exit(u8),
    /// An error, complained of already, that ends a shell unless it is interactive.
    Error,
}

/// The status of a shell that such an error ended.
pub(crate) const STATUS_ERROR: u8 = 2;

/// Variables that are not taken from the environment.
const PRIVATE: [&[u8]; 5] = [b"IFS", b"OPTIND", b"PPID", b"SECONDS", b"RANDOM"];

pub(crate) type Run = Result<(), Stop>;

/// A function that is running.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: Vec<u8>,
    /// Where it was called.
    pub(crate) line: u32,
    /// What `local` hides.
    pub(crate) locals: Vec<(Vec<u8>, Option<Variable>)>,
}

#[derive(Clone)]
pub(crate) struct Shell {
    /// `$0`.
    pub(crate) name: Vec<u8>,
    /// Shared with subshells until one of them changes something.
    pub(crate) variables: Rc<BTreeMap<Vec<u8>, Variable>>,
    pub(crate) functions: Rc<BTreeMap<Vec<u8>, Rc<Command>>>,
    pub(crate) aliases: Rc<Aliases>,
    pub(crate) positional: Vec<Vec<u8>>,
    pub(crate) calls: Vec<Call>,
    /// The files that are being read, for `BASH_SOURCE`.
    pub(crate) sources: Vec<Vec<u8>>,
    /// The directories that `pushd` left.
    pub(crate) directories: Vec<PathBuf>,
    /// Elements that a declaring builtin is given beside its arguments.
    pub(crate) elements: Vec<ArrayArgument>,
    pub(crate) options: Options,
    pub(crate) status: u8,
    /// The statuses of the last pipeline's members, where it had several.
    pub(crate) pipe_status: Vec<u8>,
    /// The status of the last command substitution of the running command.
    pub(crate) substitution_status: Option<u8>,
    pub(crate) cwd: PathBuf,
    pub(crate) streams: Streams,
    /// Actions by the condition's name; an empty one ignores it.
    pub(crate) traps: BTreeMap<String, Vec<u8>>,
    /// `$$`.
    pub(crate) pid: Pid,
    pub(crate) last_background: Option<Pid>,
    /// Children that `wait` can wait for, and the status of those that have ended.
    pub(crate) jobs: Vec<(Pid, Option<u8>)>,
    /// Output of asynchronous children that a command substitution must still collect.
    pub(crate) draining: Rc<RefCell<CapturePipes>>,
    pub(crate) line: u32,
    /// While the action of a trap runs, the line that led to it.
    pub(crate) trap_line: Option<u32>,
    /// The last word of the command before.
    pub(crate) last_word: Vec<u8>,
    pub(crate) loops: u32,
    /// How many surrounding constructs make `set -e` not apply.
    pub(crate) tested: u32,
    /// Expressions within each other, through variables.
    pub(crate) expressions: u32,
    /// Running lists within each other.
    pub(crate) depth: u32,
    pub(crate) umask: u32,
    /// Whether it was started as `bash`.
    pub(crate) is_bash: bool,
    pub(crate) random: u64,
    pub(crate) started: Instant,
    /// Subshells within each other.
    pub(crate) subshells: u32,
    /// Files of process substitutions that the running commands use.
    pub(crate) substituted: Rc<RefCell<Vec<Substituted>>>,
}

impl Shell {
    pub(crate) fn new(env: Vec<(Vec<u8>, Vec<u8>)>) -> Shell {
        // Scripts can name one-digit descriptors only.
        let inherited: Vec<u32> = (5..10).filter(|number| kiln_guest::is_inherited(*number)).collect();
        let streams =
            (0..3).chain(inherited).map(|number| (number, Stream::file(kiln_guest::standard_file(number)))).collect();
        let umask = kiln_guest::umask(0o022);
        kiln_guest::umask(umask);
        let mut shell = Shell {
            name: b"sh".to_vec(),
            variables: Rc::default(),
            functions: Rc::default(),
            aliases: Rc::default(),
            positional: Vec::new(),
            calls: Vec::new(),
            sources: Vec::new(),
            directories: Vec::new(),
            elements: Vec::new(),
            options: Options::default(),
            status: 0,
            pipe_status: Vec::new(),
            substitution_status: None,
            cwd: kiln_guest::working_directory(),
            streams,
            traps: BTreeMap::new(),
            pid: kiln_guest::self_pid(),
            last_background: None,
            jobs: Vec::new(),
            draining: Rc::default(),
            line: 1,
            trap_line: None,
            last_word: Vec::new(),
            loops: 0,
            tested: 0,
            depth: 0,
            expressions: 0,
            umask,
            is_bash: false,
            random: 0,
            started: Instant::now(),
            subshells: 0,
            substituted: Rc::default(),
        };
        let mut variables = BTreeMap::new();
        // A process of a step sees none above it but those of the step itself.
        for (name, value) in [("IFS", &b" \t\n"[..]), ("PS4", b"+ "), ("OPTIND", b"1"), ("PPID", b"0")] {
            variables.insert(name.as_bytes().to_vec(), Variable::text(value.to_vec()));
        }
        for (name, value) in env {
            if is_name(&name) && !PRIVATE.contains(&name.as_slice()) {
                variables.insert(name, Variable { exported: true, ..Variable::text(value) });
            }
        }
        let cwd = shell.cwd.as_os_str().as_bytes().to_vec();
        variables.entry(b"PWD".to_vec()).or_default().value = Some(Value::Text(cwd));
        shell.variables = Rc::new(variables);
        shell
    }

    pub(crate) fn write(&self, number: u32, bytes: &[u8]) -> std::io::Result<()> {
        match self.streams.get(&number) {
            Some(stream) => stream.put(bytes),
            None => Err(std::io::Error::other("Bad file descriptor")),
        }
    }

    /// Prints `sh: LINE: message` on standard error.
    pub(crate) fn complain(&self, message: &str) {
        let name = String::from_utf8_lossy(&self.name).into_owned();
        // Nothing can be done where even this fails.
        let _ = self.write(2, format!("{name}: {}: {message}\n", self.line).as_bytes());
    }

    /// Complains of an error that ends a shell unless it is interactive.
    pub(crate) fn fail(&self, message: &str) -> Stop {
        self.complain(message);
        Stop::Error
    }

    pub(crate) fn fail_io(&self, what: &str, error: &std::io::Error) -> Stop {
        self.fail(&format!("{what}: {}", reason(error)))
    }
}
