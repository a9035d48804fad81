//! Blobs from a connection that may break: known by digest and size before they come, verified while they come.
//!
//! What has arrived is kept in `incoming/<hex>` until all is there, so whoever asks for the same blob again goes on where
//! it ended, in this process or in a later one. One at a time receives a blob. After a power loss nothing of it is
//! trusted (durable.rs), and a collection removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use kiln_types::{Digest, Hasher};

use crate::files::{self, Durability};
use crate::locks::LockFile;
use crate::{Error, Result, Store};

/// What becomes of the wish to receive a blob.
pub enum Receive<'a> {
    /// The store has it already.
    Present,
    /// Another process or thread receives it at this moment: ask again a little later.
    Busy,
    Ready(Box<Receiver<'a>>),
}

/// A blob on its way into the store. Dropped before it is complete, it leaves what has arrived for the next one.
pub struct Receiver<'a> {
    store: &'a Store,
    digest: Digest,
    size: u64,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    received: u64,
    _lock: LockFile,
}

impl Store {
    /// Begins or goes on to receive a blob of exactly `size` bytes; many may be received at once, by several threads.
    pub fn receive_blob(&self, digest: &Digest, size: u64) -> Result<Receive<'_>> {
        if self.has_whole(digest, size) {
            return Ok(Receive::Present);
        }
        let lock = self.lock_path("receive", digest);
        let locked = LockFile::try_acquire(lock.clone()).map_err(|source| self.io("lock", &lock, source))?;
        let Some(lock) = locked else { return Ok(Receive::Busy) };
        if self.has_whole(digest, size) {
            return Ok(Receive::Present);
        }
        // If this process is killed, its folder says so.
        self.session()?;
        let path = self.root().join("incoming").join(digest.hex());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = self.durable.mark_boot().and_then(|()| options.open(&path));
        let file = opened.map_err(|source| self.io("create", &path, source))?;
        let mut receiver = Receiver {
            store: self,
            digest: *digest,
            size,
            file,
            path,
            hasher: Hasher::new(),
            received: 0,
            _lock: lock,
        };
        receiver.read_what_there_is()?;
        Ok(Receive::Ready(Box::new(receiver)))
    }
}

impl Receiver<'_> {
    /// How many bytes are here: the next one written is this one of the blob.
    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Forgets what has arrived, for a sender that cannot but begin anew.
    pub fn restart(&mut self) -> Result<()> {
        self.hasher = Hasher::new();
        self.received = 0;
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|source| self.store.io("write", &self.path, source))
    }

    /// Makes what has arrived a blob.
    ///
    /// # Errors
    /// `Incomplete` where bytes are missing: what is here is kept for another attempt. `WrongContent` where it is not
    /// what its digest says: all of it is removed.
    pub fn finish(mut self) -> Result<()> {
        let Self { store, digest, size, received, .. } = self;
        if received != size {
            return Err(Error::Incomplete { digest, received, size });
        }
        let found = std::mem::take(&mut self.hasher).finish();
        if found != digest {
            self.received = 0;
            return Err(Error::WrongContent { digest, found });
        }
        let blob = store.blob_path(&digest);
        let written = store.durable.before_rename(&self.file, Durability::Later);
        written.map_err(|source| store.io("write", &blob, source))?;
        store.note_added(&self.file, &blob)?;
        fs::rename(&self.path, &blob).map_err(|source| store.io("put in place", &blob, source))?;
        store.write_out(&self.file, &blob)
    }

    fn read_what_there_is(&mut self) -> Result<()> {
        let failed = |source| self.store.io("read", &self.path, source);
        let kept = self.file.metadata().map_err(failed)?.len();
        if kept > self.size {
            return self.restart();
        }
        self.received = io::copy(&mut self.file, &mut self.hasher).map_err(failed)?;
        let at_end = self.file.seek(SeekFrom::Start(self.received)).map_err(failed);
        at_end.map(|_| ())
    }
}

impl Write for Receiver<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.size - self.received {
            let message = format!("more than the {} bytes of blob {} arrived", self.size, self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.received += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        if self.received == 0 {
            // Nothing more can be done; a collection removes what stays.
            let _ = files::remove_tree(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    fn ready<'a>(store: &'a Store, digest: &Digest, size: u64) -> Box<Receiver<'a>> {
        match store.receive_blob(digest, size).expect("receive") {
            Receive::Ready(receiver) => receiver,
            Receive::Present => panic!("it is there"),
            Receive::Busy => panic!("it is busy"),
        }
    }

    #[test]
    fn a_broken_transfer_is_gone_on_with_by_whoever_comes() {
        let store = TestStore::new();
        let digest = Digest::of("content");
        for (at, part) in [(0, "con"), (3, ""), (3, "te"), (5, "nt")] {
            let other = store.another();
            let mut receiver = ready(&other, &digest, 7);
            assert_eq!((receiver.received(), receiver.size()), (at, 7));
            receiver.write_all(part.as_bytes()).expect("write");
            assert!(matches!(store.receive_blob(&digest, 7), Ok(Receive::Busy)));
            if at == 5 {
                receiver.finish().expect("complete");
            } else if part.is_empty() {
                assert!(matches!(receiver.finish(), Err(Error::Incomplete { received: 3, size: 7, .. })));
            }
        }
        assert_eq!(store.read_blob(&digest, 7).expect("blob"), b"content");
        assert!(matches!(store.receive_blob(&digest, 7), Ok(Receive::Present)));
        assert_eq!((store.files_below("incoming"), store.files_below("blobs")), (0, 1));
    }

    #[test]
    fn only_what_the_digest_says_becomes_a_blob() {
        let store = TestStore::new();
        let digest = Digest::of("content");
        let mut receiver = ready(&store, &digest, 7);
        receiver.write_all(b"CONTENT").expect("write");
        assert!(receiver.write_all(b"!").is_err(), "more than was announced");
        assert!(matches!(receiver.finish(), Err(Error::WrongContent { .. })));
        let mut receiver = ready(&store, &digest, 7);
        receiver.write_all(b"CON").expect("write");
        receiver.restart().expect("restart");
        receiver.write_all(b"content").expect("write");
        receiver.finish().expect("complete");
        // A sender that lies about the size does not get further either.
        ready(&store, &digest, 8).write_all(b"content").expect("write");
        let mut shorter = ready(&store, &digest, 6);
        assert_eq!(shorter.received(), 0);
        shorter.write_all(b"conten").expect("write");
        assert!(matches!(shorter.finish(), Err(Error::WrongContent { .. })));
        assert_eq!((store.files_below("incoming"), store.files_below("blobs")), (0, 1));
    }

    #[test]
    fn nothing_at_all_is_a_blob_too() {
        let store = TestStore::new();
        ready(&store, &Digest::of(""), 0).finish().expect("complete");
        assert!(store.has_blob(&Digest::of("")));
    }

    #[test]
    fn many_at_once() {
        let store = TestStore::new();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let store = &store;
                scope.spawn(move || {
                    let text = format!("content {}", number % 8).repeat(1000);
                    let digest = Digest::of(&text);
                    loop {
                        match store.receive_blob(&digest, text.len() as u64).expect("receive") {
                            Receive::Present => break,
                            Receive::Busy => std::thread::yield_now(),
                            Receive::Ready(mut receiver) => {
                                text.as_bytes().chunks(100).for_each(|part| receiver.write_all(part).expect("write"));
                                receiver.finish().expect("complete");
                            }
                        }
                    }
                });
            }
        });
        assert_eq!((store.files_below("incoming"), store.files_below("blobs")), (0, 8));
    }
}
