//! A program in the form that system calls take.

use std::ffi::{CString, c_char};
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;

use rustix::fd::OwnedFd;
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::termios::Winsize;

use super::c_string;
use crate::Capabilities;
use crate::cgroup::Cgroup;
use crate::sandbox::program::{Confinement, Seccomp};
use crate::sandbox::raw::Stack;
use crate::sandbox::{Failure, Program, Size, Stage};
use crate::seccomp::{self, Filter};
use crate::userns::Ids;

pub(in crate::sandbox) struct PreparedProgram {
    pub(in crate::sandbox) ids: Ids,
    pub(in crate::sandbox) paths: Vec<CString>,
    pub(in crate::sandbox) arguments: Strings,
    pub(in crate::sandbox) environment: Strings,
    /// The working directory and all above it, from the top down.
    pub(in crate::sandbox) directories: Vec<CString>,
    pub(in crate::sandbox) uid: Uid,
    pub(in crate::sandbox) gid: Gid,
    pub(in crate::sandbox) groups: Vec<Gid>,
    pub(in crate::sandbox) terminal: Terminal,
    pub(in crate::sandbox) capabilities: Capabilities,
    /// Of the process that starts it, which must be able to become the user and to pass signals on.
    pub(in crate::sandbox) starters_capabilities: Capabilities,
    /// Installed before the program is started, so that who starts it is held, too.
    pub(in crate::sandbox) filter: Option<Filter>,
    pub(in crate::sandbox) profile: Option<Profiled>,
    pub(in crate::sandbox) no_new_privileges: bool,
    pub(in crate::sandbox) privileged: bool,
    pub(in crate::sandbox) limits: Vec<(Resource, Rlimit)>,
    /// What to write to for moving into its control group.
    pub(in crate::sandbox) entrances: Vec<OwnedFd>,
    /// Where this process's command line is in memory.
    pub(in crate::sandbox) command_line: Option<Range<usize>>,
    /// For the process that becomes it.
    pub(in crate::sandbox) stack: Stack,
}

/// The filters where there is a profile. They are installed at the last moment, so that it need only allow what the program
/// itself does.
pub(in crate::sandbox) struct Profiled {
    pub(in crate::sandbox) program: Filter,
    /// Of process 1.
    pub(in crate::sandbox) init: Filter,
}

/// Whether standard input is a terminal, and whose.
pub(in crate::sandbox) enum Terminal {
    None,
    /// That of the caller, who is in the foreground of it.
    Callers,
    /// Made for it.
    Own(Winsize),
}

impl From<Size> for Terminal {
    fn from(size: Size) -> Self {
        Self::Own(size.into())
    }
}

impl From<Size> for Winsize {
    fn from(size: Size) -> Self {
        Self { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

impl PreparedProgram {
    pub(in crate::sandbox) fn new(
        program: &Program<'_>,
        ids: Ids,
        terminal: Terminal,
        cgroup: Option<&Cgroup>,
    ) -> Result<Self, Failure> {
        let environment = program.environment.iter().map(|(name, value)| format!("{name}={value}").into_bytes());
        let Confinement { capabilities, ref seccomp, no_new_privileges, privileged, ref limits } = *program.confinement;
        let held = Capabilities::held().map_err(|source| Failure { stage: Stage::Confine, mount: 0, source })?;
        let capabilities = capabilities.and(held);
        Ok(Self {
            ids,
            paths: program.paths.iter().map(|path| c_string(path.clone())).collect::<Result<_, _>>()?,
            arguments: Strings::new(program.arguments.iter().map(|word| word.clone().into_bytes()))?,
            environment: Strings::new(environment)?,
            directories: prefixes(program.directory)?,
            uid: Uid::from_raw(program.uid),
            gid: Gid::from_raw(program.gid),
            groups: program.groups.iter().map(|&group| Gid::from_raw(group)).collect(),
            terminal,
            capabilities,
            starters_capabilities: capabilities.or(Capabilities::DOCKER).and(held),
            filter: (!privileged && *seccomp == Seccomp::Default).then(|| seccomp::filter(capabilities)),
            profile: match seccomp {
                Seccomp::Profile(profile) => Some(Profiled {
                    program: seccomp::of_profile(profile).map_err(|source| Failure {
                        stage: Stage::Filter,
                        mount: 0,
                        source,
                    })?,
                    init: seccomp::of_init(),
                }),
                Seccomp::Default | Seccomp::Unconfined => None,
            },
            no_new_privileges: no_new_privileges && !privileged,
            privileged,
            limits: limits.iter().map(|limit| (limit.resource, limit.values())).collect(),
            entrances: cgroup.map_or(Ok(Vec::new()), Cgroup::entrances).map_err(|error| Failure {
                stage: Stage::Cgroup,
                mount: 0,
                source: std::io::Error::other(error),
            })?,
            command_line: command_line(),
            stack: Stack::new(),
        })
    }
}

/// Strings together with the null-terminated array of pointers to them that `execve` takes.
pub(in crate::sandbox) struct Strings {
    pointers: Vec<*const c_char>,
    /// What the pointers point to: the bytes are on the heap, and nothing changes this vector any more.
    _strings: Vec<CString>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = Vec<u8>>) -> Result<Self, Failure> {
        let strings: Vec<CString> = strings.map(c_string).collect::<Result<_, _>>()?;
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { pointers, _strings: strings })
    }

    pub(in crate::sandbox) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

fn prefixes(directory: &str) -> Result<Vec<CString>, Failure> {
    let directory = directory.as_bytes();
    let ends = (1..=directory.len()).filter(|&end| directory.get(end).is_none_or(|&byte| byte == b'/'));
    ends.map(|end| c_string(directory[..end].to_vec())).collect()
}

/// Fields 48 and 49 of `/proc/self/stat`, `arg_start` and `arg_end`.
fn command_line() -> Option<Range<usize>> {
    static RANGE: OnceLock<Option<Range<usize>>> = OnceLock::new();
    let read = || {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is a name in parentheses that may contain anything.
        let mut numbers = stat.rsplit_once(") ")?.1.split_ascii_whitespace().skip(45);
        let (start, end) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        (0 < start && start < end).then_some(start..end)
    };
    RANGE.get_or_init(read).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_above_the_working_directory_come_first() {
        let made = |directory| prefixes(directory).expect("no zero bytes");
        assert_eq!(made("/"), [c"/".to_owned()]);
        assert_eq!(made("/a/bc"), [c"/a".to_owned(), c"/a/bc".to_owned()]);
        assert!(prefixes("/a\0b").is_err());
    }
}
