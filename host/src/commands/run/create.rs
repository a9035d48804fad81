//! `kiln create`, and the first half of `run`: a new container in the store.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use kiln_container::{Container, ExecutorKind, mounts, names, volumes};
use kiln_image::View;
use kiln_store::Store;

use super::{describe, image};
use crate::cli::ExecutorOption;
use crate::cli::run::{Create, Options};
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::session::Session;

pub(in crate::commands) fn create(options: &Create, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    // As Docker: whoever attaches later decides about standard input.
    match new(&options.options, false, session, &store) {
        Ok(container) => writeln!(std::io::stdout(), "{}", container.id())?,
        Err(error) => return super::with_code(error),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the container that the options describe. `detached`: nobody will be connected to it.
pub(super) fn new(options: &Options, detached: bool, session: &Session, store: &Store) -> anyhow::Result<Container> {
    if let Some(path) = &options.cidfile
        && path.exists()
    {
        let message = format!("the file for the container's id exists: {}", path.display());
        return Err(Failure::new(message).hint("remove it, or name another").into());
    }
    let image = image::get(options, session, store)?;
    let here = std::env::current_dir().context("cannot find the working directory")?;
    let described = describe::describe(options, detached, &image.config.config, &here)?;
    let mut spec = described.spec;
    for text in &options.volumes_from {
        let (other, read_only) = mounts::parse_volumes_from(text)?;
        mounts::add_those_of(&Container::find(store, other)?.spec.mounts, read_only, &mut spec.mounts);
    }
    let layers = image.config.rootfs.diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<_, _>>()?;
    let view = View::new(layers);
    spec.executor = executor(options, &view, &spec, session)?;
    if spec.executor == ExecutorKind::Wasi {
        if detached {
            let message = "a WebAssembly program runs in the process that starts it, so it cannot be detached";
            return Err(Failure::new(message).hint("leave out -d, or add `&`").into());
        }
        kiln_container::wasi::check(&spec)?;
    }
    for source in &described.sources {
        if fs::symlink_metadata(source).is_err() {
            fs::create_dir_all(source).with_context(|| format!("cannot make {}", source.display()))?;
        }
    }
    warn(&spec);
    let made = volumes::prepare(store, &view, &mut spec, session.owners());
    let name = match (&options.name, made) {
        (_, Err(error)) => Err(error.into()),
        (Some(name), Ok(())) => Ok(name.clone()),
        (None, Ok(())) => names::generate(&|name| store.container(name).is_ok()).context("no random numbers"),
    };
    let container = name.and_then(|name| Ok(Container::create(store, &name, image.id, spec.clone())?));
    if container.is_err() {
        volumes::discard(store, &spec);
    }
    let container = container?;
    if let Some(path) = &options.cidfile {
        fs::write(path, container.id()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(container)
}

fn executor(
    options: &Options,
    view: &View,
    spec: &kiln_container::Spec,
    session: &Session,
) -> anyhow::Result<ExecutorKind> {
    let path = spec.env().iter().find_map(|line| line.strip_prefix("PATH=")).unwrap_or_default();
    let directory = spec.directory();
    match kiln_exec::choose(view, options.executor.into(), &spec.argv(), path, &directory) {
        Ok(choice) if choice.wasi => Ok(ExecutorKind::Wasi),
        // What a volume has, or what was written in the container, may be there when it is started.
        Ok(_) | Err(kiln_exec::Error::NotFound { .. }) if options.executor != ExecutorOption::Wasi => {
            session.namespace_executor().preflight()?;
            Ok(ExecutorKind::Namespace)
        }
        Ok(_) => Ok(ExecutorKind::Wasi),
        Err(error) => Err(error.into()),
    }
}

fn warn(spec: &kiln_container::Spec) {
    let publishes = !spec.ports.is_empty() || spec.publish_all;
    if publishes && spec.network == kiln_container::NetworkMode::Host {
        Problem::warning("published ports mean nothing with --network host: its ports are the host's").show();
    }
    if publishes && spec.network == kiln_container::NetworkMode::None {
        Problem::warning("no ports are published with --network none").show();
    }
}
