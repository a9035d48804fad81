//! RUN: which executor, the key, and the process itself.

use kiln_dockerfile::Span;
use kiln_exec::dispatch::{self, Kind};
use kiln_exec::{Executor, Io, Output, Process, Root, Status, Stdin, Stream};
use kiln_image::{Change, User, View};
use kiln_store::Scratch;
use kiln_types::{Digest, Platform};

use crate::key::Key;
use crate::plan::{Chosen, Run};
use crate::state::State;
use crate::{Environment, ExecutorChoice, Located};

/// Every step sees the same name of the machine.
const HOSTNAME: &str = "kiln";

/// A RUN with everything about it decided.
pub(crate) struct Prepared<'a> {
    run: &'a Run,
    span: Span,
    executor: &'a dyn Executor,
    wasi: bool,
    argv: Vec<String>,
    guest_tools: bool,
    user: User,
    /// Something to tell the user about the choice.
    pub(crate) note: Option<String>,
}

/// How a RUN ended.
pub(crate) struct Ran {
    pub(crate) status: Status,
    pub(crate) changes: Vec<Change>,
    pub(crate) directory: Option<std::path::PathBuf>,
}

/// Chooses the executor (WASI steps, section 1) and looks up the user.
pub(crate) fn prepare<'a>(
    run: &'a Run,
    view: &View,
    environment: &'a Environment,
    span: Span,
) -> Result<Prepared<'a>, Located> {
    let user = kiln_image::resolve_user(view, &run.user)
        .map_err(|error| Located::new("unknown-user", span, error.to_string()).source(error))?;
    let path = run.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let (kind, reason) = dispatch::classify(view, &run.argv[0], path, &run.cwd)
        .map_err(|error| Located::new("bad-program", span, error.to_string()).source(error))?;
    let no_shell = run.shell_form && kind == Kind::Missing && run.argv[0] == "/bin/sh";
    let wasi = match (run.executor.executor, kind) {
        (ExecutorChoice::Wasi, Kind::Native) => return Err(native_in_wasi(run, span)),
        (ExecutorChoice::Namespace, Kind::Wasm) => {
            let message = format!("`{}` is a WebAssembly program and cannot run in namespaces", run.argv[0]);
            return Err(Located::new("wrong-executor", span, message)
                .hint(format!("{} chose that executor; leave the choice to kiln", run.executor.by)));
        }
        (ExecutorChoice::Wasi, _) | (ExecutorChoice::Auto, Kind::Wasm) => true,
        (ExecutorChoice::Namespace, _) | (ExecutorChoice::Auto, Kind::Native) => false,
        (ExecutorChoice::Auto, Kind::Missing) => no_shell,
    };
    let mut argv = run.argv.clone();
    let guest_tools = wasi && no_shell;
    if guest_tools {
        argv[0] = "/.kiln/bin/sh".to_owned();
    }
    let note = (guest_tools && matches!(run.executor, Chosen { executor: ExecutorChoice::Auto, .. }))
        .then(|| format!("{reason}: kiln's own shell runs this step (WASI)"));
    let executor = if wasi { &*environment.wasi } else { &*environment.namespace };
    executor.preflight().map_err(|unavailable| {
        Located::new("executor-unavailable", span, unavailable.to_string()).source(unavailable)
    })?;
    Ok(Prepared { run, span, executor, wasi, argv, guest_tools, user, note })
}

fn native_in_wasi(run: &Run, span: Span) -> Located {
    let message = format!("`{}` is a native program and cannot run as WASI", run.argv[0]);
    Located::new("wrong-executor", span, message).hint(format!(
        "{} chose that executor; a Linux host with --executor=namespace runs it, or use a base image without native programs",
        run.executor.by
    ))
}

impl Prepared<'_> {
    pub(crate) fn key(&self, state: &State, platform: &Platform) -> Key {
        let Self { run, user, .. } = self;
        let mut key = Key::new("run", state.content, platform);
        key.add("executor", self.executor.abi());
        key.add_list("command", &self.argv);
        let environment: Vec<String> = run.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        key.add_list("environment", &environment);
        key.add("directory", &run.cwd);
        key.add("user", format!("{}:{} {:?}", user.uid, user.gid, user.groups));
        key.add("network", format!("{:?}", run.network));
        if self.wasi {
            key.add("clock", run.clock.to_string());
        }
        key
    }

    /// What history notes beside the command.
    pub(crate) fn history_comment(&self) -> Option<String> {
        self.wasi.then(|| "kiln.wasi.v1".to_owned())
    }

    pub(crate) fn execute(
        &self,
        key: Digest,
        view: View,
        scratch: &Scratch,
        environment: &Environment,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<Ran, kiln_exec::Error> {
        let run = self.run;
        let mut env: Vec<(String, String)> = run.env.iter().chain(&run.unkeyed_env).cloned().collect();
        if !env.iter().any(|(name, _)| name == "HOME") {
            env.push(("HOME".to_owned(), self.user.home.clone().unwrap_or_else(|| "/".to_owned())));
        }
        let process = Process {
            argv: self.argv.clone(),
            env,
            cwd: run.cwd.clone(),
            user: self.user.clone(),
            hostname: HOSTNAME.to_owned(),
            network: run.network,
            seed: key,
            clock: run.clock,
            guest_tools: self.guest_tools,
        };
        let directories = |layer: &kiln_image::Layer| environment.store.directory(layer).map_err(Into::into);
        let root = Root { view, directories: &directories, scratch: scratch.path() };
        let io = Io { stdin: Stdin::Empty, output: Output::Each(output), cancel: &environment.cancel };
        let finished = self.executor.run(&root, &process, &io)?;
        Ok(Ran { status: finished.status, changes: finished.changes, directory: finished.directory })
    }

    /// An error of the executor, at this instruction. Programs that are not there are a failed step.
    pub(crate) fn failure(&self, error: kiln_exec::Error, before: Option<Digest>) -> crate::Error {
        let code = match &error {
            kiln_exec::Error::Cancelled => return crate::Error::Cancelled,
            kiln_exec::Error::NotFound { .. } => 127,
            kiln_exec::Error::NotExecutable { .. } => 126,
            _ => return Located::new("step-not-run", self.span, error.to_string()).source(error).into(),
        };
        crate::Error::Step(Box::new(crate::StepFailure {
            command: self.run.command.clone(),
            code,
            span: self.span,
            last_output: error.to_string(),
            before,
        }))
    }
}
