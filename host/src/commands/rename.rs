//! `kiln rename`: another name for a container.

use crate::cli::rename::Rename;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Rename, session: &Session) -> anyhow::Result<()> {
    let store = session.store()?;
    let folder = store.container(&options.container)?;
    let name = options.name.strip_prefix('/').unwrap_or(&options.name);
    if name == folder.record.name {
        return Err(Failure::new("Renaming a container with the same name as its current name").into());
    }
    Ok(store.rename_container(&folder, name)?)
}
