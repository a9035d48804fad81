//! The directory form of layers, for overlayfs: a mount (mounts.rs), or `unpacked/<owners>/<hex>/fs`, where `<owners>`
//! says whose ids the files could be given: what a native step wrote, and layers that cannot be mounted.
//!
//! What is unpacked is trusted within the boot it was made in (durable.rs); after that a layer is unpacked again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use kiln_image::{Kind, Layer};
use kiln_sys::Lower;
use kiln_types::Digest;

use crate::files::{self, make_private_directory};
use crate::locks::LockFile;
use crate::space::occupied;
use crate::{Result, Store};

impl Store {
    /// The directory form of a layer, made when first asked for. A mount lasts as long as the store is open.
    pub fn directory(&self, layer: &Layer) -> Result<Lower> {
        let path = self.unpacked_path(&layer.diff_id).join("fs");
        if self.has_directory(&layer.diff_id, &path) {
            return Ok(path.into());
        }
        match self.mounted(layer)? {
            Some(mount) => Ok(mount),
            None => self.unpacked(layer).map(Lower::Directory),
        }
    }

    /// Another process that unpacks it is waited for.
    fn unpacked(&self, layer: &Layer) -> Result<PathBuf> {
        let kept = self.unpacked_path(&layer.diff_id);
        let path = kept.join("fs");
        let lock = self.lock_path("unpack", &layer.diff_id)?;
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
        self.keep_directory(layer, scratch.path(), &kept)?;
        Ok(path)
    }

    /// Keeps `upper`, the upper directory that the layer was scanned from, as its directory form. Where there is one
    /// already, `upper` stays and goes with the scratch directory it is in.
    pub fn adopt_directory(&self, layer: &Layer, upper: &Path) -> Result<()> {
        let kept = self.unpacked_path(&layer.diff_id);
        if kept.exists() {
            return Ok(());
        }
        let scratch = self.scratch()?;
        fs::rename(upper, scratch.path().join("fs")).map_err(|source| self.io("move", upper, source))?;
        self.keep_directory(layer, scratch.path(), &kept)
    }

    fn keep_directory(&self, layer: &Layer, fresh: &Path, kept: &Path) -> Result<()> {
        let failed = |source| self.io("put in place", kept, source);
        self.durable.mark_boot().map_err(failed)?;
        if let Some(parent) = kept.parent() {
            make_private_directory(parent, false).map_err(failed)?;
        }
        self.ledger.add(bytes_unpacked(layer).map_err(|error| self.image_error(error))?);
        match fs::rename(fresh, kept) {
            // Another has just put it there: it has the same content.
            Err(_) if kept.exists() => Ok(()),
            result => result.map_err(failed),
        }
    }

    fn has_directory(&self, diff_id: &Digest, path: &Path) -> bool {
        let mut known = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(diff_id)
            || (path.is_dir() && {
                files::touch(path.parent().unwrap_or(path));
                known.insert(*diff_id)
            })
    }

    fn unpacked_path(&self, diff_id: &Digest) -> PathBuf {
        self.root().join("unpacked").join(owners()).join(diff_id.hex())
    }
}

/// What the layer's directory form occupies: as [`crate::space::measure`] counts, without a look at each file.
fn bytes_unpacked(layer: &Layer) -> kiln_image::Result<u64> {
    let bytes = layer.index.iter().map(|entry| {
        Ok(match entry?.kind {
            Kind::File { size, .. } => occupied(size),
            Kind::Symlink(target) => occupied(target.len() as u64),
            _ => 0,
        })
    });
    bytes.sum()
}

#[cfg(target_os = "linux")]
pub(crate) fn owners() -> &'static str {
    use kiln_sys::userns::{self, Ids};
    match userns::current() {
        None | Some(Ids::Root) => "root",
        Some(Ids::Ranges) => "ranges",
        Some(Ids::Single) => "single",
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn unpack(layer: &Layer, directory: &Path) -> kiln_image::Result<()> {
    let owners = owners();
    let options = kiln_image::UnpackOptions { userxattr: owners != "root", single_id: owners == "single" };
    kiln_image::unpack(layer, directory, options)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn owners() -> &'static str {
    "none"
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unpack(_: &Layer, directory: &Path) -> kiln_image::Result<()> {
    Err(kiln_image::Error::HostPath {
        action: "unpack a layer into",
        path: directory.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::Unsupported, "only Linux mounts layers"),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::testing::{TestStore, one_file};

    /// Unpacking gives files their owners, which takes root.
    fn is_root(store: &TestStore) -> bool {
        let root = fs::metadata(store.root()).expect("metadata").uid() == 0;
        assert!(root || std::env::var_os("KILN_TEST_REQUIRE").is_none(), "this test has to be run as root");
        root
    }

    #[test]
    fn made_once_however_many_ask() {
        let store = TestStore::new();
        if !is_root(&store) {
            return;
        }
        let layer = store.add_layer(one_file("file", "content")).expect("layer");
        let inodes: Vec<u64> = std::thread::scope(|scope| {
            let ask = || {
                let path = store.another().unpacked(&layer).expect("directory").join("file");
                assert_eq!(fs::read_to_string(&path).expect("read"), "content");
                fs::metadata(path).expect("metadata").ino()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("thread")).collect()
        });
        assert!(inodes.iter().all(|inode| *inode == inodes[0]));
        // What is no directory form, and one that was removed, are made again.
        let kept = store.unpacked_path(&layer.diff_id);
        files::remove_tree(&kept).expect("remove");
        fs::write(&kept, "garbage").expect("write");
        assert!(store.another().unpacked(&layer).expect("directory").join("file").exists());
    }

    #[test]
    fn an_upper_directory_becomes_the_form_of_its_layer() {
        let store = TestStore::new();
        let layer = store.add_layer(one_file("file", "content")).expect("layer");
        for text in ["first", "second"] {
            let scratch = store.scratch().expect("scratch");
            let upper = scratch.path().join("upper");
            fs::create_dir(&upper).expect("create");
            fs::write(upper.join("file"), text).expect("write");
            store.adopt_directory(&layer, &upper).expect("adopt");
        }
        let Lower::Directory(directory) = store.directory(&layer).expect("directory") else { panic!("a mount") };
        let file = directory.join("file");
        assert_eq!(fs::read_to_string(file).expect("read"), "first");
    }
}
