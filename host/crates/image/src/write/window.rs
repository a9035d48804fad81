//! Small contents that were stored before: those that lie close together in a file are read at once.

use std::fs::File;
use std::sync::Arc;

use super::segment::{BLOCK_SIZE, SMALL};
use crate::change::{Change, Node};
use crate::content::{Content, read_file_at};

/// What lies between two contents is read along up to this length: in a layer it is hardly ever more than a header.
const GAP: u64 = 8 << 10;

/// The bytes that were read last.
#[derive(Default)]
pub(super) struct Window {
    file: Option<Arc<File>>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes of a content that is small and stored; `None` where they cannot be had. What the changes `next` need is
    /// read with it.
    pub(super) fn get(&mut self, content: &Content, next: &[Change]) -> Option<&[u8]> {
        let stored = content.stored().filter(|_| content.size() <= SMALL)?;
        let size = usize::try_from(content.size()).ok()?;
        let is_same = self.file.as_ref().is_some_and(|file| Arc::ptr_eq(file, stored.file));
        let inside = |start: u64, bytes: &[u8]| {
            let from = usize::try_from(stored.offset.checked_sub(start)?).ok()?;
            (from.checked_add(size)? <= bytes.len()).then_some(from)
        };
        let from = match inside(self.start, &self.bytes).filter(|_| is_same) {
            Some(from) => from,
            None => {
                self.fill(stored.file, stored.offset, end_of_run(content, next)?);
                inside(self.start, &self.bytes)?
            }
        };
        Some(&self.bytes[from..from + size])
    }

    /// Holds less where the file ends or cannot be read.
    fn fill(&mut self, file: &Arc<File>, start: u64, end: u64) {
        (self.file, self.start) = (Some(Arc::clone(file)), start);
        self.bytes.resize((end - start) as usize, 0);
        let mut filled = 0;
        while filled < self.bytes.len() {
            match read_file_at(file, &mut self.bytes[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.bytes.truncate(filled);
    }
}

/// Where the contents end that are stored after this one, close to each other, and are needed next.
fn end_of_run(content: &Content, next: &[Change]) -> Option<u64> {
    let first = content.stored()?;
    let mut end = first.offset.checked_add(content.size())?;
    let contents =
        next.iter().filter_map(|change| if let Node::File(content) = &change.node { Some(content) } else { None });
    for content in contents {
        let Some(stored) = content.stored().filter(|stored| Arc::ptr_eq(stored.file, first.file)) else { continue };
        let is_next = stored.offset.checked_sub(end).is_some_and(|gap| gap <= GAP);
        match stored.offset.checked_add(content.size()) {
            Some(further) if is_next && further - first.offset <= BLOCK_SIZE as u64 => end = further,
            _ => break,
        }
    }
    Some(end)
}
