//! Mounting the EROFS images of layers, and finding out whether this host can.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use kiln_image::{Change, Content, Index, Layer, Meta, Node, Written};
use kiln_sys::{Lower, detached};
use rustix::io::Errno;

use crate::directories::owners;
use crate::noted::Noted;
use crate::{Result, Store};

const TEXT: &[u8] = b"trial";
/// What a file may do and whether a directory hides what is below it: kernels can be built without these.
const ATTRIBUTES: [(&str, &str); 2] = [("file", "security.capability"), ("opaque", "trusted.overlay.opaque")];
/// No capabilities.
const CAPABILITY: [u8; 20] = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Store {
    /// Mounts the index of `layer`, which is not trusted to be as it was written.
    pub(super) fn mount(&self, layer: &Layer) -> Result<Option<Lower>> {
        let path = self.index_path(&layer.diff_id);
        let open = || File::open(&path).map_err(|source| self.io("open", &path, source));
        let checked = open().ok().and_then(|file| Some((self.checked(layer, &file).ok()?, file)));
        let (has_image, file) = match checked {
            Some(checked) => checked,
            None => {
                self.keep_index_again(layer)?;
                let file = open()?;
                (self.checked(layer, &file).map_err(|error| self.image_error(error))?, file)
            }
        };
        // One that this kernel refuses can still be unpacked.
        let mount = has_image.then(|| detached::erofs(&file, &layer.tar).ok()).flatten();
        Ok(mount.map(|mount| Lower::Mount(Arc::new(mount))))
    }

    /// The index at hand may be read from the very file that is damaged.
    fn keep_index_again(&self, layer: &Layer) -> Result<()> {
        match self.keep_index(&layer.diff_id, &layer.index) {
            Err(crate::Error::Image(kiln_image::Error::DamagedIndex { .. })) => {
                let tar = BufReader::with_capacity(1 << 20, self.open_blob(&layer.diff_id)?);
                let (index, ..) = Index::from_tar(tar).map_err(|error| self.image_error(error))?;
                self.keep_index(&layer.diff_id, &index)
            }
            kept => kept,
        }
    }

    /// Whether the index of `layer` in `file` has an image, which is as it was written. Of a big layer that takes longer
    /// than a step, and what was found in this boot is noted at the file itself.
    fn checked(&self, layer: &Layer, file: &File) -> kiln_image::Result<bool> {
        if self.is_noted(file, Noted::Image) {
            return layer.index.has_image(file);
        }
        let has_image = layer.index.check_image(file)?;
        self.note(file, Noted::Image);
        Ok(has_image)
    }

    /// Mounts a small layer and looks at it through overlayfs. That takes longer than many a command, so what goes once
    /// is noted at the store, and is believed until the next boot: layers that are refused all the same are unpacked.
    pub(super) fn try_to_mount(&self) -> std::result::Result<(), String> {
        const ROOT_ONLY: &str = "only the host's root can mount them";
        if owners() != "root" {
            return Err(ROOT_ONLY.to_owned());
        }
        let folder = File::open(self.root().join("unpacked"));
        if folder.as_ref().is_ok_and(|folder| self.is_noted(folder, Noted::Mounting)) {
            return Ok(());
        }
        let tried = self.attempt();
        if let (Ok(()), Ok(folder)) = (&tried, &folder) {
            self.note(folder, Noted::Mounting);
        }
        tried.map_err(|error| match error.downcast_ref().and_then(Errno::from_io_error) {
            Some(Errno::PERM) => ROOT_ONLY.to_owned(),
            Some(Errno::NODEV) => "this kernel has no EROFS".to_owned(),
            Some(Errno::NOTBLK) => {
                "the kernel mounts no files of the store's filesystem (Linux 6.12 does, of ext4, xfs and btrfs)"
                    .to_owned()
            }
            _ => format!("mounting one fails: {error}"),
        })
    }

    fn attempt(&self) -> std::result::Result<(), Box<dyn Error>> {
        let (tar, image, below) = (self.temporary_file()?, self.temporary_file()?, self.scratch()?);
        let Written { index, .. } = kiln_image::write_layer(trial(), &tar.file)?;
        (&image.file).write_all(&index.to_bytes()?)?;
        let mount = detached::erofs(&image.file, &tar.file)?;
        let below = File::open(below.path())?;
        let overlay = detached::overlay(&[mount.as_fd(), below.as_fd()])
            .map_err(|error| format!("overlayfs does not take it, as that of Linux 6.15 does ({error})"))?;
        let path = |root: &dyn AsRawFd, name: &str| format!("/proc/self/fd/{}/{name}", root.as_raw_fd());
        if fs::read(path(&overlay, "file"))? != TEXT {
            return Err("its files have other contents".into());
        }
        for (name, attribute) in ATTRIBUTES {
            rustix::fs::getxattr(path(&mount, name), attribute, &mut [0; 64])
                .map_err(|error| format!("it has no {attribute} ({error})"))?;
        }
        Ok(())
    }
}

fn trial() -> Vec<Change> {
    let xattrs = [(b"security.capability".to_vec(), CAPABILITY.to_vec())].into_iter().collect();
    let change = |path: &str, meta, node| Change { path: path.into(), meta, node };
    vec![
        change("file", Meta { mode: 0o644, xattrs, ..Meta::default() }, Node::File(Content::bytes(TEXT.to_vec()))),
        change("opaque", Meta::implied_directory(), Node::Directory { opaque: true }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestStore, one_file};

    #[test]
    fn an_index_that_was_cut_off_while_it_was_open_is_made_from_the_tar() {
        let store = TestStore::new();
        let files = (0..2000).flat_map(|number| one_file(&format!("{number:04}"), "x")).collect();
        let kept = store.add_layer(files).expect("layer");
        let path = store.index_path(&kept.diff_id);
        let sound = fs::read(&path).expect("read");
        let index = Index::open_known(File::open(&path).expect("open")).expect("whole");
        let layer = Layer { diff_id: kept.diff_id, size: kept.size, tar: Arc::clone(&kept.tar), index };
        fs::write(&path, &sound[..sound.len() / 2]).expect("write");
        store.keep_index_again(&layer).expect("made");
        assert!(fs::read(&path).expect("read") == sound);
    }
}
