//! Blobs: bytes named by their SHA-256. A blob never changes, and one that exists already wins over a new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use kiln_types::{Digest, Hasher};

use crate::files::{self, Durability, TemporaryFile};
use crate::{Error, Result, Store};

impl Store {
    /// Where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.derived(format!("blobs/sha256/{}", digest.hex()))
    }

    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        self.find_blob(digest)?.ok_or(Error::MissingBlob { digest: *digest })
    }

    pub(crate) fn find_blob(&self, digest: &Digest) -> Result<Option<File>> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("open", &path, source)),
        }
    }

    /// A whole blob of at most `limit` bytes; its content is checked against the digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let read = files::read_limited(self.open_blob(digest)?, limit);
        let bytes = read.map_err(|source| self.io("read", &self.blob_path(digest), source))?;
        let bytes = bytes.ok_or(Error::TooLarge { digest: *digest, limit })?;
        if Digest::of(&bytes) != *digest {
            return Err(self.remove_damaged(digest));
        }
        Ok(bytes)
    }

    /// Reads a blob once more that somebody has found damaged. One that is, is removed.
    pub fn verify_blob(&self, digest: &Digest) -> Result<()> {
        let blob = self.open_blob(digest)?;
        if self.is_sound(&blob, digest)? { Ok(()) } else { Err(self.remove_damaged(digest)) }
    }

    pub(crate) fn is_sound(&self, blob: &File, digest: &Digest) -> Result<bool> {
        let failed = |source| self.io("read", &self.blob_path(digest), source);
        let mut hasher = Hasher::new();
        let mut blob = blob;
        io::Seek::rewind(&mut blob).and_then(|()| io::copy(&mut blob, &mut hasher)).map_err(failed)?;
        Ok(hasher.finish() == *digest)
    }

    /// A blob that is not what its name says only stands in the way of a good one.
    pub(crate) fn remove_damaged(&self, digest: &Digest) -> Error {
        if self.is_read_only() {
            return Error::DamagedForReaders { digest: *digest, root: self.root().to_owned() };
        }
        let path = self.blob_path(digest);
        match files::remove_tree(&path) {
            Ok(()) => Error::DamagedBlob { digest: *digest },
            Err(source) => self.io("remove the damaged", &path, source),
        }
    }

    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has_whole(&digest, bytes.len() as u64) {
            self.write_file(&self.blob_path(&digest), bytes, Durability::Later)?;
        }
        Ok(digest)
    }

    /// For derived content of any size; dropped unfinished, it leaves nothing behind.
    pub(crate) fn writer(&self) -> Result<BlobWriter<'_>> {
        Ok(BlobWriter { store: self, temporary: self.temporary_file()?, hasher: Hasher::new(), size: 0 })
    }

    /// Keeps a finished file as the blob `digest`.
    pub(crate) fn keep_blob(&self, temporary: TemporaryFile, digest: &Digest, size: u64) -> Result<()> {
        if self.has_whole(digest, size) {
            return Ok(());
        }
        self.place(temporary, &self.blob_path(digest), Durability::Later)
    }

    /// A blob of another size was cut off behind our back, and is replaced.
    pub fn has_whole(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.blob_path(digest)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }
}

/// A blob on its way into the store: digests what is written to it.
pub(crate) struct BlobWriter<'a> {
    store: &'a Store,
    temporary: TemporaryFile,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter<'_> {
    /// Once more, for reading.
    pub(crate) fn reopen(&self) -> Result<File> {
        let path = self.temporary.path();
        File::open(path).map_err(|source| self.store.io("open", path, source))
    }

    /// Keeps what was written: it can be made again, so nobody waits until it is on the disk.
    pub(crate) fn finish(self) -> Result<Digest> {
        let Self { store, temporary, hasher, size } = self;
        let digest = hasher.finish();
        if !store.has_whole(&digest, size) {
            store.place(temporary, &store.blob_path(&digest), Durability::WhenNeeded)?;
        }
        Ok(digest)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.temporary.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    #[test]
    fn what_goes_in_comes_out() {
        let store = TestStore::new();
        let mut writer = store.writer().expect("writer");
        writer.write_all(b"con").and_then(|()| writer.write_all(b"tent")).expect("write");
        let digest = writer.finish().expect("finish");
        assert_eq!(digest, Digest::of("content"));
        assert_eq!(store.put_blob(b"content").expect("put"), digest);
        assert_eq!(store.read_blob(&digest, 7).expect("read"), b"content");
        assert!(matches!(store.read_blob(&digest, 6), Err(Error::TooLarge { .. })));
        assert!(matches!(store.open_blob(&Digest::of("x")), Err(Error::MissingBlob { .. })));
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let store = TestStore::new();
        store.writer().expect("writer").write_all(b"unfinished").expect("write");
        assert_eq!(store.files_below("blobs"), 0);
        assert_eq!(store.files_below("tmp"), 1, "only this process' lock");
    }

    #[test]
    fn damage_is_found_and_healed() {
        let store = TestStore::new();
        let digest = store.put_blob(b"content").expect("put");
        store.sync().expect("sync");
        let overwrite = |bytes: &[u8]| {
            files::remove_tree(&store.blob_path(&digest)).expect("remove");
            fs::write(store.blob_path(&digest), bytes).expect("write");
        };
        overwrite(b"cont");
        store.put_blob(b"content").expect("put");
        assert_eq!(store.read_blob(&digest, 100).expect("healed"), b"content");
        overwrite(b"CONTENT");
        assert!(matches!(store.read_blob(&digest, 100), Err(Error::DamagedBlob { .. })));
        assert!(!store.has_blob(&digest));
        store.put_blob(b"content").expect("put");
        store.verify_blob(&digest).expect("whole");
        store.sync().expect("sync");
        overwrite(b"CONTENT");
        assert!(matches!(store.verify_blob(&digest), Err(Error::DamagedBlob { .. })));
        assert!(matches!(store.verify_blob(&digest), Err(Error::MissingBlob { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn durable_files_are_read_only() {
        use std::os::unix::fs::PermissionsExt;
        let store = TestStore::new();
        let digest = store.put_blob(b"content").expect("put");
        store.sync().expect("sync");
        assert_eq!(fs::metadata(store.blob_path(&digest)).expect("metadata").permissions().mode() & 0o777, 0o400);
    }
}
