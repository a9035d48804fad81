//! A blob while it arrives: a thread reads the file as it grows, digests it, and looks at what is in it if it is a layer.
//! So all that is known once the last byte is here, which is when a slow decoder would have begun.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use kiln_image::compress::{self, Compression};
use kiln_image::survey;
use kiln_types::{Digest, Hasher};

use crate::growing::Growing;
use crate::verify::Told;

const BLOCK: usize = 256 << 10;
/// How often is asked whether somebody still wants it.
const TICK: Duration = Duration::from_millis(50);

pub(crate) struct Following {
    growing: Arc<Growing>,
    size: u64,
    done: Arc<AtomicU64>,
    result: mpsc::Receiver<io::Result<Followed>>,
}

/// What is known of a blob that has arrived.
pub(crate) struct Followed {
    pub(crate) digest: Digest,
    /// The diff id of the layer that it is the compressed form of, and the bytes of the files in that.
    pub(crate) layer: Option<(Digest, u64)>,
}

impl Following {
    /// Follows a file that shall have `size` bytes and has `length` of them.
    pub(crate) fn start(file: File, length: u64, size: u64, is_layer: bool) -> io::Result<Self> {
        let growing = Arc::new(Growing::default());
        growing.begin(file);
        growing.add(length);
        let done = Arc::default();
        let (sender, result) = mpsc::sync_channel(1);
        let (watched, told) = (Arc::clone(&growing), Arc::clone(&done));
        thread::Builder::new().name("follow".to_owned()).spawn(move || {
            // Nobody may want to know any more.
            let _ = sender.send(follow(&watched, size, &told, is_layer));
        })?;
        Ok(Self { growing, size, done, result })
    }

    /// More bytes are there.
    pub(crate) fn add(&self, length: u64) {
        self.growing.add(length);
    }

    /// Waits until all bytes are read, which are there. `told` hears how many of how many are, and may end it.
    pub(crate) fn finish(self, told: Told<'_>) -> io::Result<Followed> {
        loop {
            match self.result.recv_timeout(TICK) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => told(self.done.load(Ordering::Relaxed), self.size)?,
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("its thread died")),
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // The thread ends by itself, soon.
        self.growing.end(false);
    }
}

fn follow(growing: &Growing, size: u64, done: &AtomicU64, is_layer: bool) -> io::Result<Followed> {
    let mut input = Input { file: growing.reader_to(size)?, hasher: Hasher::new(), done };
    let layer = if is_layer { look(&mut input) } else { None };
    // All of it, or what is behind that which a decoder could read.
    let mut block = vec![0; BLOCK];
    while input.read(&mut block)? > 0 {}
    Ok(Followed { digest: input.hasher.finish(), layer })
}

/// `None` for whatever has to be looked at again to say what it is.
fn look(input: impl Read + Send) -> Option<(Digest, u64)> {
    let (compression, input) = compress::sniff(input).ok()?;
    if compression == Compression::None {
        return None;
    }
    survey(compress::decompressed(input).ok()?).ok()
}

/// Digests what is read, and tells how far it is.
struct Input<'a, R> {
    file: R,
    hasher: Hasher,
    done: &'a AtomicU64,
}

impl<R: Read> Read for Input<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.done.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
