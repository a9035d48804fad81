//! The one writer of layers: a change set becomes a tar and its index in one pass.
//!
//! ```text
//! segments of the change set ─→ workers: open, read, digest each file, make headers ─→ blocks, in order
//!                                                    │
//!                            this thread: write the block, extend the index ─→ a thread digests the tar
//! ```
//! Deterministic: the bytes depend on nothing but the change set. Memory is bounded by the number of segments under
//! way, whatever the sizes of the files.

mod headers;
mod segment;
mod window;

use std::collections::VecDeque;
use std::io::Write;
use std::thread;

use crossbeam_channel::{Receiver, bounded, unbounded};
use kiln_types::{Digest, Hasher};

use crate::change::{Change, Node};
use crate::error::{Error, Result};
use crate::index::{Builder, Index, Kind};
use crate::tar::END;
pub(crate) use headers::append_change;
use segment::{BLOCK_SIZE, Block, FileFacts, Job, Pool, SMALL, segments, weight};
use window::Window;

/// Segments that are worked on or wait to be written. Each has at most [`segment::BLOCKS`] blocks in memory.
const UNDER_WAY: usize = 8;
/// Blocks that wait for the thread that digests the tar.
const WAITING: usize = 4;

/// A layer of at most so many bytes is written without threads, which would cost more than they save.
const TINY: u64 = 64 << 10;

/// What [`write_layer`] wrote.
#[derive(Debug)]
pub struct Written {
    pub diff_id: Digest,
    /// Bytes of the tar.
    pub size: u64,
    pub index: Index,
}

/// Writes a change set to `out`, which is empty.
///
/// # Errors
/// Contents that cannot be read or change while they are read, paths that a layer cannot hold, and change sets that are
/// not in order.
pub fn write_layer(changes: Vec<Change>, out: impl Write) -> Result<Written> {
    let changes = &changes[..];
    let (diff_id, size, builder) = if weight(changes) <= TINY { here(changes, out)? } else { beside(changes, out)? };
    Ok(Written { diff_id, size, index: builder.finish(diff_id, size)? })
}

fn here(changes: &[Change], out: impl Write) -> Result<(Digest, u64, Builder)> {
    let pool = Pool::new(1, TINY as usize);
    let mut hasher = Hasher::new();
    let start = |job: Job| job.run(changes, &pool, &mut Window::default());
    let mut assembly = Assembly::new(changes, out, start, |block| hasher.update(&block));
    assembly.run()?;
    let Assembly { size, builder, .. } = assembly;
    Ok((hasher.finish(), size, builder))
}

fn beside(changes: &[Change], out: impl Write) -> Result<(Digest, u64, Builder)> {
    let workers = thread::available_parallelism().map_or(2, usize::from).saturating_mul(2).clamp(2, 8);
    thread::scope(|scope| {
        let pool = Pool::new(WAITING + UNDER_WAY, BLOCK_SIZE + SMALL as usize);
        let (jobs, queue) = unbounded::<Job>();
        for _ in 0..workers.min(changes.len()) {
            let (queue, pool) = (queue.clone(), pool.clone());
            scope.spawn(move || {
                let mut window = Window::default();
                queue.iter().for_each(|job| job.run(changes, &pool, &mut window));
            });
        }
        let (blocks, receiver) = bounded::<Vec<u8>>(WAITING);
        let digest = scope.spawn(move || {
            let mut hasher = Hasher::new();
            for block in receiver {
                hasher.update(&block);
                pool.put(block);
            }
            hasher.finish()
        });
        let start = |job| jobs.send(job).expect("the workers live as long as this sender");
        let digested = |block| blocks.send(block).expect("the digesting thread lives as long as this sender");
        let mut assembly = Assembly::new(changes, out, start, digested);
        assembly.run()?;
        let Assembly { size, builder, .. } = assembly;
        drop(blocks);
        Ok((digest.join().expect("digesting does not panic"), size, builder))
    })
}

/// `start` sees to it that a segment is rendered; `digest` takes the tar's blocks.
struct Assembly<'a, W, S, D> {
    changes: &'a [Change],
    out: W,
    start: S,
    digest: D,
    size: u64,
    builder: Builder,
}

impl<'a, W: Write, S: Fn(Job), D: FnMut(Vec<u8>)> Assembly<'a, W, S, D> {
    fn new(changes: &'a [Change], out: W, start: S, digest: D) -> Self {
        Self { changes, out, start, digest, size: 0, builder: Builder::new() }
    }

    fn run(&mut self) -> Result<()> {
        let mut under_way: VecDeque<(std::ops::Range<usize>, Receiver<Result<Block>>)> = VecDeque::new();
        let mut segments = segments(self.changes);
        loop {
            while under_way.len() < UNDER_WAY
                && let Some(range) = segments.next()
            {
                let (job, receiver) = Job::new(range.clone());
                (self.start)(job);
                under_way.push_back((range, receiver));
            }
            let Some((range, receiver)) = under_way.pop_front() else { break };
            let start = self.size;
            for block in receiver {
                match block? {
                    Block::Bytes(bytes) => self.write(bytes)?,
                    Block::End(files) => self.index(range.clone(), start, &files)?,
                }
            }
        }
        self.write(END.to_vec())
    }

    fn write(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.out.write_all(&bytes).map_err(Error::io("write the layer"))?;
        self.size += bytes.len() as u64;
        (self.digest)(bytes);
        Ok(())
    }

    fn index(&mut self, range: std::ops::Range<usize>, start: u64, files: &[FileFacts]) -> Result<()> {
        let mut files = files.iter();
        for change in &self.changes[range] {
            let kind = match &change.node {
                Node::Directory { opaque } => Kind::Directory { opaque: *opaque },
                Node::File(content) => {
                    let facts = files.next().expect("a segment has the facts of each of its files");
                    Kind::File { offset: start + facts.offset, size: content.size(), digest: facts.digest }
                }
                Node::Symlink(target) => Kind::Symlink(target),
                Node::HardLink(target) => Kind::HardLink(target),
                Node::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
                Node::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
                Node::Fifo => Kind::Fifo,
                Node::Whiteout => Kind::Whiteout,
            };
            self.builder.push(&change.path, &change.meta, kind)?;
        }
        Ok(())
    }
}
