//! Blobs that come together and are kept together or not at all: an archive that is being loaded.
//!
//! They wait under `tmp/`, so whatever ends the process leaves nothing among the blobs.

use std::collections::HashMap;
use std::io::Read;

use kiln_image::{CopyError, copy_digesting};
use kiln_types::Digest;

use crate::files::{Durability, TemporaryFile};
use crate::{Error, Result, Store, files};

pub struct Intake<'a> {
    store: &'a Store,
    /// Those that the store did not have before.
    waiting: HashMap<Digest, TemporaryFile>,
}

impl Store {
    pub fn intake(&self) -> Intake<'_> {
        Intake { store: self, waiting: HashMap::new() }
    }
}

impl Intake<'_> {
    /// Takes a blob of any size, reading it to its end. Answers its digest and size.
    pub fn add(&mut self, content: &mut dyn Read) -> Result<(Digest, u64)> {
        let mut temporary = self.store.temporary_file()?;
        let (digest, size) = copy_digesting(content, &mut temporary.file).map_err(|error| match error {
            CopyError::Read(source) => self.store.io("read what is to be written to", temporary.path(), source),
            CopyError::Write(source) => self.store.io("write", temporary.path(), source),
        })?;
        if !self.waiting.contains_key(&digest) && !self.store.has_whole(&digest, size) {
            self.store.write_out(&temporary.file, temporary.path())?;
            self.waiting.insert(digest, temporary);
        }
        Ok((digest, size))
    }

    /// A blob of at most `limit` bytes that was added.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let Some(temporary) = self.waiting.get(digest) else { return self.store.read_blob(digest, limit) };
        let file = std::fs::File::open(temporary.path());
        let read = file.and_then(|file| files::read_limited(file, limit));
        let bytes = read.map_err(|source| self.store.io("read", temporary.path(), source))?;
        bytes.ok_or(Error::TooLarge { digest: *digest, limit })
    }

    /// Makes all that was added blobs of the store.
    pub fn keep(self) -> Result<()> {
        // What cannot be written out shall not become a blob first.
        self.store.sync()?;
        self.waiting.into_iter().try_for_each(|(digest, temporary)| {
            self.store.place(temporary, &self.store.blob_path(&digest), Durability::Later)
        })
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
            let mut intake = store.intake();
            for text in ["known", "new", "new", ""] {
                let (digest, size) = intake.add(&mut text.as_bytes()).expect("add");
                assert_eq!((digest, size), (Digest::of(text), text.len() as u64));
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
        let mut intake = store.intake();
        assert!(intake.add(&mut b"some".chain(Broken)).is_err());
        assert_eq!((store.files_below("blobs"), store.files_below("tmp")), (0, 1));
    }
}
