//! Runs Linux programs in namespaces of their own, over overlayfs.
//!
//! ```text
//! scratch/
//!   upper/     the changes; becomes the layer's directory form; in the sandbox the root filesystem is mounted over it
//!   work/      overlayfs' own
//!   mounts/    the same for each mount that is made of layers
//!   agents/    sockets that lead to ssh agents
//! shared/
//!   points-N/  mount points that images lack, and directories that layers imply, as the topmost lower directory
//! ```
//!
//! `kiln_sys::sandbox` has the system calls; here is what they are given.

mod agent;
mod container;
mod implied;
mod mounts;
mod networks;
mod points;
mod refusals;
mod root;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_image::{User, scan_upper};
use kiln_sys::sandbox::{self, Ended, Failure, Program, Running, Sandbox, Wish};
pub use kiln_sys::sandbox::{Confinement, Limit, Seccomp, Size, Tree, Volume};
use kiln_sys::userns::Ids;

pub use container::{Container, Device, Enter, Started, root_of};
use implied::Implied;
use networks::Networks;
use points::Made;
pub use refusals::MORE_IDS;
use root::RootDirectory;

use crate::{
    Directory, Error, Executor, Finished, Io, Network, Output, Process, Root, Status, Stdin, Stream, Unavailable,
    dispatch,
};

#[cfg(target_arch = "x86_64")]
const ABI: &str = "linux/amd64+ns.v1";
#[cfg(target_arch = "aarch64")]
const ABI: &str = "linux/arm64+ns.v1";

#[derive(Debug)]
pub struct Namespaces {
    ids: Ids,
    implied: Implied,
    points: Made,
    networks: Networks,
    /// Whether a step ran, so that another may follow.
    has_run: AtomicBool,
    usable: OnceLock<Result<(), Unavailable>>,
}

impl Namespaces {
    pub fn new(ids: Ids) -> Self {
        Self {
            ids,
            implied: Implied::default(),
            points: Made::default(),
            networks: Networks::default(),
            has_run: AtomicBool::new(false),
            usable: OnceLock::new(),
        }
    }

    /// Its preflight was done by the process that started this one.
    pub fn checked(ids: Ids) -> Self {
        Self { usable: Ok(()).into(), ..Self::new(ids) }
    }
}

impl Executor for Namespaces {
    fn abi(&self) -> &'static str {
        ABI
    }

    fn preflight(&self) -> Result<(), Unavailable> {
        let try_it = || {
            refusals::check_kernel()?;
            sandbox::probe(self.ids).map_err(|failure| refusals::unavailable(&failure))
        };
        self.usable.get_or_init(try_it).clone()
    }

    fn run(&self, root: &Root<'_>, process: &Process, io: &Io<'_>) -> Result<Finished, Error> {
        let Ran { status, upper, root, running } = self.follow(root, process, io, &|| None)?;
        // All that could write is dead by now; what the kernel still takes apart goes on beside this.
        let mut changes = scan_upper(&upper, self.ids.in_user_namespace())?;
        changes.splice(0..0, root.change(&upper)?);
        let directory = Some(Directory::in_use(upper, running));
        Ok(Finished { status, changes, kept: Vec::new(), directory })
    }

    fn run_in_foreground(
        &self,
        root: &Root<'_>,
        process: &Process,
        io: &Io<'_>,
        next_signal: &dyn Fn() -> Option<i32>,
    ) -> Result<Status, Error> {
        Ok(self.follow(root, process, io, next_signal)?.status)
    }
}

/// A process that has ended.
struct Ran {
    status: Status,
    upper: PathBuf,
    root: RootDirectory,
    /// Gone, with its mounts, when it is dropped.
    running: Running,
}

impl Namespaces {
    /// The preflight takes as long as a step. For who may do anything it comes when a step has failed, to say why; others
    /// are told before layers are unpacked for nothing.
    fn is_surely_usable(&self) -> bool {
        self.ids == Ids::Root && refusals::check_kernel().is_ok() && kiln_sys::Capabilities::may_administer()
    }

    /// Runs `process` to its end.
    fn follow(
        &self,
        root: &Root<'_>,
        process: &Process,
        io: &Io<'_>,
        next_signal: &dyn Fn() -> Option<i32>,
    ) -> Result<Ran, Error> {
        if !self.is_surely_usable() {
            self.preflight()?;
        }
        refusals::check_user(self.ids, process)?;
        self.networks.begin(process.network);
        let fresh = root::fresh(root, self.ids)?;
        let prepared = root::prepare(root, process, None, self)?;
        let confinement = Confinement { privileged: process.insecure, ..Confinement::default() };
        let sandbox = Sandbox {
            ids: self.ids,
            lower: prepared.lower,
            upper: &fresh.upper,
            work: &fresh.work,
            files: prepared.files,
            mounts: prepared.mounts,
            network: self.networks.take(process.network),
            hostname: &process.hostname,
            program: program(process, &confinement),
            stdin: match io.stdin {
                Stdin::Empty => sandbox::Stdin::Empty,
                Stdin::Inherit => sandbox::Stdin::Inherit,
            },
            output: match io.output {
                Output::Inherit => sandbox::Output::Inherit,
                Output::Each(_) => sandbox::Output::Pipes,
            },
            volatile: true,
            read_only: false,
            restrict_writing: !process.insecure,
            shm_size: None,
            devices: &[],
            sysctls: &[],
            cgroup: None,
        };
        let order = crate::mount::order(root.mounts);
        let refused = |failure: Failure| {
            let unusable = if failure.stage.is_of_the_host() { self.preflight().err() } else { None };
            unusable.map_or_else(|| refusals::error(failure, process, &fresh.upper, (root.mounts, &order)), Error::from)
        };
        let mut running = sandbox.spawn().map_err(refused)?;
        if self.has_run.swap(true, Ordering::Relaxed) {
            self.networks.begin(process.network);
        }
        let mut each = |stream, bytes: &[u8]| {
            if let Output::Each(each) = io.output {
                let stream = match stream {
                    sandbox::Stream::Out => Stream::Out,
                    sandbox::Stream::Err => Stream::Err,
                };
                each(stream, bytes);
            }
        };
        let wish = || match io.cancel.is_cancelled() {
            true => Some(Wish::Cancel),
            false => next_signal().map(Wish::Signal),
        };
        let status = match running.finish(&mut each, &wish).map_err(refused)? {
            Ended::Exited(code) => Status::Exited(code),
            Ended::Signalled(signal) => Status::Signalled(signal),
            Ended::Cancelled => return Err(Error::Cancelled),
        };
        drop(prepared.agents);
        Ok(Ran { status, upper: fresh.upper, root: fresh.root, running })
    }
}

/// As runc has it: a file that the primary group is kept from stays so when another group is switched to.
fn groups(user: &User) -> Vec<u32> {
    let mut groups = user.groups.clone();
    if !groups.contains(&user.gid) {
        groups.insert(0, user.gid);
    }
    groups
}

fn program<'a>(process: &'a Process, confinement: &'a Confinement) -> Program<'a> {
    let path = process.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    Program {
        paths: dispatch::candidates(&process.argv[0], path),
        arguments: &process.argv,
        environment: &process.env,
        directory: &process.cwd,
        uid: process.user.uid,
        gid: process.user.gid,
        groups: groups(&process.user),
        confinement,
    }
}

fn network(network: Network) -> sandbox::Network {
    match network {
        Network::Host => sandbox::Network::Host,
        Network::None | Network::Private => sandbox::Network::None,
    }
}
