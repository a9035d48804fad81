//! Runs Linux programs in namespaces of their own, over overlayfs.
//!
//! ```text
//! scratch/
//!   upper/     the changes; becomes the layer's directory form
//!   work/      overlayfs' own
//!   merged/    where the root filesystem is mounted, in the sandbox's mount namespace only
//!   points/    mount points that the image lacks, as the topmost lower directory
//! ```
//!
//! `kiln_sys::sandbox` has the system calls; here is what they are given.

mod points;
mod refusals;
mod root;

use std::sync::OnceLock;

use kiln_image::scan_upper;
use kiln_sys::sandbox::{self, Ended, Sandbox};
use kiln_sys::userns::Ids;

use crate::{
    Error, Executor, Finished, Io, Network, Output, Process, Root, Status, Stdin, Stream, Unavailable, dispatch,
};

#[cfg(target_arch = "x86_64")]
const ABI: &str = "linux/amd64+ns.v1";
#[cfg(target_arch = "aarch64")]
const ABI: &str = "linux/arm64+ns.v1";

#[derive(Debug)]
pub struct Namespaces {
    ids: Ids,
    usable: OnceLock<Result<(), Unavailable>>,
}

impl Namespaces {
    pub fn new(ids: Ids) -> Self {
        Self { ids, usable: OnceLock::new() }
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
        self.preflight()?;
        refusals::check_user(self.ids, process)?;
        let prepared = root::prepare(root, process, self.ids)?;
        let path = process.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        let sandbox = Sandbox {
            ids: self.ids,
            lower: prepared.lower,
            upper: &prepared.upper,
            work: &prepared.work,
            merged: &prepared.merged,
            files: prepared.files,
            network: match process.network {
                Network::Host => sandbox::Network::Host,
                Network::None => sandbox::Network::None,
            },
            hostname: &process.hostname,
            programs: dispatch::candidates(&process.argv[0], path),
            arguments: &process.argv,
            environment: &process.env,
            directory: &process.cwd,
            uid: process.user.uid,
            gid: process.user.gid,
            groups: &process.user.groups,
            stdin: match io.stdin {
                Stdin::Empty => sandbox::Stdin::Empty,
                Stdin::Inherit => sandbox::Stdin::Inherit,
            },
            output: match io.output {
                Output::Inherit => sandbox::Output::Inherit,
                Output::Each(_) => sandbox::Output::Pipes,
            },
        };
        let refused = |failure| refusals::error(failure, process, &prepared.upper);
        let mut running = sandbox.spawn().map_err(refused)?;
        let mut each = |stream, bytes: &[u8]| {
            if let Output::Each(each) = io.output {
                let stream = match stream {
                    sandbox::Stream::Out => Stream::Out,
                    sandbox::Stream::Err => Stream::Err,
                };
                each(stream, bytes);
            }
        };
        let status = match running.finish(&mut each, &|| io.cancel.is_cancelled()).map_err(refused)? {
            Ended::Exited(code) => Status::Exited(code),
            Ended::Signalled(signal) => Status::Signalled(signal),
            Ended::Cancelled => return Err(Error::Cancelled),
        };
        // All that could write is dead by now; what the kernel still takes apart goes on beside this.
        let mut changes = scan_upper(&prepared.upper, self.ids.in_user_namespace())?;
        changes.splice(0..0, prepared.root.change(&prepared.upper)?);
        drop(running);
        Ok(Finished { status, changes, directory: Some(prepared.upper) })
    }
}
