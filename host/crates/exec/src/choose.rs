//! Which executor runs a process: what the user wants, else what would be executed. Decided before anything runs.

use kiln_image::View;

use crate::Error;
use crate::dispatch::{self, Kind};

/// An image that has it has a userland of its own.
const SHELL: &str = "/bin/sh";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Auto,
    Namespace,
    Wasi,
}

/// The executor, and how the process has to be described for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub wasi: bool,
    /// Whether kiln's own tools are visible: where the image has no shell of its own.
    pub guest_tools: bool,
    /// The image has no such program: one of kiln's own is meant.
    pub missing: bool,
    /// A phrase about the program that decided.
    pub reason: String,
}

/// Chooses for `argv`, looked up in `path` (the value of PATH) and relative to `cwd`.
///
/// # Errors
/// `NotFound`, `NotExecutable`, and `WrongExecutor` where the wanted one cannot run the program.
pub fn choose(view: &View, wanted: Wanted, argv: &[String], path: &str, cwd: &str) -> Result<Choice, Error> {
    let program = &argv[0];
    let has_shell = view.resolve(SHELL.as_bytes(), true)?.is_some();
    let (kind, reason) = dispatch::classify(view, program, path, cwd)?;
    let wrong = |is, executor| Error::WrongExecutor { program: program.clone(), is, executor };
    let wasi = match (wanted, kind) {
        (Wanted::Wasi, Kind::Native) => return Err(wrong("a native program", "wasi")),
        (Wanted::Namespace, Kind::Wasm) => return Err(wrong("a WebAssembly program", "namespace")),
        (Wanted::Auto | Wanted::Wasi, Kind::Wasm) => true,
        (Wanted::Auto | Wanted::Namespace, Kind::Native) => false,
        // One of kiln's tools, or not found when it is started.
        (Wanted::Auto | Wanted::Wasi, Kind::Missing) if !has_shell => true,
        (_, Kind::Missing) => return Err(Error::NotFound { program: program.clone() }),
    };
    let guest_tools = wasi && !has_shell;
    Ok(Choice { wasi, guest_tools, missing: kind == Kind::Missing, reason })
}
