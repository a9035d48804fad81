//! Everything the child will need, in the form that system calls take.

mod program;

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::process::getpgrp;
use rustix::termios::{isatty, tcgetpgrp, ttyname};

use super::{Device, Failure, Network, Sandbox, Stage, Stdin};
use crate::cgroup::Cgroup;
use crate::userns::Ids;

pub(super) use program::{PreparedProgram, Strings, Terminal};

pub(super) struct Prepared {
    pub(super) program: PreparedProgram,
    pub(super) hands_over: bool,
    pub(super) ids: Ids,
    pub(super) lower: Vec<Lower>,
    pub(super) upper: CString,
    pub(super) work: CString,
    pub(super) volatile: bool,
    pub(super) read_only: bool,
    /// The descriptors of all mounts among lower directories, in order: the child needs them until it has its root.
    pub(super) inherited: Vec<RawFd>,
    pub(super) files: Vec<File>,
    pub(super) mounts: Vec<Mount>,
    pub(super) network: Network,
    pub(super) hostname: Vec<u8>,
    pub(super) shm_size: CString,
    pub(super) devices: Vec<PreparedDevice>,
    /// Paths in the root filesystem, and what is written there.
    pub(super) sysctls: Vec<(CString, Vec<u8>)>,
    /// What is to be seen of control groups of version 1.
    pub(super) hierarchies: Vec<Hierarchy>,
    pub(super) masked: &'static [CString],
    pub(super) restrict_writing: bool,
    /// The path of the caller's terminal, to appear as `/dev/console`.
    pub(super) console: Option<CString>,
}

/// Docker's, too.
const SHM_SIZE: u64 = 64 << 20;

impl Prepared {
    /// `hands_over`: the program waits for leave, and its parent gets what it needs until then.
    pub(super) fn new(sandbox: &Sandbox<'_>, hands_over: bool) -> Result<Self, Failure> {
        let stdin = rustix::stdio::stdin();
        let terminal = match sandbox.stdin {
            Stdin::Inherit if isatty(stdin) && tcgetpgrp(stdin) == Ok(getpgrp()) => Terminal::Callers,
            Stdin::Terminal(size) => size.into(),
            _ => Terminal::None,
        };
        let is_callers = matches!(terminal, Terminal::Callers);
        let program = PreparedProgram::new(&sandbox.program, sandbox.ids, terminal, sandbox.cgroup)?;
        let lower = lower(&sandbox.lower)?;
        let mounts: Vec<_> =
            sandbox.mounts.iter().zip(0..).map(|mount| Mount::new(mount, &sandbox.mounts)).collect::<Result<_, _>>()?;
        Ok(Self {
            inherited: inherited(&lower, &mounts),
            program,
            hands_over,
            ids: sandbox.ids,
            lower,
            upper: c_path(sandbox.upper)?,
            work: c_path(sandbox.work)?,
            volatile: sandbox.volatile,
            read_only: sandbox.read_only,
            files: sandbox.files.iter().zip(0..).map(File::new).collect::<Result<_, _>>()?,
            mounts,
            network: sandbox.network.clone(),
            hostname: sandbox.hostname.as_bytes().to_vec(),
            shm_size: c_string(sandbox.shm_size.unwrap_or(SHM_SIZE).to_string().into_bytes())?,
            devices: sandbox.devices.iter().map(PreparedDevice::new).collect::<Result<_, _>>()?,
            sysctls: sandbox.sysctls.iter().map(sysctl).collect::<Result<_, _>>()?,
            hierarchies: sandbox.cgroup.map_or(Ok(Vec::new()), hierarchies)?,
            masked: masked(),
            restrict_writing: sandbox.restrict_writing,
            console: is_callers.then(|| ttyname(stdin, Vec::new()).ok()).flatten(),
        })
    }
}

fn sysctl((path, value): &(String, String)) -> Result<(CString, Vec<u8>), Failure> {
    Ok((c_string(format!("proc/sys/{path}").into_bytes())?, value.clone().into_bytes()))
}

/// A hierarchy of control groups of version 1.
pub(super) struct Hierarchy {
    /// Its controllers with commas between them.
    pub(super) name: CString,
    pub(super) controllers: Vec<CString>,
}

fn hierarchies(cgroup: &Cgroup) -> Result<Vec<Hierarchy>, Failure> {
    let one = |controllers: &Vec<String>| {
        Ok(Hierarchy {
            name: c_string(controllers.join(",").into_bytes())?,
            controllers: controllers
                .iter()
                .map(|name| c_string(name.clone().into_bytes()))
                .collect::<Result<_, _>>()?,
        })
    };
    cgroup.limiting().iter().map(one).collect()
}

/// A device of the host.
pub(super) struct PreparedDevice {
    pub(super) host: CString,
    /// The names of the directories beneath `/dev` that it is in, from the top down.
    pub(super) directories: Vec<CString>,
    pub(super) name: CString,
}

impl PreparedDevice {
    fn new(device: &Device) -> Result<Self, Failure> {
        let names = device.target.split(|&byte| byte == b'/').map(|name| c_string(name.to_vec()));
        let mut directories = names.collect::<Result<Vec<_>, _>>()?;
        let name = directories.pop().expect("split yields one at least");
        Ok(Self { host: c_path(&device.host)?, directories, name })
    }
}

pub(super) enum Lower {
    Directory(CString),
    Mount(Arc<OwnedFd>),
}

pub(super) fn lower(directories: &[crate::Lower]) -> Result<Vec<Lower>, Failure> {
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
    /// Others are mounted within it.
    pub(super) has_nested: bool,
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
    /// Its options as the filesystem takes them.
    Memory {
        options: [(&'static CStr, CString); 4],
        no_exec: bool,
    },
    /// Its mode and owner beside it.
    Bytes {
        file: File,
        mode: u32,
        uid: u32,
        gid: u32,
    },
}

impl Mount {
    fn new((mount, number): (&super::Mount, u32), all: &[super::Mount]) -> Result<Self, Failure> {
        let is_within = |other: &super::Mount| {
            other.target.strip_prefix(&mount.target[..]).is_some_and(|rest| rest.starts_with(b"/"))
        };
        let components = mount.target.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        let source = match &mount.source {
            super::Source::Host(path) => Source::Host(c_path(path)?),
            super::Source::Overlay { lower, upper, work, path } => Source::Overlay {
                lower: self::lower(lower)?,
                upper: c_path(upper)?,
                work: c_path(work)?,
                path: c_string(if path.is_empty() { b".".to_vec() } else { path.clone() })?,
            },
            &super::Source::Memory { size, mode, uid, gid, no_exec } => {
                let size = size.map_or_else(|| "50%".to_owned(), |size| size.to_string());
                let text = |text: String| c_string(text.into_bytes());
                let options = [
                    (c"size", text(size)?),
                    (c"mode", text(format!("{mode:o}"))?),
                    (c"uid", text(uid.to_string())?),
                    (c"gid", text(gid.to_string())?),
                ];
                Source::Memory { options, no_exec }
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
            has_nested: all.iter().any(is_within),
            source,
        })
    }
}

pub(super) fn c_path(path: &Path) -> Result<CString, Failure> {
    c_string(path.as_os_str().as_bytes().to_vec())
}

fn c_string(bytes: Vec<u8>) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure {
        stage: Stage::Prepare,
        mount: 0,
        source: io::Error::new(io::ErrorKind::InvalidInput, "a path, argument or variable contains a zero byte"),
    })
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
