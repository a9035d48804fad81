//! Segments of a change set: rendered to tar bytes by the workers, many small files at once, a big one in blocks.

use std::ops::Range;

use super::headers::append_change;
use super::window::Window;
use crossbeam_channel::{Receiver, Sender, bounded};
use kiln_types::{Digest, Hasher, paths};

use crate::change::{Change, Node, compare_paths};
use crate::content::{Content, read_full};
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::tar::{BLOCK, MAX_PATH, WHITEOUT, WHITEOUT_OPAQUE, padding};

/// Files up to this size are read whole.
pub(super) const SMALL: u64 = 256 << 10;
pub(super) const BLOCK_SIZE: usize = 1 << 20;
const SEGMENT_CHANGES: usize = 256;
/// Blocks of one segment that may wait to be written.
pub(super) const BLOCKS: usize = 3;

pub(super) enum Block {
    Bytes(Vec<u8>),
    /// All of the segment has been sent; about each of its files in order.
    End(Vec<FileFacts>),
}

pub(super) struct FileFacts {
    /// Of the content from the segment's beginning.
    pub(super) offset: u64,
    pub(super) digest: Digest,
}

/// About how many bytes of a tar these changes become.
pub(super) fn weight(changes: &[Change]) -> u64 {
    let weights = changes.iter().map(|change| match &change.node {
        Node::File(content) => content.size().saturating_add(2 * BLOCK as u64),
        _ => BLOCK as u64,
    });
    weights.fold(0, u64::saturating_add)
}

/// Cuts the change set: each piece has about a block of bytes, or is a single big file.
pub(super) fn segments(changes: &[Change]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let mut end = start;
        let mut sum = 0;
        while end < changes.len() && end - start < SEGMENT_CHANGES {
            let weight = weight(&changes[end..=end]);
            if end > start && (weight > SMALL || sum + weight > BLOCK_SIZE as u64) {
                break;
            }
            end += 1;
            sum += weight;
            if weight > SMALL {
                break;
            }
        }
        let range = start..end;
        start = end;
        (!range.is_empty()).then_some(range)
    })
}

/// Buffers that go round.
#[derive(Clone)]
pub(super) struct Pool {
    sender: Sender<Vec<u8>>,
    receiver: Receiver<Vec<u8>>,
    capacity: usize,
}

impl Pool {
    /// At most `size` buffers wait in it.
    pub(super) fn new(size: usize, capacity: usize) -> Self {
        let (sender, receiver) = bounded(size);
        Self { sender, receiver, capacity }
    }

    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        // A full pool lets it go.
        drop(self.sender.try_send(buffer));
    }

    fn get(&self) -> Vec<u8> {
        self.receiver.try_recv().unwrap_or_else(|_| Vec::with_capacity(self.capacity))
    }
}

pub(super) struct Job {
    range: Range<usize>,
    blocks: Sender<Result<Block>>,
}

impl Job {
    pub(super) fn new(range: Range<usize>) -> (Self, Receiver<Result<Block>>) {
        let (blocks, receiver) = bounded(BLOCKS);
        (Self { range, blocks }, receiver)
    }

    pub(super) fn run(self, changes: &[Change], pool: &Pool, window: &mut Window) {
        let Self { range, blocks } = self;
        let files = Vec::with_capacity(range.len());
        let mut render = Render { changes, pool, blocks: &blocks, window, buffer: pool.get(), sent: 0, files };
        let end = match render.segment(range) {
            Ok(()) => Ok(Block::End(render.files)),
            Err(Stop::Abandoned) => return,
            Err(Stop::Failed(error)) => Err(error),
        };
        // Nobody may wait for it any more.
        drop(blocks.send(end));
    }
}

enum Stop {
    /// Nobody wants the segment any more.
    Abandoned,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Render<'a> {
    changes: &'a [Change],
    pool: &'a Pool,
    blocks: &'a Sender<Result<Block>>,
    window: &'a mut Window,
    buffer: Vec<u8>,
    sent: u64,
    files: Vec<FileFacts>,
}

impl Render<'_> {
    fn segment(&mut self, range: Range<usize>) -> Result<(), Stop> {
        let changes = &self.changes[range];
        for (number, change) in changes.iter().enumerate() {
            check_path(&change.path)?;
            self.change(change, &changes[number + 1..])?;
        }
        self.send(Vec::new())
    }

    /// Passes the buffer on and goes on with the `next`.
    fn send(&mut self, next: Vec<u8>) -> Result<(), Stop> {
        let bytes = std::mem::replace(&mut self.buffer, next);
        self.sent += bytes.len() as u64;
        self.blocks.send(Ok(Block::Bytes(bytes))).map_err(|_| Stop::Abandoned)
    }

    fn change(&mut self, change: &Change, next: &[Change]) -> Result<(), Stop> {
        let linked = match &change.node {
            Node::HardLink(target) => {
                let found = self.changes.binary_search_by(|other| compare_paths(&other.path, target));
                found.map(|found| self.changes[found].meta.clone()).unwrap_or_default()
            }
            _ => Meta::default(),
        };
        append_change(&mut self.buffer, change, &linked)?;
        if let Node::File(content) = &change.node
            && !self.stored(content, next)
        {
            self.content(&change.path, content)?;
        }
        Ok(())
    }

    /// Takes a small file out of the file that it was stored in before; not where its bytes are others by now.
    fn stored(&mut self, content: &Content, next: &[Change]) -> bool {
        let Some(bytes) = self.window.get(content, next) else { return false };
        let digest = Digest::of(bytes);
        if content.stored().and_then(|stored| stored.digest).is_some_and(|expected| expected != digest) {
            return false;
        }
        let offset = self.sent + self.buffer.len() as u64;
        self.buffer.extend_from_slice(bytes);
        self.end(content, FileFacts { offset, digest });
        true
    }

    fn end(&mut self, content: &Content, facts: FileFacts) {
        self.buffer.resize(self.buffer.len() + padding(content.size()), 0);
        self.files.push(facts);
    }

    fn content(&mut self, path: &[u8], content: &Content) -> Result<(), Stop> {
        let offset = self.sent + self.buffer.len() as u64;
        let size_changed = || Error::SizeChanged { path: paths::display(path), expected: content.size() };
        let mut input = content.open().map_err(Error::at("read", path))?;
        let mut read = |buffer: &mut [u8]| read_full(&mut input, buffer).map_err(Error::at("read", path));
        let mut hasher = Hasher::new();
        let mut left = content.size();
        while left > SMALL {
            if self.buffer.len() >= BLOCK_SIZE {
                self.send(self.pool.get())?;
            }
            let start = self.buffer.len();
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_SIZE - start);
            self.buffer.resize(start + length, 0);
            if read(&mut self.buffer[start..])? < length {
                return Err(size_changed().into());
            }
            hasher.update(&self.buffer[start..]);
            left -= length as u64;
        }
        // One byte more than there should be: the end shows with the last of them.
        let start = self.buffer.len();
        let length = left as usize;
        self.buffer.resize(start + length + 1, 0);
        if read(&mut self.buffer[start..])? != length {
            return Err(size_changed().into());
        }
        self.buffer.truncate(start + length);
        hasher.update(&self.buffer[start..]);
        self.end(content, FileFacts { offset, digest: hasher.finish() });
        Ok(())
    }
}

fn check_path(path: &[u8]) -> Result<()> {
    let unrepresentable = |reason| Error::Unrepresentable { path: paths::display(path), reason };
    if path.len() + WHITEOUT_OPAQUE.len() >= MAX_PATH {
        return Err(unrepresentable("its path is too long"));
    }
    if path.is_empty() {
        return Ok(());
    }
    for part in path.split(|&byte| byte == b'/') {
        if matches!(part, b"" | b"." | b"..") {
            return Err(Error::Disorder { path: paths::display(path), reason: "its path is not clean" });
        }
        if part.starts_with(WHITEOUT) {
            return Err(unrepresentable("layers use names that begin with `.wh.` for removals; rename it"));
        }
    }
    Ok(())
}
