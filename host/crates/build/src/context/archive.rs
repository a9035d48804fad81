//! A tar as build context: its members are found through an index and read out of it, as if it had been unpacked into a
//! directory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use kiln_dockerfile::{IgnoreFile, Matched};
use kiln_image::{Change, Content, Node};
use kiln_types::paths;

use super::host_file::is_kept;
use super::{Entry, EntryKind, Member, below, find, is_below};
use crate::resolve::{self, Seen};

/// The files of a tar, or a single file that stands for a directory with only that in it.
pub struct Archive {
    /// As in a context.
    entries: Vec<Entry>,
    /// When it was made, if whoever gave it said so.
    time: Option<i64>,
}

impl Archive {
    /// Reads a tar in any compression; `None` if it is none. What has to be decompressed is kept in an unnamed file in
    /// `spool`.
    pub fn read(file: File, spool: &Path) -> Result<Option<Self>, kiln_image::Error> {
        let changes = kiln_image::archive_changes(file, b"", spool)?;
        Ok(changes.map(|changes| Self { entries: entries(changes), time: None }))
    }

    /// A directory with one file in it, of that time.
    pub fn of_file(name: &str, content: Content, mtime: i64) -> Self {
        let member = Member { content, xattrs: Default::default(), file: 0 };
        let kind = EntryKind::Member(member);
        Self { entries: vec![Entry { path: name.as_bytes().into(), mode: 0o600, mtime, kind }], time: None }
    }

    /// The same, made at that time.
    pub fn dated(self, time: i64) -> Self {
        Self { time: Some(time), ..self }
    }

    /// When it was made: as it was said, else that of its newest file.
    pub(crate) fn time(&self) -> Option<i64> {
        let files = self.entries.iter().filter(|entry| matches!(entry.kind, EntryKind::Member(_)));
        self.time.or_else(|| files.map(|entry| entry.mtime).max()).filter(|&time| time > 0)
    }

    /// The content of a file, links followed within the archive; `None` where there is no file.
    pub fn file(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let look = |path: &[u8]| {
            Ok::<_, std::convert::Infallible>(find(&self.entries, path).map(
                |number| match &self.entries[number].kind {
                    EntryKind::Directory => Seen::Directory,
                    EntryKind::Symlink(target) => Seen::Symlink(target.clone()),
                    _ => Seen::Other,
                },
            ))
        };
        let Ok(resolved) = resolve::resolve(path.as_bytes(), look) else { return Ok(None) };
        let found = find(&self.entries, &resolved.path).map(|number| &self.entries[number].kind);
        let Some(EntryKind::Member(member)) = found else { return Ok(None) };
        let mut bytes = Vec::new();
        member.content.open()?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!("{path} is longer than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// What lies in a directory of it; `None` where there is no such directory.
    pub fn directory(&self, path: &str) -> Option<Self> {
        let path = paths::clean(path);
        if !path.is_empty() && !matches!(self.entries[find(&self.entries, &path)?].kind, EntryKind::Directory) {
            return None;
        }
        let skipped = if path.is_empty() { 0 } else { path.len() + 1 };
        let inside = |entry: &Entry| Entry { path: entry.path[skipped..].into(), ..entry.clone() };
        Some(Self { entries: self.entries[below(&self.entries, &path)].iter().map(inside).collect(), time: self.time })
    }

    /// The entries that an ignore file leaves, as the walk over a directory finds them.
    pub(super) fn left_by(&self, ignored: Option<&IgnoreFile>) -> Vec<Entry> {
        let Some(ignored) = ignored else { return self.entries.clone() };
        let mut left: Vec<Entry> = Vec::new();
        // Directories that hold the entry at hand, from the top down; those excluded are there only for what is in them.
        let mut above: Vec<(&Entry, Matched, bool)> = Vec::new();
        for entry in &self.entries {
            while above.last().is_some_and(|(directory, ..)| !is_below(&entry.path, &directory.path)) {
                above.pop();
            }
            let parent = above.last().map(|(_, matched, _)| matched.clone()).unwrap_or_default();
            let (excluded, matched) = ignored.check(&entry.path, &parent);
            if !excluded {
                for (directory, _, there) in above.iter_mut().filter(|(.., there)| !there) {
                    left.push((*directory).clone());
                    *there = true;
                }
                left.push(entry.clone());
            }
            if matches!(entry.kind, EntryKind::Directory) {
                above.push((entry, matched, !excluded));
            }
        }
        left
    }
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("entries", &self.entries.len()).finish()
    }
}

/// Changes as entries; directories that the tar implies are added.
fn entries(changes: Vec<Change>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(changes.len());
    let mut files: HashMap<Vec<u8>, Member> = HashMap::new();
    for (number, Change { path, mut meta, node }) in changes.into_iter().enumerate() {
        for parent in paths::ancestors(&path) {
            if find(&entries, parent).is_none() {
                let kind = EntryKind::Directory;
                entries.push(Entry { path: parent.into(), mode: 0o755, mtime: 0, kind });
            }
        }
        meta.xattrs.retain(|name, _| is_kept(name));
        let kind = match node {
            Node::Directory { .. } => EntryKind::Directory,
            Node::File(content) => {
                let member = Member { content, xattrs: meta.xattrs, file: number as u64 };
                files.insert(path.clone(), member.clone());
                EntryKind::Member(member)
            }
            Node::HardLink(target) => match files.get(&target) {
                Some(member) => EntryKind::Member(member.clone()),
                None => continue,
            },
            Node::Symlink(target) => EntryKind::Symlink(target),
            Node::CharDevice { major, minor } => EntryKind::CharDevice { major, minor },
            Node::BlockDevice { major, minor } => EntryKind::BlockDevice { major, minor },
            Node::Fifo => EntryKind::Fifo,
            Node::Whiteout => continue,
        };
        entries.push(Entry { path: path.into(), mode: meta.mode, mtime: meta.mtime, kind });
    }
    entries
}
