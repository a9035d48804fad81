//! What every system has, through cap-std.

use std::io;

use cap_std::fs::{Dir, DirEntry};

use super::{Found, Listed, unless_gone};
use crate::context::{EntryKind, stat};

pub(in crate::context) struct Directory {
    names: Vec<(Vec<u8>, DirEntry)>,
    directory: Dir,
}

impl Directory {
    pub(in crate::context) fn root(root: &Dir) -> io::Result<Self> {
        Self::read(root.try_clone()?)
    }

    /// The directory behind a name; `None` where it is gone.
    pub(in crate::context) fn below(&self, number: usize) -> io::Result<Option<Self>> {
        unless_gone(self.names[number].1.open_dir().and_then(Self::read))
    }

    fn read(directory: Dir) -> io::Result<Self> {
        let named = |entry: io::Result<DirEntry>| entry.map(|entry| (stat::name_bytes(&entry.file_name()), entry));
        let mut names = directory.entries()?.map(named).collect::<io::Result<Vec<_>>>()?;
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { names, directory })
    }

    pub(in crate::context) fn len(&self) -> usize {
        self.names.len()
    }

    pub(in crate::context) fn name(&self, number: usize) -> &[u8] {
        &self.names[number].0
    }

    pub(in crate::context) fn listed(&self, number: usize) -> Listed {
        match self.names[number].1.file_type() {
            Ok(kind) if kind.is_dir() => Listed::Directory,
            Ok(_) => Listed::NotADirectory,
            Err(_) => Listed::Unknown,
        }
    }

    /// What is behind a name; `None` where it is gone.
    pub(in crate::context) fn look(&self, number: usize) -> io::Result<Option<Found>> {
        let (name, entry) = &self.names[number];
        let Some(seen) = unless_gone(entry.metadata())? else { return Ok(None) };
        let kind = if seen.is_dir() {
            EntryKind::Directory
        } else if seen.is_symlink() {
            let target = self.directory.read_link_contents(stat::host_path(name));
            let Some(target) = unless_gone(target)? else { return Ok(None) };
            EntryKind::Symlink(stat::name_bytes(target.as_os_str()))
        } else if seen.is_file() {
            // Two names of one file become two files there.
            EntryKind::File { stat: stat::stat(&seen), linked: false }
        } else {
            EntryKind::Socket
        };
        let (mode, mtime) = stat::mode_and_mtime(&seen);
        Ok(Some(Found { mode, mtime, kind }))
    }
}
