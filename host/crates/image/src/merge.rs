//! Two change sets, one made after the other, as one.

use std::collections::{BTreeMap, HashMap};

use crate::change::{Change, Node, compare_paths, is_below};
use crate::content::Content;
use crate::meta::Meta;

/// What `upper` makes of the files that `lower` has changed: over any layers, the result shows what both show one over
/// the other.
pub fn merge_changes(lower: Vec<Change>, upper: Vec<Change>) -> Vec<Change> {
    let mut merged: BTreeMap<Key, Entry> = BTreeMap::new();
    for (generation, changes) in [lower, upper].into_iter().enumerate() {
        for entry in entries(changes, generation) {
            put(&mut merged, entry);
        }
    }
    linked(merged.into_values())
}

/// Sorted as change sets are.
#[derive(PartialEq, Eq)]
struct Key(Vec<u8>);

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        compare_paths(&self.0, &other.0)
    }
}

struct Entry {
    change: Change,
    /// The same for all names of one file: the change set, and the path of its first name there.
    file: Option<(usize, Vec<u8>)>,
}

/// Every name of a file with its content: which of them is the first may change.
fn entries(changes: Vec<Change>, generation: usize) -> Vec<Entry> {
    let mut files: HashMap<Vec<u8>, (Content, Meta)> = HashMap::new();
    let mut entries = Vec::with_capacity(changes.len());
    for mut change in changes {
        let mut file = None;
        match &change.node {
            Node::File(content) => {
                files.insert(change.path.clone(), (content.clone(), change.meta.clone()));
                file = Some((generation, change.path.clone()));
            }
            Node::HardLink(target) => {
                // One that leads nowhere is as little a file here as in a layer.
                let Some((content, meta)) = files.get(target).cloned() else { continue };
                file = Some((generation, target.clone()));
                (change.node, change.meta) = (Node::File(content), meta);
            }
            _ => {}
        }
        entries.push(Entry { change, file });
    }
    entries
}

fn put(merged: &mut BTreeMap<Key, Entry>, mut entry: Entry) {
    let path = entry.change.path.clone();
    let earlier = merged.get(&Key(path.clone())).map(|earlier| &earlier.change.node);
    let clears = match (&mut entry.change.node, earlier) {
        (Node::Directory { opaque }, Some(Node::Directory { opaque: earlier })) => {
            let clears = *opaque;
            *opaque |= earlier;
            clears
        }
        // What was taken away below stays away.
        (Node::Directory { opaque }, Some(_)) => {
            *opaque = true;
            true
        }
        (Node::Directory { opaque }, None) => *opaque,
        _ => true,
    };
    if clears {
        let from = Key(path.clone());
        let inside: Vec<Vec<u8>> = merged
            .range(from..)
            .map(|(key, _)| &key.0)
            .filter(|key| **key != path)
            .take_while(|key| is_below(key, &path))
            .cloned()
            .collect();
        for key in inside {
            merged.remove(&Key(key));
        }
    }
    merged.insert(Key(path), entry);
}

/// Of each file the first name has the content again, and the others lead there.
fn linked(entries: impl Iterator<Item = Entry>) -> Vec<Change> {
    let mut first_names: HashMap<(usize, Vec<u8>), Vec<u8>> = HashMap::new();
    entries
        .map(|Entry { mut change, file }| {
            if let Some(file) = file {
                match first_names.get(&file) {
                    Some(first) => change.node = Node::HardLink(first.clone()),
                    None => drop(first_names.insert(file, change.path.clone())),
                }
            }
            change
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Layer, View, write_layer};

    fn layer(changes: Vec<Change>) -> Arc<Layer> {
        let file = tempfile::tempfile().expect("temporary file");
        let written = write_layer(changes, &file).expect("written");
        Arc::new(Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(file), index: written.index })
    }

    fn shown(layers: Vec<Arc<Layer>>) -> Vec<String> {
        let view = View::new(layers);
        let mut inodes = HashMap::new();
        let mut describe = |found: crate::Found| {
            let count = inodes.len();
            let inode = *inodes.entry(found.inode).or_insert(count);
            let path = String::from_utf8_lossy(&found.path).into_owned();
            match found.node {
                Node::File(content) => format!("{path} {:o} {} {inode}", found.meta.mode, content.size()),
                node => format!("{path} {:o} {node:?}", found.meta.mode),
            }
        };
        view.walk(b"").map(|found| describe(found.expect("readable"))).collect()
    }

    fn change(path: &str, node: Node, mode: u32) -> Change {
        Change { path: path.as_bytes().to_vec(), meta: Meta { mode, ..Meta::default() }, node }
    }

    /// A change set that a step could have made: sorted, parents being directories.
    fn change_sets() -> impl Strategy<Value = Vec<Change>> {
        let paths = ["a", "a/b", "a/b/c", "a/d", "a-", "e", "e/b"];
        let kinds = proptest::collection::vec(0_usize..8, paths.len());
        (kinds, 0_u32..8).prop_map(move |(kinds, mode)| {
            let mut changes: Vec<Change> = Vec::new();
            for (path, kind) in paths.iter().zip(kinds) {
                let parent = path.rsplit_once('/').map(|(parent, _)| parent.as_bytes());
                let fits = parent.is_none_or(|parent| {
                    changes.iter().any(|change| change.path == parent && change.node.is_directory())
                });
                if !fits {
                    continue;
                }
                let first = changes.iter().find(|change| matches!(change.node, Node::File(_)));
                let node = match (kind, first) {
                    (0, _) => Node::Whiteout,
                    (1, _) => Node::File(Content::bytes(vec![b'x'; path.len() + mode as usize])),
                    (2, Some(first)) => Node::HardLink(first.path.clone()),
                    (3, _) => Node::Directory { opaque: true },
                    (4 | 5, _) => Node::Directory { opaque: false },
                    (6, _) => Node::Symlink(b"x".to_vec()),
                    _ => continue,
                };
                changes.push(change(path, node, 0o700 + mode));
            }
            changes
        })
    }

    proptest! {
        #[test]
        fn one_shows_what_two_show(base in change_sets(), lower in change_sets(), upper in change_sets()) {
            let two = [&base, &lower, &upper].map(|changes| layer(changes.clone()));
            let merged = merge_changes(lower, upper);
            let one = vec![layer(base), layer(merged.clone())];
            prop_assert_eq!(shown(two.to_vec()), shown(one), "{:?}", merged);
        }
    }

    #[test]
    fn a_file_keeps_its_content_when_its_first_name_goes() {
        let text = Node::File(Content::bytes(b"text".to_vec()));
        let lower = vec![change("a", text, 0o644), change("b", Node::HardLink(b"a".to_vec()), 0)];
        let merged = merge_changes(lower, vec![change("a", Node::Whiteout, 0)]);
        assert!(matches!(merged[0].node, Node::Whiteout));
        assert!(matches!(&merged[1].node, Node::File(content) if content.size() == 4));
        assert_eq!(merged[1].meta.mode, 0o644);
    }
}
