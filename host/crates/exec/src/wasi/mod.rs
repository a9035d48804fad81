//! Runs WASI preview 1 programs under wasmtime, over kiln's own layered filesystem.
//!
//! Nothing of the host is within a guest's reach: it sees the image's layers, its own changes, clocks that stand or
//! count, and randomness drawn from the step's key. So what it computes is a function of the key alone.

mod engine;
mod errno;
mod fatal;
mod fs;
mod guest_memory;
mod limits;
mod modules;
mod preview1;
mod processes;
mod tools;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use wasmtime::Engine;

use crate::{Error, Executor, Finished, Io, Process, Root, Unavailable};
pub use limits::{Limit, Limits, WrongLimit};
use modules::Modules;
use preview1::Imports;
pub use processes::Stopped;
pub use tools::guest_tools_digest;

/// The executor for WebAssembly programs, the same on every host.
pub struct Wasi {
    modules_directory: PathBuf,
    limits: Limits,
    runtime: OnceLock<Result<Arc<Runtime>, String>>,
}

/// What all steps share: the compiler and what it has compiled.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) modules: Modules,
}

impl Wasi {
    /// Compiled modules are kept in `modules_directory`, which is made private to the user. Nothing happens before the
    /// first run. What one run may use is bounded by `limits`.
    pub fn new(modules_directory: PathBuf, limits: Limits) -> Self {
        Self { modules_directory, limits, runtime: OnceLock::new() }
    }

    fn runtime(&self) -> Result<Arc<Runtime>, Error> {
        let start = || {
            let engine = engine::new(self.limits.fuel.is_some())?;
            let imports = Imports::new(&engine)?;
            let modules = Modules::new(engine.clone(), imports, self.modules_directory.clone());
            Ok(Arc::new(Runtime { engine, modules }))
        };
        let runtime = self.runtime.get_or_init(|| start().map_err(|error: wasmtime::Error| format!("{error:#}")));
        runtime.clone().map_err(Error::Engine)
    }
}

impl Wasi {
    /// Runs `process` where what it changes counts however it ended: in a container. Errors are those before its first
    /// instruction, and of taking down what it changed. With `read_only` it can change nothing but what is mounted.
    pub fn run_and_keep(
        &self,
        root: &Root<'_>,
        process: &Process,
        io: &Io<'_>,
        read_only: bool,
    ) -> Result<Stopped, Error> {
        processes::run_and_keep(self.runtime()?, &self.limits, root, process, io, read_only)
    }
}

impl Executor for Wasi {
    fn abi(&self) -> &'static str {
        "wasip1+kiln.v1"
    }

    fn preflight(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    fn run(&self, root: &Root<'_>, process: &Process, io: &Io<'_>) -> Result<Finished, Error> {
        processes::run_step(self.runtime()?, &self.limits, root, process, io)
    }
}
