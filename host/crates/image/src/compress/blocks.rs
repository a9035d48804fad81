//! Input cut into blocks that are compressed on their own, on all processors, and written in their order: so the bytes
//! that come out depend on the input only.

use std::io::{self, Read};

use rayon::prelude::*;

use crate::content::read_full;

/// Bytes of input that are worked on at once; as many are read and written meanwhile.
const BATCH: usize = 16 << 20;

/// Hands every block's result to `emit`. Only the last block is shorter than `length`.
///
/// While one batch is worked on, the next is read and the last is emitted: both may be slow in ways of their own.
pub(super) fn in_blocks<T: Send>(
    mut input: impl Read + Send,
    length: usize,
    work: impl Fn(&[u8]) -> T + Sync,
    mut emit: impl FnMut(T) -> io::Result<()> + Send,
) -> io::Result<()> {
    let width = (rayon::current_num_threads() * 2).min(BATCH / length);
    let (mut batch, mut next) = (vec![Vec::new(); width], vec![Vec::new(); width]);
    let mut done = Vec::new();
    fill(&mut batch, length, &mut input)?;
    while !batch[0].is_empty() {
        let last = std::mem::take(&mut done);
        let work_on = || batch.par_iter().filter(|block| !block.is_empty()).map(|block| work(block)).collect();
        let (emitted, (worked, filled)) = rayon::join(
            || last.into_iter().try_for_each(&mut emit),
            || rayon::join(work_on, || fill(&mut next, length, &mut input)),
        );
        emitted.and(filled)?;
        done = worked;
        std::mem::swap(&mut batch, &mut next);
    }
    done.into_iter().try_for_each(emit)
}

/// Fills the blocks one after the other; at the end of the input some stay short or empty.
fn fill(blocks: &mut [Vec<u8>], length: usize, input: &mut impl Read) -> io::Result<()> {
    for block in blocks {
        block.resize(length, 0);
        let filled = read_full(input, block)?;
        block.truncate(filled);
    }
    Ok(())
}
