//! What a layer did to the layers below it, path by path.

use kiln_image::{Entry, Found, Kind, Layer, Node, View, compare_paths};
use kiln_types::paths;
use serde::{Serialize, Serializer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChangeKind {
    Added,
    Changed,
    Removed,
    /// A directory that only holds what was done.
    #[serde(skip)]
    Kept,
}

impl ChangeKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Kept => "kept",
        }
    }

    pub(super) fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
            Self::Kept => ' ',
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Change {
    #[serde(rename = "Change")]
    pub(super) kind: ChangeKind,
    #[serde(serialize_with = "shown")]
    pub(super) path: Vec<u8>,
    /// `file`, `directory`, `symlink`, `link`, `device`, `fifo`.
    #[serde(rename = "Type")]
    pub(super) file_type: &'static str,
    /// Of the file; of what was removed, all that is gone.
    pub(super) size: u64,
    /// Of links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
}

fn shown<S: Serializer>(path: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&paths::display(path))
}

impl Change {
    pub(super) fn is_directory(&self) -> bool {
        self.file_type == "directory"
    }

    /// Whether it is about that path: also if a directory above it was removed.
    pub(super) fn touches(&self, path: &[u8]) -> bool {
        let above = || path.strip_prefix(self.path.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        self.kind != ChangeKind::Kept && (self.path == path || (self.kind == ChangeKind::Removed && above()))
    }
}

/// In the order of paths, parents first. Directories that were only passed through are among them, as kept.
pub(super) fn of_layer(layer: &Layer, below: &View) -> kiln_image::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for entry in layer.index.iter() {
        let entry = entry?;
        if entry.path.is_empty() {
            continue;
        }
        let before = below.lookup(entry.path)?;
        if let (Kind::Directory { opaque: true }, Some(before)) = (entry.kind, &before)
            && before.is_directory()
        {
            for hidden in below.read_dir(entry.path)? {
                if layer.index.get(&hidden.path)?.is_none() {
                    changes.push(removed(&hidden, below)?);
                }
            }
        }
        changes.push(match (entry.kind, before) {
            (Kind::Whiteout, Some(before)) => removed(&before, below)?,
            // It hides nothing here.
            (Kind::Whiteout, None) => continue,
            (_, before) => change(&entry, before.as_ref()),
        });
    }
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    Ok(changes)
}

fn change(entry: &Entry<'_>, before: Option<&Found>) -> Change {
    let same_directory = |before: &Found| {
        let meta = entry.meta();
        let same = (meta.mode, meta.uid, meta.gid) == (before.meta.mode, before.meta.uid, before.meta.gid);
        before.is_directory() && (entry.implied || (same && meta.xattrs == before.meta.xattrs))
    };
    let kind = match before {
        None => ChangeKind::Added,
        Some(before) if entry.is_directory() && same_directory(before) => ChangeKind::Kept,
        Some(_) => ChangeKind::Changed,
    };
    let (file_type, size, target) = match entry.kind {
        Kind::Directory { .. } => ("directory", 0, None),
        Kind::File { size, .. } => ("file", size, None),
        Kind::Symlink(target) => ("symlink", 0, Some(String::from_utf8_lossy(target).into_owned())),
        Kind::HardLink(target) => ("link", 0, Some(paths::display(target))),
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => ("device", 0, None),
        Kind::Fifo => ("fifo", 0, None),
        Kind::Whiteout => ("whiteout", 0, None),
    };
    Change { kind, path: entry.path.to_vec(), file_type, size, target }
}

fn removed(found: &Found, below: &View) -> kiln_image::Result<Change> {
    let mut size = 0;
    for gone in below.walk(&found.path) {
        if let Node::File(content) = gone?.node {
            size += content.size();
        }
    }
    let file_type = match &found.node {
        Node::Directory { .. } => "directory",
        Node::File(_) => "file",
        Node::HardLink(_) => "link",
        Node::Symlink(_) => "symlink",
        Node::CharDevice { .. } | Node::BlockDevice { .. } => "device",
        Node::Fifo => "fifo",
        Node::Whiteout => "whiteout",
    };
    Ok(Change { kind: ChangeKind::Removed, path: found.path.clone(), file_type, size, target: None })
}
