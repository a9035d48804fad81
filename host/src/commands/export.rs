//! `kiln export`: an image's root filesystem as a tar.

use std::io::Write;

use kiln_exec::Cancel;
use kiln_image::{View, write_rootfs, write_rootfs_folders};
use kiln_store::Store;
use kiln_types::Digest;

use super::save::{Destination, write_file};
use crate::cli::export::Export;
use crate::commands::cancellable::Cancellable;
use crate::session::Session;

pub(super) fn run(options: &Export, session: &Session) -> anyhow::Result<()> {
    let destination = options.output.as_deref().map_or(Destination::Stdout, Destination::File);
    let destination = destination.not_a_terminal("a tar", "use -o FILE, or redirect standard output")?;
    let store = session.store()?;
    let view = view(&store, &store.resolve(&options.image)?.config.rootfs.diff_ids)?;
    write(&view, &destination, &session.interrupts.catch()?)
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
