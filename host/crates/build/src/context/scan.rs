//! The parallel walk over a context directory.

use std::io;
use std::path::PathBuf;

use cap_std::fs::{Dir, DirEntry};
use kiln_dockerfile::{IgnoreFile, Matched};
use rayon::prelude::*;

use super::{Entry, EntryKind, stat};

type Failure = (PathBuf, io::Error);

/// Everything below `root` that is not ignored, in the order of a walk.
pub(super) fn scan(root: &Dir, ignored: Option<&IgnoreFile>) -> Result<Vec<Entry>, Failure> {
    let entries = root.entries().map_err(|error| (PathBuf::new(), error))?;
    Scan { root, ignored }.directory(entries, &[], &Matched::default())
}

struct Scan<'a> {
    root: &'a Dir,
    ignored: Option<&'a IgnoreFile>,
}

impl Scan<'_> {
    /// What is in the directory at `path`; `matched` are the patterns that matched it.
    fn directory(&self, entries: cap_std::fs::ReadDir, path: &[u8], matched: &Matched) -> Result<Vec<Entry>, Failure> {
        let failed = |error| (stat::host_path(path), error);
        let mut names = entries
            .map(|entry| entry.map(|entry| (stat::name_bytes(&entry.file_name()), entry)))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?;
        names.sort_by(|a, b| a.0.cmp(&b.0));
        let parts = names
            .into_par_iter()
            .map(|(name, entry)| {
                let path = if path.is_empty() { name } else { [path, &name].join(&b'/') };
                self.one(&entry, path, matched)
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn one(&self, entry: &DirEntry, path: Vec<u8>, parent: &Matched) -> Result<Vec<Entry>, Failure> {
        let failed = |error| (stat::host_path(&path), error);
        let (excluded, matched) = self.ignored.map_or_else(Default::default, |ignored| ignored.check(&path, parent));
        let kind = entry.file_type().map_err(failed)?;
        if excluded && !(kind.is_dir() && self.ignored.is_some_and(|ignored| ignored.may_reinclude(&path))) {
            return Ok(Vec::new());
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Gone between the listing and the look: as if it had never been there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let (mode, mtime) = stat::mode_and_mtime(&metadata);
        if kind.is_dir() {
            let below = entry.open_dir().and_then(|dir| dir.entries()).map_err(failed)?;
            let mut entries = self.directory(below, &path, &matched)?;
            // An excluded directory is there only as the parent of exceptions.
            if !excluded || !entries.is_empty() {
                entries.insert(0, Entry { path, mode, mtime, kind: EntryKind::Directory });
            }
            return Ok(entries);
        }
        let kind = if kind.is_symlink() {
            EntryKind::Symlink(stat::read_link(self.root, &path).map_err(failed)?)
        } else if kind.is_file() {
            EntryKind::File { stat: stat::stat(&metadata), linked: stat::has_other_names(&metadata) }
        } else {
            stat::special(&metadata)
        };
        Ok(vec![Entry { path, mode, mtime, kind }])
    }
}
