//! Blobs: bytes named by their SHA-256. A blob never changes, and one that exists already wins over a new one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use kiln_types::{Digest, Hasher};

use crate::files::{self, Durability, TemporaryFile};
use crate::{Error, Result, Store};

impl Store {
    /// Where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs/sha256").join(digest.hex())
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
        let mut bytes = Vec::new();
        let read = self.open_blob(digest)?.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| self.io("read", &self.blob_path(digest), source))?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { digest: *digest, limit });
        }
        if Digest::of(&bytes) != *digest {
            return Err(self.remove_damaged(digest));
        }
        Ok(bytes)
    }

    /// A blob of any size, to be read to its end: the last read fails where it is not what its name says.
    pub fn blob_reader(&self, digest: &Digest) -> Result<BlobReader> {
        let file = self.open_blob(digest)?;
        let path = self.blob_path(digest);
        let size = file.metadata().map_err(|source| self.io("read", &path, source))?.len();
        Ok(BlobReader { file, path, digest: *digest, size, left: size, hasher: Some(Hasher::new()) })
    }

    /// A blob that is not what its name says only stands in the way of a good one.
    pub(crate) fn remove_damaged(&self, digest: &Digest) -> Error {
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

    /// For content of any size; dropped unfinished, it leaves nothing behind.
    pub fn writer(&self) -> Result<BlobWriter<'_>> {
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
    fn has_whole(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.blob_path(digest)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }
}

/// A blob on its way out, digested as it is read.
pub struct BlobReader {
    file: File,
    path: PathBuf,
    digest: Digest,
    size: u64,
    left: u64,
    /// Until the end was reached.
    hasher: Option<Hasher>,
}

impl BlobReader {
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let Some(hasher) = &mut self.hasher else { return Ok(read) };
        hasher.update(&buffer[..read]);
        self.left = self.left.saturating_sub(read as u64);
        // Not everyone asks once more to be told that there is no more.
        let ended = self.left == 0 || (read == 0 && !buffer.is_empty());
        if ended && self.hasher.take().is_some_and(|hasher| hasher.finish() != self.digest) {
            files::remove_tree(&self.path)?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, Error::DamagedBlob { digest: self.digest }));
        }
        Ok(read)
    }
}

/// A blob on its way into the store: digests what is written to it.
pub struct BlobWriter<'a> {
    store: &'a Store,
    temporary: TemporaryFile,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter<'_> {
    /// Of what was written until now.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Keeps what was written; refused where its digest is not `expected`.
    pub fn finish(self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let found = self.hasher.finish();
        if let Some(&expected) = expected
            && expected != found
        {
            return Err(Error::DigestMismatch { expected, found });
        }
        self.store.keep_blob(self.temporary, &found, self.size)?;
        Ok((found, self.size))
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.temporary.file.write(bytes).map_err(|error| {
            let kind = error.kind();
            if !files::is_full(&error) {
                return error;
            }
            // The same kind, with the remedy.
            io::Error::new(kind, self.store.io("write", self.temporary.path(), error))
        })?;
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
        let (digest, size) = writer.finish(Some(&Digest::of("content"))).expect("finish");
        assert_eq!((digest, size), (Digest::of("content"), 7));
        assert_eq!(store.put_blob(b"content").expect("put"), digest);
        assert_eq!(store.read_blob(&digest, 7).expect("read"), b"content");
        assert!(matches!(store.read_blob(&digest, 6), Err(Error::TooLarge { .. })));
        assert!(matches!(store.open_blob(&Digest::of("x")), Err(Error::MissingBlob { .. })));
    }

    #[test]
    fn what_is_refused_leaves_nothing() {
        let store = TestStore::new();
        let mut writer = store.writer().expect("writer");
        writer.write_all(b"wrong").expect("write");
        let error = writer.finish(Some(&Digest::of("right"))).expect_err("mismatch");
        let (expected, found) = (Digest::of("right"), Digest::of("wrong"));
        assert_eq!(error.to_string(), format!("content does not match its digest: expected {expected}, found {found}"));
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
    }

    #[test]
    fn a_reader_tells_damage_with_the_last_byte() {
        let store = TestStore::new();
        for content in [&b"content"[..], b""] {
            let digest = store.put_blob(content).expect("put");
            let mut read = Vec::new();
            let mut reader = store.blob_reader(&digest).expect("reader");
            assert_eq!(reader.size(), content.len() as u64);
            reader.read_to_end(&mut read).expect("whole");
            assert_eq!(read, content);
        }
        let digest = store.put_blob(b"content").expect("put");
        store.sync().expect("sync");
        files::remove_tree(&store.blob_path(&digest)).expect("remove");
        fs::write(store.blob_path(&digest), b"CONTENT").expect("write");
        let reader = store.blob_reader(&digest).expect("reader");
        let error = io::copy(&mut reader.take(7), &mut io::sink()).expect_err("damaged");
        assert!(error.to_string().contains("was damaged and has been removed"), "{error}");
        assert!(!store.has_blob(&digest));
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
