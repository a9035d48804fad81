//! Removing a container with what it left on the host.

use kiln_store::{ContainerFolder, DamagedContainer, Store};

use crate::Container;
use crate::error::Result;

/// Removes a container that does not run; `volumes`: with its anonymous volumes.
pub fn remove(store: &Store, folder: ContainerFolder, volumes: bool) -> Result<()> {
    let record = folder.record.clone();
    clear(&folder);
    store.remove_container(folder)?;
    if volumes {
        store.remove_anonymous_volumes(&record)?;
    }
    Ok(())
}

/// Removes one whose record cannot be read. Its anonymous volumes stay: nobody knows which they are.
pub fn remove_damaged(store: &Store, container: DamagedContainer) -> Result<()> {
    Ok(store.remove_damaged_container(container)?)
}

/// What a supervisor that was killed could not remove: the control group. A damaged container cannot tell of it.
fn clear(folder: &ContainerFolder) {
    #[cfg(target_os = "linux")]
    if let Ok(container) = Container::open(folder.clone())
        && !container.state.is_running()
    {
        let _ = kiln_sys::cgroup::Cgroup::at(container.state.cgroup).remove();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (folder, Container::open);
}
