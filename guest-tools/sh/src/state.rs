//! What a shell knows: variables, functions, options, descriptors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use kiln_guest::{OsStrExt, Pid};
use kiln_tools::context::reason;

use crate::streams::{CapturePipes, Stream, Streams};
use crate::syntax::ast::Command;
use crate::syntax::is_name;

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

pub(crate) type Run = Result<(), Stop>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) exported: bool,
    pub(crate) readonly: bool,
}

/// The options of `set`: letter, long name, position in [`Options`].
pub(crate) const OPTION_NAMES: [(char, &str); 13] = [
    ('a', "allexport"),
    ('C', "noclobber"),
    ('e', "errexit"),
    ('f', "noglob"),
    ('i', "interactive"),
    ('n', "noexec"),
    ('u', "nounset"),
    ('v', "verbose"),
    ('x', "xtrace"),
    ('b', "notify"),
    ('h', "hashall"),
    ('m', "monitor"),
    ('\0', "pipefail"),
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options([bool; OPTION_NAMES.len()]);

impl Options {
    pub(crate) fn get(&self, name: &str) -> bool {
        OPTION_NAMES.iter().zip(self.0).any(|((_, long), on)| *long == name && on)
    }

    /// Returns whether there is such an option.
    pub(crate) fn set(&mut self, name: &str, on: bool) -> bool {
        let index = OPTION_NAMES.iter().position(|(_, long)| *long == name);
        if let Some(index) = index {
            self.0[index] = on;
        }
        index.is_some()
    }

    /// The letters of those that are on, as `$-` shows them.
    pub(crate) fn letters(&self) -> String {
        OPTION_NAMES
            .iter()
            .zip(self.0)
            .filter(|((letter, _), on)| *on && *letter != '\0')
            .map(|((l, _), _)| *l)
            .collect()
    }
}

#[derive(Clone)]
pub(crate) struct Shell {
    /// `$0`.
    pub(crate) name: Vec<u8>,
    pub(crate) variables: BTreeMap<Vec<u8>, Variable>,
    pub(crate) functions: BTreeMap<Vec<u8>, Rc<Command>>,
    pub(crate) positional: Vec<Vec<u8>>,
    /// What `local` hides, a list for each running function.
    pub(crate) locals: Vec<Vec<(Vec<u8>, Option<Variable>)>>,
    pub(crate) options: Options,
    pub(crate) status: u8,
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
    pub(crate) loops: u32,
    /// How many surrounding constructs make `set -e` not apply.
    pub(crate) tested: u32,
    /// Running lists within each other.
    pub(crate) depth: u32,
    pub(crate) umask: u32,
}

impl Shell {
    pub(crate) fn new(env: Vec<(Vec<u8>, Vec<u8>)>) -> Shell {
        // Scripts can name one-digit descriptors only.
        let inherited = (5..10).filter(|number| kiln_guest::is_inherited(*number));
        let streams =
            (0..3).chain(inherited).map(|number| (number, Stream::file(kiln_guest::standard_file(number)))).collect();
        let umask = kiln_guest::umask(0o022);
        kiln_guest::umask(umask);
        let mut shell = Shell {
            name: b"sh".to_vec(),
            variables: BTreeMap::new(),
            functions: BTreeMap::new(),
            positional: Vec::new(),
            locals: Vec::new(),
            options: Options::default(),
            status: 0,
            substitution_status: None,
            cwd: kiln_guest::working_directory(),
            streams,
            traps: BTreeMap::new(),
            pid: kiln_guest::self_pid(),
            last_background: None,
            jobs: Vec::new(),
            draining: Rc::default(),
            line: 1,
            loops: 0,
            tested: 0,
            depth: 0,
            umask,
        };
        let plain = |text: &[u8]| Variable { value: Some(text.to_vec()), ..Variable::default() };
        shell.variables.insert(b"IFS".to_vec(), plain(b" \t\n"));
        shell.variables.insert(b"PS4".to_vec(), plain(b"+ "));
        shell.variables.insert(b"OPTIND".to_vec(), plain(b"1"));
        for (name, value) in env {
            if is_name(&name) && name != b"IFS" {
                shell.variables.insert(name, Variable { value: Some(value), exported: true, readonly: false });
            }
        }
        let cwd = shell.cwd.as_os_str().as_bytes().to_vec();
        shell.variables.entry(b"PWD".to_vec()).or_default().value = Some(cwd);
        shell
    }

    pub(crate) fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.get(name)?.value.as_deref()
    }

    /// Sets a variable; an attempt at a read-only one ends the shell.
    pub(crate) fn assign(&mut self, name: &[u8], value: Vec<u8>) -> Run {
        let allexport = self.options.get("allexport");
        let variable = self.variables.entry(name.to_vec()).or_default();
        if variable.readonly {
            return Err(self.fail(&format!("{}: is read only", String::from_utf8_lossy(name))));
        }
        variable.value = Some(value);
        variable.exported |= allexport;
        Ok(())
    }

    /// The environment of a child.
    pub(crate) fn environment(&self) -> Vec<Vec<u8>> {
        let mut env: Vec<Vec<u8>> = Vec::new();
        for (name, variable) in &self.variables {
            if let (true, Some(value)) = (variable.exported || name == b"PWD", &variable.value) {
                env.push([name, &b"="[..], value].concat());
            }
        }
        env
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
