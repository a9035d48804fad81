//! The parallel walk over a context directory.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use cap_std::fs::Dir;
use kiln_dockerfile::{IgnoreFile, Matched};
use rayon::prelude::*;

use super::directory::{Directory, Found, Listed};
use super::{Entry, EntryKind, stat};

type Failure = (PathBuf, io::Error);

/// As many names of one directory are looked at by one thread; fewer are not worth the start of others.
const TOGETHER: usize = 64;

/// Everything below `root` that is not ignored, in the order of a walk.
pub(super) fn scan(root: &Dir, ignored: Option<&IgnoreFile>) -> Result<Vec<Entry>, Failure> {
    let directory = Directory::root(root).map_err(|error| (PathBuf::new(), error))?;
    let Pieces(mut pieces) = Scan { ignored }.directory(&directory, &[], &Matched::default())?;
    if pieces.len() == 1 {
        return Ok(pieces.swap_remove(0));
    }
    let mut entries = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
    pieces.iter_mut().for_each(|piece| entries.append(piece));
    Ok(entries)
}

/// A list that others are put behind without copying them.
#[derive(Default)]
struct Pieces(Vec<Vec<Entry>>);

impl Pieces {
    fn push(&mut self, entry: Entry) {
        match self.0.last_mut() {
            Some(last) => last.push(entry),
            None => self.0.push(vec![entry]),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }
}

struct Scan<'a> {
    ignored: Option<&'a IgnoreFile>,
}

impl Scan<'_> {
    /// What is in the directory at `path`; `matched` are the patterns that matched it.
    fn directory(&self, directory: &Directory, path: &[u8], matched: &Matched) -> Result<Pieces, Failure> {
        // A directory is enough for one thread.
        let is_enough = |number| directory.listed(number) != Listed::NotADirectory;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for number in 0..directory.len() {
            let end = number + 1;
            if is_enough(number) || end - start == TOGETHER || end == directory.len() {
                ranges.push(start..end);
                start = end;
            }
        }
        if let [range] = &ranges[..] {
            return self.some(directory, range.clone(), path, matched);
        }
        let some = |range| self.some(directory, range, path, matched);
        let parts = ranges.into_par_iter().map(some).collect::<Result<Vec<_>, Failure>>()?;
        Ok(Pieces(parts.into_iter().flat_map(|Pieces(pieces)| pieces).collect()))
    }

    fn some(
        &self,
        directory: &Directory,
        numbers: Range<usize>,
        above: &[u8],
        matched: &Matched,
    ) -> Result<Pieces, Failure> {
        let mut found = Pieces(vec![Vec::with_capacity(numbers.len())]);
        let mut path = above.to_vec();
        if !above.is_empty() {
            path.push(b'/');
        }
        let prefix = path.len();
        for number in numbers {
            path.truncate(prefix);
            path.extend_from_slice(directory.name(number));
            self.one(directory, number, &path, matched, &mut found)?;
        }
        Ok(found)
    }

    fn one(
        &self,
        directory: &Directory,
        number: usize,
        path: &[u8],
        parent: &Matched,
        found: &mut Pieces,
    ) -> Result<(), Failure> {
        let failed = |error| (stat::host_path(path), error);
        let (excluded, matched) = self.ignored.map_or_else(Default::default, |ignored| ignored.check(path, parent));
        let may_hold_exceptions = || self.ignored.is_some_and(|ignored| ignored.may_reinclude(path));
        if excluded && (directory.listed(number) == Listed::NotADirectory || !may_hold_exceptions()) {
            return Ok(());
        }
        let Some(Found { mode, mtime, kind }) = directory.look(number).map_err(failed)? else { return Ok(()) };
        if !matches!(kind, EntryKind::Directory) {
            if !excluded {
                found.push(Entry { path: path.into(), mode, mtime, kind });
            }
            return Ok(());
        }
        let Some(below) = directory.below(number).map_err(failed)? else { return Ok(()) };
        let below = self.directory(&below, path, &matched)?;
        // An excluded directory is there only as the parent of exceptions.
        if !excluded || !below.is_empty() {
            found.push(Entry { path: path.into(), mode, mtime, kind });
        }
        found.0.extend(below.0);
        Ok(())
    }
}
