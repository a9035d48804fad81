//! Containers: processes that are started and then followed by a supervisor, and others that join them.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use kiln_sys::cgroup::Cgroup;
use kiln_sys::process::Identity;
use kiln_sys::sandbox::{self, Confinement, Ended, Entering, Failure, Sandbox, Size, Stage, Stdin, Tree, Volume};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::termios::{Winsize, tcsetwinsize};

use super::agent::Agent;
use super::root::{self, system};
use super::{Namespaces, network, program, refusals};
use crate::{Error, Process, Root, Status};

/// What a container has beyond a build step. Its output comes in two pipes, or through its terminal.
pub struct Container<'a> {
    /// Receives all changes, and is kept by the caller from one start to the next. Made if it is missing.
    pub upper: &'a Path,
    /// Overlayfs' own, on the filesystem of `upper`. Made anew each time.
    pub work: &'a Path,
    /// What it writes need not survive a crash of the machine, as it will be removed when it ends (`--rm`): no syncs.
    pub volatile: bool,
    pub read_only: bool,
    pub confinement: &'a Confinement,
    /// A terminal of its own instead of pipes: `/dev/pts/0`, and `/dev/console`.
    pub terminal: Option<Size>,
    /// Standard input is a pipe; else it is empty. With a terminal it is that.
    pub stdin: bool,
    /// Instead of the host's `/etc/resolv.conf`.
    pub resolv_conf: Option<&'a [u8]>,
    /// Of `/dev/shm`, in bytes; 64 MiB otherwise.
    pub shm_size: Option<u64>,
    pub devices: &'a [Device],
    /// Files beneath `/proc/sys`, and what is written to them.
    pub sysctls: &'a [(String, String)],
    pub cgroup: Option<&'a Cgroup>,
}

/// A device of the host, or a directory of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub host: PathBuf,
    /// Beneath `/dev`.
    pub target: PathBuf,
}

/// How another process runs in a container.
pub struct Enter<'a> {
    pub confinement: &'a Confinement,
    pub terminal: Option<Size>,
    pub stdin: bool,
    /// Descriptors of the caller to be its standard streams, instead of pipes of its own. Only pipes and sockets are handed
    /// in: a file, a directory or a terminal of the host could be opened again there, for more. Their pipes are in
    /// [`Started`].
    pub given: [Option<BorrowedFd<'a>>; 3],
    /// The container's.
    pub cgroup: Option<&'a Cgroup>,
}

/// A process that is ready, and held back until [`Started::go`]. Dropped, it is killed: a container with all its
/// processes.
pub struct Started {
    /// Process 1 of the container, as this process sees it; of one that entered, what stands for it here.
    pub id: Identity,
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
    /// The container's network namespace, if it has one of its own.
    pub network: Option<OwnedFd>,
    started: sandbox::Started,
    /// For the words of errors.
    process: Process,
    _agents: Vec<Agent>,
}

impl Namespaces {
    /// Starts a container. The calling thread must live as long as it: when it dies, the kernel kills the container.
    pub fn start(&self, root: &Root<'_>, process: &Process, container: &Container<'_>) -> Result<Started, Error> {
        self.check(process)?;
        root::keep(root, container.upper, container.work, self.ids)?;
        let prepared = root::prepare(root, process, container.resolv_conf, self)?;
        let devices = devices(container)?;
        let sandbox = Sandbox {
            ids: self.ids,
            lower: prepared.lower,
            upper: container.upper,
            work: container.work,
            files: prepared.files,
            mounts: prepared.mounts,
            network: network(process.network),
            hostname: &process.hostname,
            program: program(process, container.confinement),
            stdin: stdin(container.terminal, container.stdin),
            output: sandbox::Output::Pipes,
            volatile: container.volatile,
            read_only: container.read_only,
            // A ruleset would keep those who enter from looking at the container's first processes: one that they do not
            // share. Files of the host have no descriptor here.
            restrict_writing: false,
            shm_size: container.shm_size,
            devices: &devices,
            sysctls: container.sysctls,
            cgroup: container.cgroup,
        };
        let order = crate::mount::order(root.mounts);
        let started = sandbox.start().map_err(|failure| match container.sysctls.get(usize::from(failure.mount)) {
            Some((path, _)) if failure.stage == Stage::Sysctl => {
                Error::System { action: format!("write to /proc/sys/{path}"), source: failure.source }
            }
            _ => refusals::error(failure, process, container.upper, (root.mounts, &order)),
        })?;
        Started::new(started, process, prepared.agents)
    }

    /// Starts another process in a container that runs: in its namespaces, its control group, and confined as `how` says.
    /// `of` is the container's process 1. The calling thread must live as long as the process, as above.
    pub fn enter(&self, of: Identity, process: &Process, how: &Enter<'_>) -> Result<Started, Error> {
        self.check(process)?;
        let entering = Entering {
            ids: self.ids,
            sandbox: of,
            program: program(process, how.confinement),
            stdin: stdin(how.terminal, how.stdin),
            given: how.given,
            cgroup: how.cgroup,
        };
        let started = entering.start().map_err(|failure| refused(failure, process))?;
        Started::new(started, process, Vec::new())
    }

    /// The root directory of a container that does not run, with files and directories of the host in their places, one
    /// within another after it. For reading and for writing.
    pub fn mount(&self, root: &Root<'_>, upper: &Path, work: &Path, volumes: &[Volume<'_>]) -> Result<Tree, Error> {
        root::keep(root, upper, work, self.ids)?;
        let points = root::points(&root.view, volumes)?;
        let lower = root::lower(root, &root.view, &points, self)?;
        sandbox::mount(&lower, upper, work, self.ids, volumes).map_err(|failure| refusals::mount_error(failure, upper))
    }

    fn check(&self, process: &Process) -> Result<(), Error> {
        use crate::Executor as _;
        self.preflight()?;
        Ok(refusals::check_user(self.ids, process)?)
    }
}

/// The root directory of a container that runs. What is in it is the container's: resolve paths beneath it
/// (`openat2` with `RESOLVE_IN_ROOT`).
pub fn root_of(container: Identity) -> Result<OwnedFd, Error> {
    let open = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, format!("/proc/{}/root", container.pid), flags, Mode::empty())?;
        // Looked at last: it was this one's.
        container.open()?;
        io::Result::Ok(root)
    };
    open().map_err(|source| Error::System { action: "open the container's root directory".to_owned(), source })
}

impl Started {
    fn new(mut started: sandbox::Started, process: &Process, agents: Vec<Agent>) -> Result<Self, Error> {
        let id = Identity::of(started.pid())
            .map_err(|source| Error::System { action: "look at the process".to_owned(), source })?;
        let [stdin, stdout, stderr] = std::mem::take(&mut started.streams);
        let (terminal, network) = (started.terminal.take(), started.network.take());
        Ok(Self { id, stdin, stdout, stderr, terminal, network, started, process: process.clone(), _agents: agents })
    }

    /// Lets it go. Fails if it is not found or cannot be executed; then it has ended.
    pub fn go(&mut self) -> Result<(), Error> {
        self.started.go().map_err(|failure| refused(failure, &self.process))
    }

    /// Readable when it has ended, once it was let go.
    pub fn exit_fd(&self) -> BorrowedFd<'_> {
        self.started.ended()
    }

    /// Waits until it has ended, and a container's other processes with it. What it wrote is there then; dropping this
    /// waits until it is also on the disk, unless the container is volatile, and its mounts are gone.
    pub fn wait(&mut self) -> Result<Status, Error> {
        match self.started.wait().map_err(|failure| refused(failure, &self.process))? {
            Ended::Exited(code) => Ok(Status::Exited(code)),
            Ended::Signalled(signal) => Ok(Status::Signalled(signal)),
            Ended::Cancelled => Err(Error::Cancelled),
        }
    }

    /// Sends it a signal; SIGKILL kills a container with all its processes.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.started.signal(signal)
    }

    /// Kills it with all that it has started, as far as that did not make itself a daemon.
    pub fn kill_all(&self) -> io::Result<()> {
        self.started.kill_all()
    }

    /// Tells its terminal, if it has one, what size it is now.
    pub fn resize(&self, size: Size) -> io::Result<()> {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        Ok(tcsetwinsize(terminal, Winsize::from(size))?)
    }
}

fn refused(failure: Failure, process: &Process) -> Error {
    refusals::error(failure, process, Path::new("/"), (&[], &[]))
}

fn stdin(terminal: Option<Size>, pipe: bool) -> Stdin {
    match terminal {
        Some(size) => Stdin::Terminal(size),
        None if pipe => Stdin::Pipe,
        None => Stdin::Empty,
    }
}

/// Kept by the kernel in every container's `/dev`, or made for it.
const OWN_DEVICES: [&str; 11] =
    ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue"];

fn devices(container: &Container<'_>) -> Result<Vec<sandbox::Device>, Error> {
    let mut devices = Vec::new();
    for device in container.devices {
        let target = device.target.strip_prefix("/dev").ok().filter(|target| target.is_absolute() || is_clean(target));
        let target = target.ok_or_else(|| {
            let reason = io::Error::new(ErrorKind::InvalidInput, "its place is not beneath /dev");
            Error::System { action: format!("give the container {}", device.target.display()), source: reason }
        })?;
        find_devices(&device.host, target, &mut devices)?;
    }
    if container.confinement.privileged {
        let is_own = |name: &[u8]| OWN_DEVICES.iter().any(|own| name == own.as_bytes());
        let mut all = Vec::new();
        list_devices(Path::new("/dev"), Path::new(""), &is_own, &mut all)?;
        let is_new = |new: &sandbox::Device| !devices.iter().any(|device| device.target == new.target);
        all.retain(is_new);
        devices.extend(all);
    }
    Ok(devices)
}

fn is_clean(path: &Path) -> bool {
    path.file_name().is_some() && path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// The device at `host`, or those in the directory that it is.
fn find_devices(host: &Path, target: &Path, devices: &mut Vec<sandbox::Device>) -> Result<(), Error> {
    let kind = fs::metadata(host).map_err(system("look at the device", host))?.file_type();
    if kind.is_dir() {
        return list_devices(host, target, &|_| false, devices);
    }
    if !is_device(kind) {
        let source = io::Error::new(ErrorKind::InvalidInput, "it is not a device");
        return Err(Error::System { action: format!("give the container {}", host.display()), source });
    }
    devices.push(sandbox::Device { host: host.to_owned(), target: target.as_os_str().as_encoded_bytes().to_vec() });
    Ok(())
}

/// Those in a directory and below it, but for names that `skip` knows. What is neither device nor directory, links among
/// it, is passed over, and so is what this user may not look at, or what went away meanwhile.
fn list_devices(
    host: &Path,
    target: &Path,
    skip: &dyn Fn(&[u8]) -> bool,
    devices: &mut Vec<sandbox::Device>,
) -> Result<(), Error> {
    for entry in fs::read_dir(host).map_err(system("list", host))?.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name();
        if !skip(name.as_encoded_bytes()) && (kind.is_dir() || is_device(kind)) {
            match find_devices(&entry.path(), &target.join(name), devices) {
                Err(Error::System { source, .. })
                    if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
                found => found?,
            }
        }
    }
    Ok(())
}

fn is_device(kind: fs::FileType) -> bool {
    kind.is_char_device() || kind.is_block_device()
}
