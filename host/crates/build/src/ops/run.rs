//! RUN: which executor, the key, and the process itself.

use std::net::IpAddr;

use kiln_dockerfile::Span;
use kiln_exec::{Choice, Clock, Executor, Io, Kept, Mount, Output, Process, Root, Status, Stdin, Stream, Wanted};
use kiln_image::{Change, User, View};
use kiln_store::Scratch;
use kiln_types::{Digest, Platform};

use crate::explain::ChosenExecutor;
use crate::key::Key;
use crate::plan::Run;
use crate::state::State;
use crate::{Environment, Error, Located, StepFailure};

/// Every step sees the same name of the machine, unless the user gives one.
pub(crate) const HOSTNAME: &str = "kiln";

/// A RUN with everything about it decided.
pub(crate) struct Prepared<'a> {
    run: &'a Run,
    span: Span,
    executor: &'a dyn Executor,
    choice: Choice,
    user: User,
}

/// What a RUN has besides the image.
pub(crate) struct Given<'a> {
    pub(crate) mounts: &'a [Mount],
    /// Secrets.
    pub(crate) env: &'a [(String, String)],
    pub(crate) hosts: &'a [(String, IpAddr)],
}

/// How a RUN ended.
pub(crate) struct Ran {
    pub(crate) status: Status,
    pub(crate) changes: Vec<Change>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) directory: Option<kiln_exec::Directory>,
}

/// Chooses the executor and looks up the user.
pub(crate) fn prepare<'a>(
    run: &'a Run,
    view: &View,
    environment: &'a Environment,
    span: Span,
    before: Option<Digest>,
) -> Result<Prepared<'a>, Error> {
    let user = kiln_image::resolve_user(view, &run.user)
        .map_err(|error| Located::new("unknown-user", span, error.to_string()).source(error))?;
    let path = run.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let choice = kiln_exec::choose(view, run.chosen.wanted, &run.argv, path, &run.cwd)
        .map_err(|error| failure(run, span, before, error))?;
    let executor = if choice.wasi { &*environment.wasi } else { &*environment.namespace };
    if let (true, Some((why, span))) = (choice.wasi, run.only_native) {
        let message = format!("this step runs as WASI, and {why}");
        return Err(Located::new("not-in-wasi", span, message)
            .hint("leave the flag out, or run the step in an image with Linux programs")
            .into());
    }
    Ok(Prepared { run, span, executor, choice, user })
}

/// An error of the executor, at this instruction. Programs that are not there are a failed step.
fn failure(run: &Run, span: Span, before: Option<Digest>, error: kiln_exec::Error) -> Error {
    let code = match &error {
        kiln_exec::Error::Cancelled => return Error::Cancelled,
        kiln_exec::Error::NotFound { .. } => 127,
        kiln_exec::Error::NotExecutable { .. } => 126,
        // Only who has something to do finds out whether it can be done here.
        kiln_exec::Error::Unavailable(_) => {
            return Located::new("executor-unavailable", span, error.to_string()).source(error).into();
        }
        kiln_exec::Error::WrongExecutor { .. } => {
            return Located::new("wrong-executor", span, error.to_string())
                .hint(format!("{} chose the executor; without it kiln looks at the program", run.chosen.by))
                .source(error)
                .into();
        }
        _ => return Located::new("step-not-run", span, error.to_string()).source(error).into(),
    };
    Error::Step(Box::new(StepFailure {
        command: run.command.clone(),
        code,
        span,
        reason: Some(error.to_string()),
        remedy: None,
        before,
        kept: false,
    }))
}

impl Prepared<'_> {
    /// `mounts` describes what is mounted.
    pub(crate) fn key(&self, state: &State, platform: &Platform, mounts: &[String], hosts: &[String]) -> Key {
        let Self { run, user, .. } = self;
        // A WASI step is the same for every platform: run once, its layer is shared by all of them.
        let platform = if self.choice.wasi { &Platform::wasi() } else { platform };
        let mut key = Key::new("run", state.content, platform);
        key.add("executor", self.executor.abi());
        key.add_list("command", &run.argv);
        let environment: Vec<String> = run.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        key.add_list("environment", &environment);
        key.add("directory", &run.cwd);
        key.add("user", format!("{}:{} {:?}", user.uid, user.gid, user.groups));
        key.add("network", format!("{:?}", run.network));
        if !mounts.is_empty() {
            key.add_list("mounts", mounts);
        }
        if !hosts.is_empty() && !self.choice.wasi {
            key.add_list("hosts", hosts);
        }
        if let Some(hostname) = run.hostname.as_ref().filter(|_| !self.choice.wasi) {
            key.add("hostname", hostname.as_str());
        }
        if run.insecure {
            key.add("security", "insecure");
        }
        if self.choice.guest_tools {
            key.add("tools", kiln_exec::wasi::guest_tools_digest().to_string());
        }
        if self.choice.wasi {
            key.add("clock", run.clock.to_string());
        }
        key
    }

    /// By which rule this executor was chosen.
    pub(crate) fn chosen_executor(&self) -> ChosenExecutor {
        let Self { run, choice, .. } = self;
        let (rule, because) = match run.chosen.rule {
            1 => (1, run.chosen.by.to_owned()),
            2 => (2, "the comment above this instruction".to_owned()),
            3 => (3, "the comment above FROM".to_owned()),
            4 => (4, "the comment at the top of the file".to_owned()),
            5 => (5, "the platform".to_owned()),
            _ if choice.missing => (7, choice.reason.clone()),
            _ => (6, choice.reason.clone()),
        };
        ChosenExecutor { name: if choice.wasi { "wasi" } else { "namespace" }, rule, because }
    }

    /// Whether doing it again must give the same layer.
    pub(crate) fn is_deterministic(&self) -> bool {
        self.choice.wasi
    }

    pub(crate) fn is_wasi(&self) -> bool {
        self.choice.wasi
    }

    /// What the user should know of the choice.
    pub(crate) fn note(&self) -> Option<String> {
        (self.choice.missing && self.run.chosen.wanted == Wanted::Auto)
            .then(|| format!("{}: kiln's own shell runs this step (WASI)", self.choice.reason))
    }

    /// What was asked for and this executor does not have.
    pub(crate) fn unused(&self) -> Option<&'static str> {
        (self.choice.wasi && self.run.hostname.is_some())
            .then_some("BUILDKIT_SANDBOX_HOSTNAME has no effect: WASI steps see no name of the machine")
    }

    /// What history notes beside the command.
    pub(crate) fn history_comment(&self) -> Option<String> {
        self.choice.wasi.then(|| "kiln.wasi.v1".to_owned())
    }

    pub(crate) fn execute(
        &self,
        key: Digest,
        view: View,
        scratch: &Scratch,
        given: &Given<'_>,
        environment: &Environment,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<Ran, kiln_exec::Error> {
        let run = self.run;
        let mut env: Vec<(String, String)> = run.env.iter().chain(&run.unkeyed_env).cloned().collect();
        for (name, value) in given.env {
            env.retain(|(other, _)| other != name);
            env.push((name.clone(), value.clone()));
        }
        if !env.iter().any(|(name, _)| name == "HOME") {
            env.push(("HOME".to_owned(), self.user.home.clone().unwrap_or_else(|| "/".to_owned())));
        }
        let process = Process {
            argv: run.argv.clone(),
            env,
            cwd: run.cwd.clone(),
            user: self.user.clone(),
            hostname: run.hostname.clone().unwrap_or_else(|| HOSTNAME.to_owned()),
            network: run.network,
            hosts: given.hosts.to_vec(),
            insecure: run.insecure,
            seed: key,
            clock: Clock::Still(run.clock),
            guest_tools: self.choice.guest_tools,
        };
        let directories = |layer: &kiln_image::Layer| environment.store.directory(layer).map_err(Into::into);
        let root = Root {
            view,
            mounts: given.mounts,
            directories: &directories,
            scratch: scratch.path(),
            shared: scratch.shared(),
        };
        let io = Io { stdin: Stdin::Empty, output: Output::Each(output), cancel: &environment.cancel };
        let finished = self.executor.run(&root, &process, &io)?;
        Ok(Ran {
            status: finished.status,
            changes: finished.changes,
            kept: finished.kept,
            directory: finished.directory,
        })
    }

    /// `platform` is what the image is for.
    pub(crate) fn failure(&self, error: kiln_exec::Error, before: Option<Digest>, platform: &Platform) -> Error {
        let is_foreign = matches!(&error, kiln_exec::Error::NotExecutable { .. })
            && !self.choice.wasi
            && Platform::host().rank(platform).is_none();
        let mut failure = failure(self.run, self.span, before, error);
        if let (Error::Step(step), true) = (&mut failure, is_foreign) {
            let host = Platform::host();
            step.remedy = Some(format!(
                "the image is for {platform}, and this machine runs {host}: run the command in a stage `FROM \
                 --platform=$BUILDPLATFORM …` and copy what it made, or use a WebAssembly program"
            ));
        }
        failure
    }
}
