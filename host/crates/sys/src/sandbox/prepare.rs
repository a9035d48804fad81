//! Everything the child will need, in the form that system calls take.

use std::ffi::{CString, c_char};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, OnceLock};

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::process::{Gid, Uid, getpgrp};
use rustix::termios::{isatty, tcgetpgrp, ttyname};

use super::{Failure, Network, Output, Sandbox, Stage, Stdin};
use crate::seccomp;
use crate::userns::Ids;

pub(super) struct Prepared {
    pub(super) ids: Ids,
    pub(super) lower: Vec<Lower>,
    pub(super) upper: CString,
    pub(super) work: CString,
    /// The descriptors of all mounts among lower directories, in order: the child needs them until it has its root.
    pub(super) inherited: Vec<RawFd>,
    pub(super) files: Vec<File>,
    pub(super) mounts: Vec<Mount>,
    pub(super) network: Network,
    pub(super) hostname: Vec<u8>,
    pub(super) programs: Vec<CString>,
    pub(super) arguments: Strings,
    pub(super) environment: Strings,
    /// The working directory and all above it, from the top down.
    pub(super) directories: Vec<CString>,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
    pub(super) masked: &'static [CString],
    /// Where this process's command line is in memory.
    pub(super) command_line: Option<Range<usize>>,
    pub(super) filter: &'static [libc::sock_filter],
    pub(super) empty_stdin: bool,
    pub(super) pipes: bool,
    pub(super) insecure: bool,
    /// Standard input is the terminal that this process is in the foreground of.
    pub(super) terminal: bool,
    /// Its path, to appear as `/dev/console`.
    pub(super) console: Option<CString>,
}

impl Prepared {
    pub(super) fn new(sandbox: &Sandbox<'_>) -> Result<Self, Failure> {
        let environment = sandbox.environment.iter().map(|(name, value)| format!("{name}={value}").into_bytes());
        let stdin = rustix::stdio::stdin();
        let terminal = sandbox.stdin == Stdin::Inherit && isatty(stdin) && tcgetpgrp(stdin) == Ok(getpgrp());
        let lower = lower(&sandbox.lower)?;
        let mounts: Vec<_> = sandbox.mounts.iter().zip(0..).map(Mount::new).collect::<Result<_, _>>()?;
        Ok(Self {
            ids: sandbox.ids,
            inherited: inherited(&lower, &mounts),
            lower,
            upper: c_path(sandbox.upper)?,
            work: c_path(sandbox.work)?,
            files: sandbox.files.iter().zip(0..).map(File::new).collect::<Result<_, _>>()?,
            mounts,
            network: sandbox.network,
            hostname: sandbox.hostname.as_bytes().to_vec(),
            programs: sandbox.programs.iter().map(|path| c_string(path.clone())).collect::<Result<_, _>>()?,
            arguments: Strings::new(sandbox.arguments.iter().map(|word| word.clone().into_bytes()))?,
            environment: Strings::new(environment)?,
            directories: prefixes(sandbox.directory)?,
            uid: Uid::from_raw(sandbox.uid),
            gid: Gid::from_raw(sandbox.gid),
            groups: sandbox.groups.iter().map(|&group| Gid::from_raw(group)).collect(),
            masked: masked(),
            command_line: command_line(),
            filter: seccomp::filter(),
            empty_stdin: sandbox.stdin == Stdin::Empty,
            pipes: sandbox.output == Output::Pipes,
            insecure: sandbox.insecure,
            terminal,
            console: terminal.then(|| ttyname(stdin, Vec::new()).ok()).flatten(),
        })
    }
}

pub(super) enum Lower {
    Directory(CString),
    Mount(Arc<OwnedFd>),
}

fn lower(directories: &[crate::Lower]) -> Result<Vec<Lower>, Failure> {
    let one = |lower: &crate::Lower| match lower {
        crate::Lower::Directory(path) => c_path(path).map(Lower::Directory),
        crate::Lower::Mount(mount) => Ok(Lower::Mount(Arc::clone(mount))),
    };
    directories.iter().map(one).collect()
}

fn inherited(lower: &[Lower], mounts: &[Mount]) -> Vec<RawFd> {
    let nested = mounts.iter().flat_map(|mount| match &mount.source {
        Source::Overlay { lower, .. } => &lower[..],
        _ => &[],
    });
    let mounts = lower.iter().chain(nested).filter_map(|lower| match lower {
        Lower::Mount(mount) => Some(mount.as_raw_fd()),
        Lower::Directory(_) => None,
    });
    let mut descriptors: Vec<RawFd> = mounts.collect();
    descriptors.sort_unstable();
    descriptors
}

/// A file in memory.
pub(super) struct File {
    /// Its own, where it is made.
    pub(super) name: CString,
    pub(super) content: Vec<u8>,
    pub(super) target: CString,
}

impl File {
    fn new(((content, target), number): (&(Vec<u8>, Vec<u8>), u32)) -> Result<Self, Failure> {
        let name = c_string(number.to_string().into_bytes())?;
        Ok(Self { name, content: content.clone(), target: c_string(target.clone())? })
    }
}

/// A mount, and where it comes from.
pub(super) struct Mount {
    pub(super) target: CString,
    /// The parts of `target`.
    pub(super) components: Vec<CString>,
    pub(super) read_only: bool,
    pub(super) source: Source,
}

pub(super) enum Source {
    Host(CString),
    /// What is at `path` of the overlay; the whole of it where that is `.`.
    Overlay {
        lower: Vec<Lower>,
        upper: CString,
        work: CString,
        path: CString,
    },
    /// Its size as the filesystem takes it.
    Memory(Option<CString>),
    /// Its mode and owner beside it.
    Bytes {
        file: File,
        mode: u32,
        uid: u32,
        gid: u32,
    },
}

impl Mount {
    fn new((mount, number): (&super::Mount, u32)) -> Result<Self, Failure> {
        let components = mount.target.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        let source = match &mount.source {
            super::Source::Host(path) => Source::Host(c_path(path)?),
            super::Source::Overlay { lower, upper, work, path } => Source::Overlay {
                lower: self::lower(lower)?,
                upper: c_path(upper)?,
                work: c_path(work)?,
                path: c_string(if path.is_empty() { b".".to_vec() } else { path.clone() })?,
            },
            super::Source::Memory { size } => {
                Source::Memory(size.map(|size| c_string(size.to_string().into_bytes())).transpose()?)
            }
            &super::Source::Bytes { ref content, mode, uid, gid } => {
                let name = c_string(format!("mount{number}").into_bytes())?;
                let file = File { name, content: content.clone(), target: c_string(mount.target.clone())? };
                Source::Bytes { file, mode, uid, gid }
            }
        };
        Ok(Self {
            target: c_string(mount.target.clone())?,
            components: components.map(|part| c_string(part.to_vec())).collect::<Result<_, _>>()?,
            read_only: mount.read_only,
            source,
        })
    }
}

/// Strings together with the null-terminated array of pointers to them that `execve` takes.
pub(super) struct Strings {
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

    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

fn c_path(path: &Path) -> Result<CString, Failure> {
    c_string(path.as_os_str().as_bytes().to_vec())
}

fn c_string(bytes: Vec<u8>) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure {
        stage: Stage::Prepare,
        mount: 0,
        source: io::Error::new(io::ErrorKind::InvalidInput, "a path, argument or variable contains a zero byte"),
    })
}

fn prefixes(directory: &str) -> Result<Vec<CString>, Failure> {
    let directory = directory.as_bytes();
    let ends = (1..=directory.len()).filter(|&end| directory.get(end).is_none_or(|&byte| byte == b'/'));
    ends.map(|end| c_string(directory[..end].to_vec())).collect()
}

/// Docker's list: what tells about, or steers, the whole machine.
fn masked() -> &'static [CString] {
    static PATHS: OnceLock<Vec<CString>> = OnceLock::new();
    PATHS.get_or_init(|| {
        let mut paths: Vec<CString> = [
            c"proc/acpi",
            c"proc/asound",
            c"proc/interrupts",
            c"proc/kcore",
            c"proc/keys",
            c"proc/latency_stats",
            c"proc/sched_debug",
            c"proc/scsi",
            c"proc/timer_list",
            c"proc/timer_stats",
            c"sys/devices/virtual/powercap",
            c"sys/firmware",
        ]
        .map(CString::from)
        .into();
        // How warm each core is tells what others compute.
        let cores = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
        paths.extend(
            cores
                .map(|core| core.path().join("thermal_throttle"))
                .filter(|path| path.exists())
                .filter_map(|path| CString::new(path.as_os_str().as_bytes().strip_prefix(b"/")?).ok()),
        );
        paths
    })
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
