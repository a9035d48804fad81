//! Input cut into blocks that are compressed on their own, on all processors, and written in their order: so the bytes
//! that come out depend on the input only.

use std::io::{self, Read};

use rayon::prelude::*;

use crate::content::read_full;

/// Bytes of input that are worked on at once, and as many that are read meanwhile.
const BATCH: usize = 16 << 20;

/// Hands every block's result to `emit`. Only the last block is shorter than `length`.
pub(super) fn in_blocks<T: Send>(
    mut input: impl Read + Send,
    length: usize,
    work: impl Fn(&[u8]) -> T + Sync,
    mut emit: impl FnMut(T) -> io::Result<()>,
) -> io::Result<()> {
    let width = (rayon::current_num_threads() * 2).min(BATCH / length);
    let (mut batch, mut next) = (vec![Vec::new(); width], vec![Vec::new(); width]);
    fill(&mut batch, length, &mut input)?;
    while !batch[0].is_empty() {
        let (done, filled) = rayon::join(
            || batch.par_iter().filter(|block| !block.is_empty()).map(|block| work(block)).collect::<Vec<_>>(),
            || fill(&mut next, length, &mut input),
        );
        done.into_iter().try_for_each(&mut emit)?;
        filled?;
        std::mem::swap(&mut batch, &mut next);
    }
    Ok(())
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
