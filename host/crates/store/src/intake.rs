//! Blobs that come together and are kept together or not at all: an archive that is being loaded.
//!
//! They wait under `tmp/`, so whatever ends the process leaves nothing among the blobs.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_image::config::MAX_DOCUMENT;
use kiln_image::{CopyError, ImageConfig, Manifest, copy_digesting};
use kiln_types::Digest;
use rayon::prelude::*;

use crate::durable::Early;
use crate::files::{ClosedFile, Durability};
use crate::verify::Told;
use crate::{Error, Result, Store, files};

/// May be used by several threads at once.
pub struct Intake<'a> {
    store: &'a Store,
    /// Those that the store did not have before.
    waiting: Mutex<HashMap<Digest, ClosedFile>>,
    /// Layers among them that were looked at: diff id, blob, and bytes of files.
    verified: Mutex<Vec<(Digest, Digest, u64)>>,
}

impl Store {
    pub fn intake(&self) -> Intake<'_> {
        Intake { store: self, waiting: Mutex::default(), verified: Mutex::default() }
    }
}

impl Intake<'_> {
    /// Takes a blob of `size` bytes, reading it to its end. Answers its digest and what its size was. One that the store
    /// has as `expected` already is read and not written again.
    pub fn add(&self, content: &mut dyn Read, size: u64, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        if expected.is_some_and(|expected| self.has(expected, size)) {
            return copy_digesting(content, &mut io::sink()).map_err(|error| match error {
                CopyError::Read(source) | CopyError::Write(source) => {
                    self.store.io("read what is to be written to", self.store.root(), source)
                }
            });
        }
        let temporary = self.store.temporary_file()?;
        let (digest, size) =
            copy_digesting(content, &mut Early::new(&temporary.file)).map_err(|error| match error {
                CopyError::Read(source) => self.store.io("read what is to be written to", temporary.path(), source),
                CopyError::Write(source) => self.store.io("write", temporary.path(), source),
            })?;
        if !self.has(&digest, size) {
            self.store.write_out(&temporary.file, temporary.path())?;
            self.waiting().insert(digest, temporary.close());
        }
        Ok((digest, size))
    }

    /// A blob of at most `limit` bytes that was added.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let path = self.waiting().get(digest).map(|file| file.path().to_owned());
        let Some(path) = path else { return self.store.read_blob(digest, limit) };
        let read = File::open(&path).and_then(|file| files::read_limited(file, limit));
        let bytes = read.map_err(|source| self.store.io("read", &path, source))?;
        bytes.ok_or(Error::TooLarge { digest: *digest, limit })
    }

    /// Looks at the layers of images by their manifests, on all processors. For `told` and errors see
    /// [`Store::verify_source`].
    pub fn verify_layers<'m>(&self, manifests: impl Iterator<Item = &'m [u8]>, told: Told<'_>) -> Result<()> {
        let mut layers = BTreeSet::new();
        for manifest in manifests {
            let manifest = Manifest::parse(manifest)?;
            let config = ImageConfig::parse(&self.read(&manifest.config.digest, MAX_DOCUMENT)?)?;
            let blobs = manifest.layers.iter().map(|layer| layer.digest);
            layers.extend(config.rootfs.diff_ids.into_iter().zip(blobs));
        }
        layers.into_par_iter().try_for_each(|(diff_id, blob)| self.verify(diff_id, blob, told))
    }

    fn verify(&self, diff_id: Digest, blob: Digest, told: Told<'_>) -> Result<()> {
        let path = self.waiting().get(&blob).map(|file| file.path().to_owned());
        let Some(path) = path else { return self.store.verify_source(&diff_id, &blob, told) };
        let file = File::open(&path).map_err(|source| self.store.io("read", &path, source))?;
        let size = self.store.survey(&file, &diff_id, &blob, told)?;
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).push((diff_id, blob, size));
        Ok(())
    }

    /// Makes all that was added blobs of the store.
    pub fn keep(self) -> Result<()> {
        // What cannot be written out shall not become a blob first.
        self.store.sync()?;
        let waiting = self.waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
        waiting.into_iter().try_for_each(|(digest, file)| {
            let path = file.path().to_owned();
            let temporary = file.open().map_err(|source| self.store.io("open", &path, source))?;
            self.store.place(temporary, &self.store.blob_path(&digest), Durability::Later)
        })?;
        let verified = self.verified.into_inner().unwrap_or_else(PoisonError::into_inner);
        verified.into_iter().try_for_each(|(diff_id, blob, size)| self.store.note_verified(&diff_id, &blob, size))
    }

    fn has(&self, digest: &Digest, size: u64) -> bool {
        self.waiting().contains_key(digest) || self.store.has_whole(digest, size)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Digest, ClosedFile>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    #[test]
    fn nothing_is_there_before_everything_is() {
        let store = TestStore::new();
        let known = store.put_blob(b"known").expect("put");
        for kept in [false, true] {
            let intake = store.intake();
            for text in ["known", "new", "new", ""] {
                let length = text.len() as u64;
                for expected in [None, Some(Digest::of(text)), Some(Digest::of("known"))] {
                    let (digest, size) = intake.add(&mut text.as_bytes(), length, expected.as_ref()).expect("add");
                    assert_eq!((digest, size), (Digest::of(text), length));
                }
                let (digest, size) = (Digest::of(text), length);
                assert_eq!(intake.read(&digest, size).expect("read"), text.as_bytes());
                assert!(size == 0 || matches!(intake.read(&digest, size - 1), Err(Error::TooLarge { .. })));
            }
            assert_eq!(store.files_below("blobs"), 1);
            if kept {
                intake.keep().expect("keep");
            }
        }
        assert_eq!((store.files_below("blobs"), store.files_below("tmp")), (3, 1));
        assert!(store.has_blob(&known) && store.has_blob(&Digest::of("new")));
    }

    #[test]
    fn what_cannot_be_read_leaves_nothing() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("broken"))
            }
        }
        let store = TestStore::new();
        let intake = store.intake();
        assert!(intake.add(&mut b"some".chain(Broken), 4, None).is_err());
        assert_eq!((store.files_below("blobs"), store.files_below("tmp")), (0, 1));
    }
}
