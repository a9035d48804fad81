//! The parallel walk over a context directory.

use std::io;
use std::path::PathBuf;

use cap_std::fs::{Dir, DirEntry};
use kiln_dockerfile::IgnoreFile;
use rayon::prelude::*;

use super::{Entry, EntryKind, stat};

type Failure = (PathBuf, io::Error);

/// Everything below `root` that is not ignored, in the order of a walk.
pub(super) fn scan(root: &Dir, ignored: Option<&IgnoreFile>) -> Result<Vec<Entry>, Failure> {
    let entries = root.entries().map_err(|error| (PathBuf::new(), error))?;
    directory(root, entries, &[], ignored)
}

fn directory(
    root: &Dir,
    entries: cap_std::fs::ReadDir,
    path: &[u8],
    ignored: Option<&IgnoreFile>,
) -> Result<Vec<Entry>, Failure> {
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
            one(root, &entry, path, ignored)
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    Ok(parts.into_iter().flatten().collect())
}

fn one(root: &Dir, entry: &DirEntry, path: Vec<u8>, ignored: Option<&IgnoreFile>) -> Result<Vec<Entry>, Failure> {
    let failed = |error| (stat::host_path(&path), error);
    let excluded = ignored.is_some_and(|ignored| ignored.excludes(&path));
    let kind = entry.file_type().map_err(failed)?;
    if excluded && !(kind.is_dir() && ignored.is_some_and(|ignored| ignored.may_include_below(&path))) {
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
        let mut entries = directory(root, below, &path, ignored)?;
        // An excluded directory is there only as the parent of exceptions.
        if !excluded || !entries.is_empty() {
            entries.insert(0, Entry { path, mode, mtime, kind: EntryKind::Directory });
        }
        return Ok(entries);
    }
    let kind = if kind.is_symlink() {
        EntryKind::Symlink(stat::read_link(root, &path).map_err(failed)?)
    } else if kind.is_file() {
        EntryKind::File(stat::stat(&metadata))
    } else {
        // Sockets, pipes and devices have no place in an image's context.
        return Ok(Vec::new());
    };
    Ok(vec![Entry { path, mode, mtime, kind }])
}
