//! `kiln container`, and the commands of it that are there under the same names without `container`.

use clap::Subcommand;

use super::{Action, attach, commit, cp, diff, exec, export, inspect, kill, logs, pause, port, prune, ps, rename, rm};
use super::{run, start, stop, top, wait};

/// What is done with one container or several.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ContainerAction {
    Run(run::Run),
    Create(run::Create),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(stop::Restart),
    Kill(kill::Kill),
    Pause(pause::Pause),
    Unpause(pause::Unpause),
    Wait(wait::Wait),
    Attach(attach::Attach),
    Exec(exec::Exec),
    Logs(logs::Logs),
    Cp(cp::Cp),
    Commit(commit::Commit),
    Port(port::Port),
    Rename(rename::Rename),
    Top(top::Top),
}

impl ContainerAction {
    pub(super) fn needs_namespaces(&self) -> bool {
        match self {
            Self::Run(_) | Self::Create(_) | Self::Start(_) | Self::Restart(_) => true,
            // What containers have written may be other users' of theirs.
            Self::Commit(_) => true,
            // The supervisor is in the right one.
            Self::Stop(_)
            | Self::Kill(_)
            | Self::Pause(_)
            | Self::Unpause(_)
            | Self::Wait(_)
            | Self::Attach(_)
            | Self::Exec(_)
            | Self::Logs(_) => false,
            // It may have to enter that of a container, which is not known yet.
            Self::Cp(_) => false,
            Self::Port(_) | Self::Rename(_) | Self::Top(_) => false,
        }
    }
}

/// Of `kiln container`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ContainerCommand {
    #[command(flatten)]
    Action(ContainerAction),
    #[command(visible_alias = "remove")]
    Rm(rm::Rm),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Ps),
    Inspect(inspect::Inspect),
    Diff(diff::Diff),
    Export(export::Export),
    Prune(prune::ContainerPrune),
}

impl ContainerCommand {
    pub(super) fn action(self) -> Action {
        match self {
            Self::Action(action) => Action::Container(action),
            Self::Rm(rm) => Action::Rm(rm),
            Self::Ls(ps) => Action::Ps(ps),
            Self::Inspect(inspect) => Action::Inspect(inspect.only(inspect::InspectType::Container)),
            Self::Diff(diff) => Action::Diff(diff),
            Self::Export(export) => Action::Export(export.only(inspect::InspectType::Container)),
            Self::Prune(prune) => Action::ContainerPrune(prune),
        }
    }
}
