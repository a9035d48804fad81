//! Blobs from a connection that may break: known by digest and size before they come, verified while they come
//! (following.rs).
//!
//! What has arrived is kept in `incoming/<hex>` until all is there, so whoever asks for the same blob again goes on where
//! it ended, in this process or in a later one. One at a time receives a blob. After a power loss nothing of it is
//! trusted (durable.rs), and a collection removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use kiln_types::Digest;

use crate::durable::Ahead;
use crate::files::{self, Durability};
use crate::following::Following;
use crate::locks::LockFile;
use crate::verify::Told;
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
    /// Of the layer that it shall be.
    diff_id: Option<Digest>,
    /// `None` from its end on.
    following: Option<Following>,
    received: u64,
    ahead: Ahead,
    _lock: LockFile,
}

impl Store {
    /// Begins or goes on to receive a blob of exactly `size` bytes; many may be received at once, by several threads. One
    /// that shall be a compressed layer with that `diff_id` is verified to be it on the way, as far as it is.
    pub fn receive_blob(&self, digest: &Digest, size: u64, diff_id: Option<&Digest>) -> Result<Receive<'_>> {
        if self.has_whole(digest, size) {
            return Ok(Receive::Present);
        }
        let lock = self.lock_path("receive", digest)?;
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
            diff_id: diff_id.copied(),
            following: None,
            received: 0,
            ahead: Ahead::default(),
            _lock: lock,
        };
        receiver.begin()?;
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
        self.file.set_len(0).map_err(|source| self.store.io("write", &self.path, source))?;
        self.begin()
    }

    /// Makes what has arrived a blob. For `told` see [`Store::verify_source`].
    ///
    /// # Errors
    /// `Incomplete` where bytes are missing: what is here is kept for another attempt. `WrongContent` where it is not
    /// what its digest says: all of it is removed.
    pub fn finish(mut self, told: Told<'_>) -> Result<()> {
        let Self { store, digest, size, received, diff_id, .. } = self;
        if received != size {
            return Err(Error::Incomplete { digest, received, size });
        }
        let following = self.following.take().expect("there is one until here");
        let followed = following.finish(told).map_err(|source| store.io("read", &self.path, source))?;
        if followed.digest != digest {
            self.received = 0;
            return Err(Error::WrongContent { digest, found: followed.digest });
        }
        let blob = store.blob_path(&digest);
        let written = store.durable.before_rename(&self.file, Durability::Later);
        written.map_err(|source| store.io("write", &blob, source))?;
        store.note_added(&self.file, &blob)?;
        fs::rename(&self.path, &blob).map_err(|source| store.io("put in place", &blob, source))?;
        store.write_out(&self.file, &blob)?;
        match (followed.layer, diff_id) {
            (Some((found, files_size)), Some(diff_id)) if found == diff_id => {
                store.note_verified(&diff_id, &digest, files_size)
            }
            // What is wrong with it is told by those who want the layer.
            _ => Ok(()),
        }
    }

    /// Begins with what there is.
    fn begin(&mut self) -> Result<()> {
        let failed = |source| self.store.io("read", &self.path, source);
        let kept = self.file.metadata().map_err(failed)?.len();
        if kept > self.size {
            return self.restart();
        }
        self.received = self.file.seek(SeekFrom::Start(kept)).map_err(failed)?;
        self.ahead = Ahead::from(kept);
        let following = File::open(&self.path)
            .and_then(|file| Following::start(file, kept, self.size, self.diff_id.is_some()))
            .map_err(failed)?;
        self.following = Some(following);
        Ok(())
    }
}

impl Write for Receiver<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.size - self.received {
            let message = format!("more than the {} bytes of blob {} arrived", self.size, self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let written = self.file.write(bytes)?;
        self.received += written as u64;
        self.ahead.wrote(&self.file, written as u64);
        if let Some(following) = &self.following {
            following.add(written as u64);
        }
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
    use kiln_image::compress::gzip;

    use super::*;
    use crate::testing::{TestStore, one_file};

    fn ready<'a>(store: &'a Store, digest: &Digest, size: u64) -> Box<Receiver<'a>> {
        match store.receive_blob(digest, size, None).expect("receive") {
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
            assert!(matches!(store.receive_blob(&digest, 7, None), Ok(Receive::Busy)));
            if at == 5 {
                receiver.finish(&|_, _| Ok(())).expect("complete");
            } else if part.is_empty() {
                assert!(matches!(receiver.finish(&|_, _| Ok(())), Err(Error::Incomplete { received: 3, size: 7, .. })));
            }
        }
        assert_eq!(store.read_blob(&digest, 7).expect("blob"), b"content");
        assert!(matches!(store.receive_blob(&digest, 7, None), Ok(Receive::Present)));
        assert_eq!((store.files_below("incoming"), store.files_below("blobs")), (0, 1));
    }

    #[test]
    fn only_what_the_digest_says_becomes_a_blob() {
        let store = TestStore::new();
        let digest = Digest::of("content");
        let mut receiver = ready(&store, &digest, 7);
        receiver.write_all(b"CONTENT").expect("write");
        assert!(receiver.write_all(b"!").is_err(), "more than was announced");
        assert!(matches!(receiver.finish(&|_, _| Ok(())), Err(Error::WrongContent { .. })));
        let mut receiver = ready(&store, &digest, 7);
        receiver.write_all(b"CON").expect("write");
        receiver.restart().expect("restart");
        receiver.write_all(b"content").expect("write");
        receiver.finish(&|_, _| Ok(())).expect("complete");
        // A sender that lies about the size does not get further either.
        ready(&store, &digest, 8).write_all(b"content").expect("write");
        let mut shorter = ready(&store, &digest, 6);
        assert_eq!(shorter.received(), 0);
        shorter.write_all(b"conten").expect("write");
        assert!(matches!(shorter.finish(&|_, _| Ok(())), Err(Error::WrongContent { .. })));
        assert_eq!((store.files_below("incoming"), store.files_below("blobs")), (0, 1));
    }

    #[test]
    fn a_layer_is_verified_on_its_way() {
        let made = TestStore::new();
        let diff_id = made.add_layer(one_file("file", "content")).expect("layer").diff_id;
        let tar = made.read_blob(&diff_id, 1 << 20).expect("tar");
        let mut packed = Vec::new();
        gzip(&tar[..], &mut packed).expect("gzip");
        let damaged = [&packed[..packed.len() / 2], b"garbage"].concat();
        for (bytes, expected, verified) in
            [(&packed, diff_id, true), (&packed, Digest::of("other"), false), (&damaged, diff_id, false)]
        {
            let store = TestStore::new();
            let blob = Digest::of(bytes);
            let size = bytes.len() as u64;
            // In two parts, by two receivers, and begun anew in between.
            let receive = || match store.receive_blob(&blob, size, Some(&expected)).expect("receive") {
                Receive::Ready(receiver) => receiver,
                _ => panic!("not ready"),
            };
            receive().write_all(&bytes[..10]).expect("write");
            let mut receiver = receive();
            receiver.restart().expect("restart");
            receiver.write_all(&bytes[..20]).expect("write");
            drop(receiver);
            let mut receiver = receive();
            assert_eq!(receiver.received(), 20);
            receiver.write_all(&bytes[20..]).expect("write");
            receiver.finish(&|_, _| Ok(())).expect("what its digest says");
            assert_eq!(store.is_verified(&expected, &blob).expect("told"), verified);
            assert_eq!(store.verify_source(&expected, &blob, &|_, _| Ok(())).is_ok(), verified);
        }
    }

    #[test]
    fn nothing_at_all_is_a_blob_too() {
        let store = TestStore::new();
        ready(&store, &Digest::of(""), 0).finish(&|_, _| Ok(())).expect("complete");
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
                        match store.receive_blob(&digest, text.len() as u64, None).expect("receive") {
                            Receive::Present => break,
                            Receive::Busy => std::thread::yield_now(),
                            Receive::Ready(mut receiver) => {
                                text.as_bytes().chunks(100).for_each(|part| receiver.write_all(part).expect("write"));
                                receiver.finish(&|_, _| Ok(())).expect("complete");
                            }
                        }
                    }
                });
            }
        });
        assert_eq!((store.files_below("incoming"), store.files_below("blobs")), (0, 8));
    }
}
