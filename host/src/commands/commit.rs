//! `kiln commit`: an image from what a container has changed.

use std::io::{self, Read, Write as _};

use jiff::Timestamp;
use kiln_container::protocol::Request;
use kiln_container::{Container, Phase};
use kiln_exec::Cancel;
use kiln_image::{Change, Content, History, ImageConfig, Node, Source};
use serde_json::Value;

use super::cancellable::Cancellable;
use super::{arguments, changes, import, limit};
use crate::cli::commit::Commit;
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::session::Session;

/// Says of a step in an image's history that nobody wrote it down: kiln's own, as others ignore what they do not know.
const ORIGIN: &str = "origin";
const COMMITTED: &str = "commit";

/// Where a step came from, if that is known.
pub(super) fn origin(step: &History) -> Option<&str> {
    step.unknown.get(ORIGIN).and_then(Value::as_str).filter(|&origin| origin == COMMITTED)
}

pub(super) fn run(options: &Commit, session: &Session) -> anyhow::Result<()> {
    let name = options.name.as_ref().map(arguments::new_name).transpose()?;
    let store = session.store()?;
    let container = Container::find(&store, &options.container)?;
    let image = store.container_image(&container.folder.record)?;
    let mut config = described(&container, image.config, options)?;

    // Who ends this early shall not leave the container paused.
    let cancel = session.interrupts.catch()?;
    let pause = Pause::begin(&container, options)?;
    let layer = changes::with(&container, |changes| match changes.is_empty() {
        true => Ok(None),
        false => Ok(Some(store.add_layer(changes.into_iter().map(|change| stoppable(change, &cancel)).collect())?)),
    })?;
    drop(pause);

    config.rootfs.diff_ids.extend(layer.as_ref().map(|layer| layer.diff_id));
    let cmd = container.spec.config.cmd.as_deref().unwrap_or_default();
    config.history.push(History {
        created: config.created.clone(),
        created_by: Some(cmd.join(" ")),
        author: options.author.clone(),
        comment: options.message.clone(),
        empty_layer: layer.is_none(),
        unknown: [(ORIGIN.to_owned(), Value::from(COMMITTED))].into(),
    });
    let id = store.add_image(&config, Some(&image.id), false)?;
    if let Some(name) = name {
        store.tag(&id, &name)?;
    }
    let mut out = super::stdout();
    writeln!(out, "{id}")?;
    out.flush()?;
    limit::obey(&store, session)
}

/// The container's configuration with the changes put into it, on top of what its image is.
fn described(container: &Container, image: ImageConfig, options: &Commit) -> Result<ImageConfig, Failure> {
    let mut config = ImageConfig {
        created: Some(Timestamp::now().to_string()),
        author: options.author.clone().unwrap_or_default(),
        config: container.spec.config.clone(),
        ..image
    };
    // Triggers are for what is built on that very image.
    config.config.on_build = None;
    config.unknown.insert("container".to_owned(), Value::from(container.id()));
    import::apply(&options.changes, &mut config)?;
    Ok(config)
}

/// The same change, whose content cannot be read any more once the user wants an early end.
fn stoppable(change: Change, cancel: &Cancel) -> Change {
    match change.node {
        Node::File(content) => {
            let size = content.size();
            let content = Content::new(size, Stoppable { content, cancel: cancel.clone() });
            Change { node: Node::File(content), ..change }
        }
        _ => change,
    }
}

struct Stoppable {
    content: Content,
    cancel: Cancel,
}

impl Source for Stoppable {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cancellable::new(self.content.open()?, self.cancel.clone())))
    }
}

/// A container that stands still until this is dropped.
struct Pause<'a>(Option<&'a Container>);

impl<'a> Pause<'a> {
    /// Where it cannot be stopped, it goes on, and the user is told so.
    fn begin(container: &'a Container, options: &Commit) -> anyhow::Result<Self> {
        if !options.pauses() || container.state.phase != Phase::Running {
            return Ok(Self(None));
        }
        match ask(container, Request::Pause) {
            Ok(()) => Ok(Self(Some(container))),
            // It has ended just now.
            Err(kiln_container::Error::NotRunning { .. }) => Ok(Self(None)),
            Err(error) => {
                let mut problem = Problem::warning(format!("container {} runs on meanwhile", container.name()));
                problem.causes.push(error.to_string());
                problem.show();
                Ok(Self(None))
            }
        }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if let Some(container) = self.0
            && let Err(error) = ask(container, Request::Unpause)
        {
            let mut problem = Problem::warning(format!("container {} is still paused", container.name()));
            problem.causes.push(error.to_string());
            problem.show();
        }
    }
}

#[cfg(unix)]
fn ask(container: &Container, request: Request) -> kiln_container::Result<()> {
    kiln_container::client::ask(container, request)
}

/// Only Linux programs have a supervisor that could be asked.
#[cfg(not(unix))]
fn ask(container: &Container, _: Request) -> kiln_container::Result<()> {
    Err(kiln_container::Error::NotRunning { name: container.name().to_owned() })
}
