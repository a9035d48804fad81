//! RUN: the command with what it sees, and what it is allowed.

use kiln_dockerfile::{Diagnostic, EPOCH_ARG, Instruction, Program, Span, Word};
use kiln_exec::{Network, Wanted};
use kiln_types::{Platform, paths};

use super::mounts::script;
use super::stage::{Planner, chosen};
use super::{MountKind, Run, words};
use crate::state::KILN_CLOCK;

impl Planner<'_> {
    pub(super) fn run(&mut self, run: &kiln_dockerfile::Run, instruction: &Instruction) -> Result<Run, Diagnostic> {
        let mut mounts = self.mounts(&run.mounts)?;
        if let Some(word) = run.devices.first() {
            return Err(not_yet("RUN --device", word.span));
        }
        let ssh = mounts.iter().find(|mount| matches!(mount.kind, MountKind::Ssh { .. }));
        let mut only_native =
            ssh.map(|mount| ("there are no sockets in WASI, so no ssh agent can be reached", mount.span));
        let insecure = self.security(run.security.as_ref())?;
        if let (true, Some(word)) = (insecure, &run.security) {
            only_native = Some(("WASI steps have no privileges to be given", word.span));
        }
        let network = match &run.network {
            None => self.request.network,
            Some(word) => match self.fold.expand(word)?.to_ascii_lowercase().as_str() {
                "default" => self.request.network,
                "host" => {
                    only_native = Some(("WASI steps have no network", word.span));
                    Network::Host
                }
                "none" => Network::None,
                other => {
                    return Err(Diagnostic::error("bad-network", word.span, format!("unknown network `{other}`"))
                        .hint("it is one of default, none and host"));
                }
            },
        };
        let argv = match &run.program {
            Program::Exec(argv) => argv.clone(),
            Program::Shell(text) => self.fold.in_shell(text),
            Program::Script(heredoc) => {
                let mount = script(heredoc)?;
                self.budget.spend([&heredoc.content], heredoc.span)?;
                let argv = self.fold.in_shell(&mount.target);
                // Those of the user may hide it.
                mounts.insert(0, mount);
                argv
            }
        };
        let env = self.fold.config.config.env.as_deref().unwrap_or_default();
        let args: Vec<(String, String)> =
            self.fold.scope.visible().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let command = words::command_line(&args, &argv);
        self.budget.spend(env.iter().chain(&argv).chain([&command]), instruction.span)?;
        let mut variables: Vec<(String, String)> = env
            .iter()
            .map(|line| line.split_once('=').unwrap_or((line, "")))
            .filter(|(name, _)| self.fold.scope.get(name).is_none())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        variables.extend(args);
        let unkeyed =
            self.fold.globals.proxies().into_iter().filter(|(name, _)| !self.fold.scope.declares(name)).collect();
        let clock = self.fold.scope.value(EPOCH_ARG).and_then(|epoch| epoch.parse().ok());
        let working_dir = paths::clean(&self.fold.config.config.working_dir);
        Ok(Run {
            argv,
            env: variables,
            unkeyed_env: unkeyed,
            cwd: paths::display(&working_dir),
            user: self.fold.config.config.user.clone(),
            mounts,
            hostname: self.hostname.map(str::to_owned),
            network,
            insecure,
            only_native,
            chosen: match instruction.executor {
                Some(_) if self.request.executor == Wanted::Auto && !self.request.untrusted => {
                    chosen(self.request, instruction.executor.map(|pragma| (pragma, 2)), &Platform::host())
                }
                _ => self.chosen,
            },
            clock: clock.unwrap_or(KILN_CLOCK),
            command,
        })
    }

    /// Whether a step is not confined, which the user has to allow.
    fn security(&self, word: Option<&Word>) -> Result<bool, Diagnostic> {
        let Some(word) = word else { return Ok(false) };
        match self.fold.expand(word)?.to_ascii_lowercase().as_str() {
            "sandbox" => Ok(false),
            "insecure" if self.request.allow_insecure => Ok(true),
            "insecure" => {
                let message = "a step that is not confined has to be allowed";
                Err(Diagnostic::error("not-allowed", word.span, message)
                    .hint("if you trust the Dockerfile, build with --allow security.insecure"))
            }
            other => Err(Diagnostic::error("bad-security", word.span, format!("unknown security mode `{other}`"))
                .hint("it is one of sandbox and insecure")),
        }
    }
}

fn not_yet(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("not-supported", span, format!("{what} is not supported by this version of kiln"))
}
