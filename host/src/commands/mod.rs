//! What each command does: one file for each.

mod arguments;
mod build;
mod cancellable;
mod completion;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod listing;
mod load;
mod rmi;
mod run;
mod save;
mod tag;
mod version;

use std::io::{self, StdoutLock};
use std::process::ExitCode;

use crate::cli::Action;
use crate::session::Session;

pub(crate) fn run(action: Action, session: &Session) -> anyhow::Result<ExitCode> {
    let done = match action {
        Action::Build(options) => return build::run(&options, session),
        Action::Run(options) => return run::run(&options, session),
        Action::Images(options) => images::run(&options, session),
        Action::History(options) => history::run(&options, session),
        Action::Inspect(options) => return inspect::run(&options, session),
        Action::Tag(options) => tag::run(&options, session),
        Action::Rmi(options) => return rmi::run(&options, session),
        Action::Save(options) => save::run(&options, session),
        Action::Load(options) => load::run(&options, session),
        Action::Import(options) => import::run(&options, session),
        Action::Version => version::run(),
        Action::Info(options) => info::run(&options, session),
        Action::Completion(options) => completion::run(&options),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Where results go.
fn stdout() -> io::BufWriter<StdoutLock<'static>> {
    io::BufWriter::new(io::stdout().lock())
}
