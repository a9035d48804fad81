//! Layers that are mounted instead of unpacked: the EROFS image in a layer's index, with the layer's tar as its device.
//!
//! A mount is made when its layer is first asked for, and all steps of this process share it. It is attached nowhere, so
//! it goes when the process does.

#[cfg(target_os = "linux")]
mod erofs;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use kiln_image::Layer;
use kiln_sys::Lower;
use kiln_types::Digest;

use crate::{Result, Store};

#[derive(Default)]
pub(crate) struct Mounts {
    usable: OnceLock<std::result::Result<(), String>>,
    /// `None` for layers that cannot be mounted.
    made: Mutex<HashMap<Digest, Option<Lower>>>,
}

impl Store {
    /// Whether layers are mounted here. Where they are not, they are unpacked, and the error says why.
    pub fn mounts_layers(&self) -> std::result::Result<(), &str> {
        self.mounts
            .usable
            .get_or_init(|| self.try_to_mount())
            .as_ref()
            .map_or_else(|why| Err(why.as_str()), |()| Ok(()))
    }

    /// A layer as a mount; `None` where it has to be unpacked.
    pub(crate) fn mounted(&self, layer: &Layer) -> Result<Option<Lower>> {
        if self.mounts_layers().is_err() {
            return Ok(None);
        }
        let mut made = self.mounts.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mount) = made.get(&layer.diff_id) {
            return Ok(mount.clone());
        }
        let mount = self.mount(layer)?;
        made.insert(layer.diff_id, mount.clone());
        Ok(mount)
    }
}

#[cfg(not(target_os = "linux"))]
impl Store {
    fn try_to_mount(&self) -> std::result::Result<(), String> {
        Err("only Linux mounts layers".to_owned())
    }

    fn mount(&self, _: &Layer) -> Result<Option<Lower>> {
        Ok(None)
    }
}
