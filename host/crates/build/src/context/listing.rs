//! What a context holds, for people who wonder: `kiln build --print-context`.

use kiln_types::paths;

use super::{Context, ContextSource, Entry, EntryKind};
use crate::Error;

/// One path of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub kind: ListedKind,
    /// In bytes; 0 for what is no file.
    pub size: u64,
}

/// What the ignore file leaves out; of a directory that is left out as a whole only itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub path: String,
    pub kind: ListedKind,
    /// Of the ignore file.
    pub line: usize,
    pub pattern: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedKind {
    Directory,
    File,
    Symlink,
    Other,
}

impl Context {
    /// Everything that COPY and ADD can take, in the order of paths.
    pub fn list(&self) -> impl Iterator<Item = Listed> {
        self.entries().iter().map(|entry| Listed { path: text(&entry.path), kind: kind(entry), size: entry.size() })
    }

    /// What is in `source`, which the context was made of, and not in the context, in the order of paths.
    pub fn left_out(&self, source: &ContextSource) -> Result<Vec<LeftOut>, Error> {
        let Some(ignored) = &self.ignored else { return Ok(Vec::new()) };
        let everything = Self::as_it_is(source, None, &self.files.cancel)?;
        let mut found: Vec<LeftOut> = Vec::new();
        for entry in everything.entries() {
            let parent = paths::parent(&entry.path).unwrap_or_default();
            let is_told = !parent.is_empty() && self.get(parent).is_none();
            if is_told || self.get(&entry.path).is_some() {
                continue;
            }
            // What has come since the first look is left out by nothing.
            if let Some((line, pattern)) = ignored.excluded_by(&entry.path) {
                let (path, kind, pattern) = (text(&entry.path), kind(entry), pattern.to_owned());
                found.push(LeftOut { path, kind, line, pattern });
            }
        }
        Ok(found)
    }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn kind(entry: &Entry) -> ListedKind {
    match entry.kind {
        EntryKind::Directory => ListedKind::Directory,
        EntryKind::File { .. } | EntryKind::Member(_) => ListedKind::File,
        EntryKind::Symlink(_) => ListedKind::Symlink,
        EntryKind::Fifo | EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } | EntryKind::Socket => {
            ListedKind::Other
        }
    }
}
