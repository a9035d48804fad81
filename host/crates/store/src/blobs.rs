//! Blobs: bytes named by their SHA-256.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use kiln_types::Digest;

use crate::{Result, Store};

impl Store {
    /// Where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        todo!()
    }

    pub fn has_blob(&self, digest: &Digest) -> bool {
        todo!()
    }

    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        todo!()
    }

    /// A whole blob of at most `limit` bytes; its content is checked against the digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        todo!()
    }

    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        todo!()
    }

    /// For content of any size; dropped unfinished, it leaves nothing behind.
    pub fn writer(&self) -> Result<BlobWriter> {
        todo!()
    }
}

/// A blob on its way into the store: digests what is written to it.
pub struct BlobWriter {}

impl BlobWriter {
    /// Keeps what was written; refused where its digest is not `expected`.
    pub fn finish(self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        todo!()
    }
}

impl io::Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        todo!()
    }
}
