//! Volumes of a container that is being created: made where they are missing, named where nobody did, and filled with
//! what the image has in their place.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use kiln_image::{Found, View};
use kiln_store::Store;
use kiln_types::paths;

use crate::copy::{self, Owners};
use crate::error::{Error, Result};
use crate::{MountPoint, MountSource, Spec};

/// Adds the volumes that the image declares and the options did not replace, and makes all that are missing. Anonymous
/// ones stay although the container may not come to be: [`discard`] them then.
pub fn prepare(store: &Store, view: &View, spec: &mut Spec, owners: Owners) -> Result<()> {
    for target in spec.config.volumes.keys() {
        let clean = paths::clean(target);
        if !clean.is_empty() && !spec.mounts.iter().any(|mount| paths::clean(&mount.target) == clean) {
            let source = MountSource::Volume { name: String::new(), anonymous: true, copy: true };
            let target = format!("/{}", String::from_utf8_lossy(&clean));
            spec.mounts.push(MountPoint { source, target, read_only: false });
        }
    }
    for mount in &mut spec.mounts {
        let MountSource::Volume { name, anonymous, copy } = &mut mount.source else { continue };
        // One that was made for another container has its name already.
        let wanted = if *anonymous && name.is_empty() { None } else { Some(name.as_str()) };
        let volume = store.create_volume(wanted, &BTreeMap::new())?;
        volume.name.clone_into(name);
        if *copy
            && let Some(found) = view.resolve(mount.target.as_bytes(), true)?
            && found.is_directory()
        {
            store.fill_volume(&volume, &|data| fill(view, &found, data, owners).map_err(io::Error::other))?;
        }
    }
    Ok(())
}

/// Removes the anonymous volumes of a container that did not come to be. Those of others are in use, and stay.
pub fn discard(store: &Store, spec: &Spec) {
    for mount in &spec.mounts {
        if let MountSource::Volume { name, anonymous: true, .. } = &mount.source
            && !name.is_empty()
        {
            let _ = store.remove_volume(name, true);
        }
    }
}

fn fill(view: &View, found: &Found, data: &Path, owners: Owners) -> Result<()> {
    copy::tree(view, found, data, owners).map_err(Error::io("fill", data))
}
