//! `kiln volume`: what each of its commands does.

mod list;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use super::{inspect, prune};
use crate::cli::volume::{Create, Rm, VolumeCommand};
use crate::report::failure::{FAILED, Failure};
use crate::report::problem::Problem;
use crate::session::Session;

pub(super) fn run(command: &VolumeCommand, session: &Session) -> anyhow::Result<ExitCode> {
    match command {
        VolumeCommand::Create(options) => create(options, session),
        VolumeCommand::Inspect(options) => inspect::run(options, session),
        VolumeCommand::Ls(options) => list::run(options, session).map(|()| ExitCode::SUCCESS),
        VolumeCommand::Prune(options) => prune::volumes(options, session),
        VolumeCommand::Rm(options) => remove(options, session),
    }
}

fn create(options: &Create, session: &Session) -> anyhow::Result<ExitCode> {
    if options.driver != "local" {
        return Err(Failure::new(format!("there is no volume driver `{}`", options.driver))
            .hint("leave it out: volumes are directories of this machine")
            .into());
    }
    if !options.options.is_empty() {
        return Err(Failure::new("volumes have no options: each is a plain directory")
            .hint("mount a host directory with `kiln run -v /host/path:/path`, memory with `--tmpfs`")
            .into());
    }
    let mut labels = BTreeMap::new();
    for label in &options.labels {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        if key.is_empty() {
            return Err(Failure::new(format!("the label `{label}` has no key")).hint("write KEY=VALUE").into());
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    let volume = session.store()?.create_volume(options.name.as_deref(), &labels)?;
    writeln!(super::stdout(), "{}", volume.name)?;
    Ok(ExitCode::SUCCESS)
}

/// Goes on after one that cannot be removed, and fails in the end.
fn remove(options: &Rm, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let mut code = ExitCode::SUCCESS;
    for name in &options.names {
        match store.remove_volume(name, options.force) {
            Ok(()) => writeln!(super::stdout(), "{name}")?,
            Err(error) => {
                Problem::chain(&error).show();
                code = ExitCode::from(FAILED);
            }
        }
    }
    Ok(code)
}
