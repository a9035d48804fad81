//! What a context holds, for people who wonder: `kiln build --print-context`.

use super::{Context, EntryKind};

/// One path of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub kind: ListedKind,
    /// In bytes; 0 for what is no file.
    pub size: u64,
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
        self.entries.iter().map(|entry| Listed {
            path: String::from_utf8_lossy(&entry.path).into_owned(),
            kind: match entry.kind {
                EntryKind::Directory => ListedKind::Directory,
                EntryKind::File { .. } | EntryKind::Member(_) => ListedKind::File,
                EntryKind::Symlink(_) => ListedKind::Symlink,
                EntryKind::Fifo | EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } | EntryKind::Socket => {
                    ListedKind::Other
                }
            },
            size: entry.size(),
        })
    }
}
