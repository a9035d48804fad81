//! What each command does: one file for each.

mod arguments;
mod attach;
mod build;
mod cancellable;
mod changes;
mod commit;
mod completion;
mod control;
#[cfg(target_os = "linux")]
mod cp;
#[cfg(not(target_os = "linux"))]
#[path = "cp/elsewhere.rs"]
mod cp;
mod debug;
mod diff;
mod disk_usage;
mod each;
mod exec;
mod export;
mod fsck;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod limit;
mod listing;
mod load;
mod login;
mod logout;
mod logs;
mod pause;
mod port;
mod prompt;
mod prune;
mod ps;
mod pull;
mod push;
mod registry_failure;
mod rename;
mod rm;
mod rmi;
mod run;
mod save;
mod search;
mod start;
mod stop;
mod supervise;
mod tag;
mod top;
mod tree;
mod version;
mod volume;
mod wait;

use std::io::{self, StdoutLock};
use std::process::ExitCode;

use crate::cli::{Action, ContainerAction};
use crate::session::Session;

pub(crate) fn run(action: Action, session: &Session) -> anyhow::Result<ExitCode> {
    let done = match action {
        Action::Build(options) => return build::run(&options, session),
        Action::Debug(options) => return debug::run(&options, session),
        Action::Container(action) => return container(action, session),
        Action::Rm(options) => return rm::run(&options, session),
        Action::Supervise(options) => supervise::run(&options, session),
        Action::Images(options) => images::run(&options, session),
        Action::History(options) => history::run(&options, session),
        Action::Inspect(options) => return inspect::run(&options, session),
        Action::Tree(options) => tree::run(&options, session),
        Action::Tag(options) => tag::run(&options, session),
        Action::Rmi(options) => return rmi::run(&options, session),
        Action::Save(options) => save::run(&options, session),
        Action::Load(options) => load::run(&options, session),
        Action::Import(options) => import::run(&options, session),
        Action::Export(options) => export::run(&options, session),
        Action::Diff(options) => return diff::run(&options, session),
        Action::Ps(options) => ps::run(&options, session),
        Action::Pull(options) => pull::run(&options, session),
        Action::Push(options) => push::run(&options, session),
        Action::Search(options) => search::run(&options, session),
        Action::Login(options) => login::run(&options, session),
        Action::Logout(options) => logout::run(&options),
        Action::Version(options) => version::run(&options),
        Action::Info(options) => info::run(&options, session),
        Action::Completion(options) => completion::run(&options),
        Action::ImagePrune(options) => return prune::images(&options, session),
        Action::ContainerPrune(options) => return prune::containers(&options, session),
        Action::Volume(command) => return volume::run(&command, session),
        Action::BuilderPrune(options) => return prune::builder(&options, session),
        Action::SystemPrune(options) => return prune::system(&options, session),
        Action::Fsck(options) => return fsck::run(&options, session),
        Action::DiskUsage(options) => disk_usage::run(&options, session),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn container(action: ContainerAction, session: &Session) -> anyhow::Result<ExitCode> {
    let done = match action {
        ContainerAction::Run(options) => return run::run(&options, session),
        ContainerAction::Create(options) => return run::create(&options, session),
        ContainerAction::Start(options) => return start::run(&options, session),
        ContainerAction::Stop(options) => return stop::stop(&options, session),
        ContainerAction::Restart(options) => return stop::restart(&options, session),
        ContainerAction::Kill(options) => return kill::run(&options, session),
        ContainerAction::Pause(options) => return pause::pause(&options, session),
        ContainerAction::Unpause(options) => return pause::unpause(&options, session),
        ContainerAction::Wait(options) => return wait::run(&options, session),
        ContainerAction::Attach(options) => return attach::run(&options, session),
        ContainerAction::Exec(options) => return exec::run(&options, session),
        ContainerAction::Logs(options) => logs::run(&options, session),
        ContainerAction::Cp(options) => cp::run(&options, session),
        ContainerAction::Commit(options) => commit::run(&options, session),
        ContainerAction::Port(options) => port::run(&options, session),
        ContainerAction::Rename(options) => rename::run(&options, session),
        ContainerAction::Top(options) => top::run(&options, session),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Where results go.
fn stdout() -> io::BufWriter<StdoutLock<'static>> {
    io::BufWriter::new(io::stdout().lock())
}
