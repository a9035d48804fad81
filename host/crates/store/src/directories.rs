//! The directory form of layers, for overlayfs: `unpacked/<owners>/<hex>/fs`, where `<owners>` says whose ids the files
//! could be given. It is trusted within the boot it was made in (durable.rs); a layer is unpacked again after that.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use kiln_image::Layer;
use kiln_types::Digest;

use crate::files::{self, make_private_directory};
use crate::locks::LockFile;
use crate::{Result, Store};

impl Store {
    /// The directory form of a layer, made when first asked for. Another process that makes it is waited for.
    pub fn directory(&self, layer: &Layer) -> Result<PathBuf> {
        let kept = self.unpacked_path(&layer.diff_id);
        let path = kept.join("fs");
        if self.has_directory(&layer.diff_id, &path) {
            return Ok(path);
        }
        let lock = self.lock_path("unpack", &layer.diff_id);
        let _making = LockFile::acquire(lock.clone()).map_err(|source| self.io("lock", &lock, source))?;
        if self.has_directory(&layer.diff_id, &path) {
            return Ok(path);
        }
        // Without its `fs` it is no form of ours.
        files::remove_tree(&kept).map_err(|source| self.io("remove", &kept, source))?;
        let scratch = self.scratch()?;
        let fresh = scratch.path().join("fs");
        fs::create_dir(&fresh).map_err(|source| self.io("create", &fresh, source))?;
        unpack(layer, &fresh).map_err(|error| self.image_error(error))?;
        self.keep_directory(scratch.path(), &kept)?;
        Ok(path)
    }

    /// Keeps `upper`, the upper directory that the layer `diff_id` was scanned from, as its directory form. Where there
    /// is one already, `upper` stays and goes with the scratch directory it is in.
    pub fn adopt_directory(&self, diff_id: &Digest, upper: &Path) -> Result<()> {
        let kept = self.unpacked_path(diff_id);
        if kept.exists() {
            return Ok(());
        }
        let scratch = self.scratch()?;
        fs::rename(upper, scratch.path().join("fs")).map_err(|source| self.io("move", upper, source))?;
        self.keep_directory(scratch.path(), &kept)
    }

    fn keep_directory(&self, fresh: &Path, kept: &Path) -> Result<()> {
        let failed = |source| self.io("put in place", kept, source);
        self.durable.mark_boot().map_err(failed)?;
        if let Some(parent) = kept.parent() {
            make_private_directory(parent, false).map_err(failed)?;
        }
        match fs::rename(fresh, kept) {
            // Another has just put it there: it has the same content.
            Err(_) if kept.exists() => Ok(()),
            result => result.map_err(failed),
        }
    }

    fn has_directory(&self, diff_id: &Digest, path: &Path) -> bool {
        let mut known = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(diff_id) || (path.is_dir() && known.insert(*diff_id))
    }

    fn unpacked_path(&self, diff_id: &Digest) -> PathBuf {
        self.root().join("unpacked").join(owners()).join(diff_id.hex())
    }
}

#[cfg(target_os = "linux")]
fn owners() -> &'static str {
    use kiln_sys::userns::{self, Ids};
    match userns::current() {
        None | Some(Ids::Root) => "root",
        Some(Ids::Ranges) => "ranges",
        Some(Ids::Single) => "single",
    }
}

#[cfg(target_os = "linux")]
fn unpack(layer: &Layer, directory: &Path) -> kiln_image::Result<()> {
    let owners = owners();
    let options = crate::pending::UnpackOptions { userxattr: owners != "root", single_id: owners == "single" };
    crate::pending::unpack(layer, directory, options)
}

#[cfg(not(target_os = "linux"))]
fn owners() -> &'static str {
    "none"
}

#[cfg(not(target_os = "linux"))]
fn unpack(_: &Layer, directory: &Path) -> kiln_image::Result<()> {
    Err(kiln_image::Error::HostPath {
        action: "unpack a layer into",
        path: directory.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::Unsupported, "only Linux mounts layers"),
    })
}
