//! `kiln export`: the root filesystem of a container or an image as a tar.

use std::io::Write;

use kiln_container::Container;
use kiln_exec::Cancel;
use kiln_image::{View, write_rootfs, write_rootfs_folders};
use kiln_store::{Error, Store};
use kiln_types::Digest;

use super::changes;
use super::save::{Destination, write_file};
use crate::cli::export::Export;
use crate::cli::inspect::InspectType;
use crate::commands::cancellable::Cancellable;
use crate::session::Session;

pub(super) fn run(options: &Export, session: &Session) -> anyhow::Result<()> {
    let destination = options.output.as_deref().map_or(Destination::Stdout, Destination::File);
    let destination = destination.not_a_terminal("a tar", "use -o FILE, or redirect standard output")?;
    let store = session.store_to_read()?;
    let view = match container(options, &store)? {
        Some(container) => {
            let image = store.container_image(&container.folder.record)?;
            changes::view(&store, &container, &image)?
        }
        None => view(&store, &store.resolve(&options.name)?.config.rootfs.diff_ids)?,
    };
    write(&view, &destination, &session.interrupts.catch()?)
}

/// The container of that name, unless there is none and an image will do.
fn container(options: &Export, store: &Store) -> anyhow::Result<Option<Container>> {
    if options.kind == Some(InspectType::Image) {
        return Ok(None);
    }
    match store.container(&options.name) {
        Ok(folder) => Ok(Some(Container::open(folder)?)),
        Err(Error::NoSuchContainer { .. }) if options.kind.is_none() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The merged layers. Those that came compressed are decompressed now, if they were not before.
pub(super) fn view(store: &Store, diff_ids: &[Digest]) -> anyhow::Result<View> {
    let layers = diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<_, _>>()?;
    Ok(View::new(layers))
}

pub(super) fn write(view: &View, destination: &Destination<'_>, cancel: &Cancel) -> anyhow::Result<()> {
    write_to(destination, |out| Ok(write_rootfs(view, Cancellable::new(out, cancel.clone()))?))
}

/// The same of several images, each in a folder.
pub(super) fn write_folders(
    views: &[(String, View)],
    destination: &Destination<'_>,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    write_to(destination, |out| Ok(write_rootfs_folders(views, Cancellable::new(out, cancel.clone()))?))
}

fn write_to(
    destination: &Destination<'_>,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match destination {
        Destination::Stdout => write(&mut super::stdout()),
        Destination::File(path) | Destination::Directory(path) => write_file(path, write),
    }
}
