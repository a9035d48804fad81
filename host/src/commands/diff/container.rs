//! What a container has changed, in the lines of `docker diff`.

use std::collections::BTreeMap;
use std::io::Write;

use kiln_container::Container;
use kiln_image::{Change, Found, Node, View, compare_paths};
use kiln_types::paths;
use serde_json::json;

/// Overlayfs copies files up for less than a change: those that are what they were are no changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Added,
    Changed,
    Deleted,
}

/// By path, whose bytes are also the order in which they are shown.
pub(super) type Changes = BTreeMap<Vec<u8>, Kind>;

/// What the changes of a container do to what its image has. What is in a directory changes that directory.
pub(super) fn compare(changes: &[Change], image: &View) -> anyhow::Result<Changes> {
    let mut found = Changes::new();
    for change in changes {
        let before = image.lookup(&change.path)?;
        let kind = match (&before, &change.node) {
            (None, Node::Whiteout) => None,
            (None, _) => Some(Kind::Added),
            (Some(_), Node::Whiteout) => Some(Kind::Deleted),
            (Some(before), _) => is_different(before, change, changes).then_some(Kind::Changed),
        };
        if let Some(kind) = kind {
            found.insert(change.path.clone(), kind);
        }
        // What was in the directory that this one, or something else, stands in the place of.
        if let Some(Found { node: Node::Directory { .. }, .. }) = before
            && !matches!(change.node, Node::Directory { opaque: false } | Node::Whiteout)
        {
            for child in image.read_dir(&change.path)? {
                found.insert(child.path, Kind::Deleted);
            }
        }
    }
    let inside: Vec<Vec<u8>> = found.keys().cloned().collect();
    for path in inside.iter().flat_map(|path| paths::ancestors(path)) {
        found.entry(path.to_vec()).or_insert(Kind::Changed);
    }
    Ok(found)
}

/// As Docker compares: size and time of files, mode, owner and capabilities of everything.
fn is_different(before: &Found, change: &Change, changes: &[Change]) -> bool {
    let size = |node: &Node| match node {
        Node::File(content) => Some(content.size()),
        _ => None,
    };
    // Another name of a file that stands before it has that one's metadata.
    let (meta, node) = match &change.node {
        Node::HardLink(target) => changes
            .binary_search_by(|other| compare_paths(&other.path, target))
            .map_or((&change.meta, &change.node), |first| (&changes[first].meta, &changes[first].node)),
        node => (&change.meta, node),
    };
    let capability = |meta: &kiln_image::Meta| meta.xattrs.get(&b"security.capability"[..]).cloned();
    let same_kind = match (&before.node, node) {
        (Node::Symlink(a), Node::Symlink(b)) => a == b,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    };
    let old = &before.meta;
    !same_kind
        || (old.mode, old.uid, old.gid) != (meta.mode, meta.uid, meta.gid)
        || capability(old) != capability(meta)
        || (!node.is_directory() && (old.mtime != meta.mtime || size(&before.node) != size(node)))
        || matches!(node, Node::Directory { opaque: true })
}

pub(super) fn write(container: &Container, changes: &Changes, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        let file = |(path, kind): (&Vec<u8>, &Kind)| json!({ "path": paths::display(path), "change": kind.name() });
        let files: Vec<_> = changes.iter().map(file).collect();
        let document = json!({ "container": container.id(), "name": container.name(), "files": files });
        serde_json::to_writer_pretty(&mut *out, &document)?;
        return Ok(writeln!(out)?);
    }
    for (path, kind) in changes {
        let path: String = paths::display(path).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        writeln!(out, "{} {path}", kind.letter())?;
    }
    Ok(())
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Changed => 'C',
            Self::Deleted => 'D',
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Deleted => "removed",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kiln_image::{Content, Layer, Meta};

    use super::*;

    fn change(path: &str, node: Node) -> Change {
        let mode = if node.is_directory() { 0o755 } else { 0o644 };
        Change { path: path.as_bytes().to_vec(), meta: Meta { mode, mtime: 5, ..Meta::default() }, node }
    }

    fn file(text: &'static str) -> Node {
        Node::File(Content::bytes(text))
    }

    #[test]
    fn changes_are_told_as_docker_does() {
        let directory = |opaque| Node::Directory { opaque };
        let image = vec![
            change("etc", directory(false)),
            change("etc/a", file("a")),
            change("etc/b", file("b")),
            change("gone", directory(false)),
            change("gone/x", file("x")),
            change("new", directory(false)),
            change("new/old", file("x")),
            change("same", directory(false)),
            change("same/f", file("f")),
        ];
        let tar = tempfile::tempfile().expect("a temporary file");
        let written = kiln_image::write_layer(image, &tar).expect("written");
        let layer = Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(tar), index: written.index };
        let view = View::new(vec![Arc::new(layer)]);
        let changes = [
            change("etc", directory(false)),
            change("etc/a", file("longer")),
            change("etc/b", Node::Whiteout),
            change("etc/c", file("c")),
            change("etc/never", Node::Whiteout),
            change("gone", Node::Whiteout),
            change("new", directory(true)),
            change("new/file", file("y")),
            change("same", directory(false)),
            change("same/f", file("f")),
            change("top", directory(false)),
            change("top/deep", directory(false)),
        ];
        let found = compare(&changes, &view).expect("compared");
        let lines: Vec<String> =
            found.iter().map(|(path, kind)| format!("{} {}", kind.letter(), paths::display(path))).collect();
        assert_eq!(
            lines,
            [
                "C /etc",
                "C /etc/a",
                "D /etc/b",
                "A /etc/c",
                "D /gone",
                "C /new",
                "A /new/file",
                "D /new/old",
                "A /top",
                "A /top/deep"
            ]
        );
    }
}
