//! Writing a layer and reading it back is the identity, whatever the change set.

#[path = "erofs/reader.rs"]
mod reader;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read as _, Seek as _};
use std::sync::Arc;

use kiln_image::{Change, Content, Entry, Index, Kind, Layer, Meta, Node, Written, compare_paths, write_layer};
use kiln_types::Digest;
use proptest::prelude::*;

fn write(changes: Vec<Change>) -> (Written, File) {
    let file = tempfile::tempfile().expect("temporary file");
    let written = write_layer(changes, &file).expect("a valid change set");
    (written, file)
}

fn read_again(mut file: &File) -> (Index, Digest, u64) {
    file.rewind().expect("rewind");
    Index::from_tar(file).expect("own tar")
}

fn change(path: &str, node: Node) -> Change {
    Change { path: path.into(), meta: Meta { mode: 0o644, mtime: 7, ..Meta::default() }, node }
}

/// Everything an entry says, in one comparable form; contents by their bytes.
fn describe(layer: &Layer, entry: &Entry<'_>) -> String {
    let mut content = Vec::new();
    layer.content(entry).open().expect("open").read_to_end(&mut content).expect("read");
    let kind = match entry.kind {
        Kind::File { .. } => "file".to_owned(),
        kind => format!("{kind:?}"),
    };
    format!("{:?} {kind} {:?} {:?}", entry.path, entry.meta(), Digest::of(content))
}

fn describe_change(changes: &BTreeMap<Vec<u8>, Change>, change: &Change) -> String {
    let target = match &change.node {
        Node::HardLink(target) => &changes[target],
        _ => change,
    };
    let mut bytes = Vec::new();
    if let Node::File(content) = &target.node {
        content.open().expect("open").read_to_end(&mut bytes).expect("read");
    }
    let mut meta = target.meta.clone();
    let kind = match &change.node {
        Node::Directory { opaque } => format!("{:?}", Kind::Directory { opaque: *opaque }),
        Node::File(_) => "file".to_owned(),
        Node::Symlink(to) => {
            meta.mode = 0o777;
            format!("{:?}", Kind::Symlink(to))
        }
        Node::HardLink(to) => format!("{:?}", Kind::HardLink(to)),
        Node::CharDevice { major, minor } => format!("{:?}", Kind::CharDevice { major: *major, minor: *minor }),
        Node::BlockDevice { major, minor } => format!("{:?}", Kind::BlockDevice { major: *major, minor: *minor }),
        Node::Fifo => format!("{:?}", Kind::Fifo),
        Node::Whiteout => {
            meta = Meta::default();
            format!("{:?}", Kind::Whiteout)
        }
    };
    format!("{:?} {kind} {meta:?} {:?}", change.path, Digest::of(bytes))
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c.-]{1,3}".prop_map(String::into_bytes),
        1 => "[a-z]{90,160}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(1..=255u8, 1..4),
    ]
    .prop_map(|mut name| {
        name.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'_');
        if name.starts_with(b".wh.") || name == b"." || name == b".." { b"dot".to_vec() } else { name }
    })
}

fn metas() -> impl Strategy<Value = Meta> {
    let ids = || prop_oneof![0..3u32, any::<u32>()];
    let mtime = prop_oneof![Just(0), -5..5i64, any::<i64>()];
    let prefix = prop_oneof![1 => Just(""), 5 => Just("user."), 5 => Just("security.")];
    let key = proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'.'), 0x80..=0xffu8], 1..5);
    let key = (prefix, key).prop_map(|(prefix, key)| [prefix.as_bytes(), &key].concat());
    let xattrs = proptest::collection::btree_map(key, proptest::collection::vec(any::<u8>(), 0..20), 0..3);
    (0..=0o7777u32, ids(), ids(), mtime, xattrs).prop_map(|(mode, uid, gid, mtime, xattrs)| Meta {
        mode,
        uid,
        gid,
        mtime,
        xattrs,
    })
}

fn nodes() -> impl Strategy<Value = Node> {
    let small = || 0..0o7_777_777u32;
    prop_oneof![
        3 => any::<bool>().prop_map(|opaque| Node::Directory { opaque }),
        3 => proptest::collection::vec(any::<u8>(), 0..1500).prop_map(|bytes| Node::File(Content::bytes(bytes))),
        1 => (any::<u8>(), 200_000..1_500_000usize).prop_map(|(byte, size)| Node::File(Content::bytes(vec![byte; size]))),
        1 => proptest::collection::vec(1..=255u8, 0..130).prop_map(Node::Symlink),
        1 => (small(), small()).prop_map(|(major, minor)| Node::CharDevice { major, minor }),
        1 => (small(), small()).prop_map(|(major, minor)| Node::BlockDevice { major, minor }),
        1 => Just(Node::Fifo),
        1 => Just(Node::Whiteout),
        // Made to point at an earlier file below.
        1 => Just(Node::HardLink(Vec::new())),
    ]
}

prop_compose! {
    fn change_sets()(entries in proptest::collection::vec((proptest::collection::vec(names(), 0..4), metas(), nodes()), 0..25)) -> Vec<Change> {
        let mut changes: Vec<Change> =
            entries.into_iter().map(|(path, meta, node)| Change { path: path.join(&b'/'), meta, node }).collect();
        changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
        changes.dedup_by(|a, b| a.path == b.path);
        let mut kept: Vec<Change> = Vec::new();
        let mut files: Vec<Vec<u8>> = Vec::new();
        for mut change in changes {
            if let Node::HardLink(target) = &mut change.node {
                match files.last() {
                    Some(file) => target.clone_from(file),
                    None => change.node = Node::Fifo,
                }
            }
            if change.path.is_empty() {
                change.node = Node::Directory { opaque: false };
            }
            let inside = |other: &&Change| change.path.starts_with(&[&other.path[..], b"/"].concat());
            if kept.iter().rev().find(inside).is_some_and(|parent| !parent.node.is_directory()) {
                continue;
            }
            if matches!(change.node, Node::File(_)) {
                files.push(change.path.clone());
            }
            kept.push(change);
        }
        kept
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn write_then_read_is_the_identity(changes in change_sets()) {
        let (written, file) = write(changes.clone());
        let (index, diff_id, size) = read_again(&file);
        prop_assert_eq!((diff_id, size), (written.diff_id, written.size));
        prop_assert!(index.to_bytes().expect("whole") == written.index.to_bytes().expect("whole"));
        prop_assert_eq!(Index::read_header(&index.to_bytes().expect("whole")[..]).expect("own header"), index.header());
        prop_assert_eq!(file.metadata().expect("metadata").len(), size);
        let kept = index.to_bytes().expect("whole");
        let has_image = reader::check(&kept, &index, size);
        prop_assert_eq!(index.check_image(&kept[..]).expect("own index"), has_image);
        let loaded = Index::read(Cursor::new(kept)).expect("own index");

        let layer = Layer { diff_id, size, tar: Arc::new(file), index: loaded };
        let entries: Vec<_> = layer.index.iter().map(|entry| entry.expect("whole")).collect();
        let listed: Vec<_> = entries.iter().filter(|entry| !entry.implied).map(|entry| describe(&layer, entry)).collect();
        let by_path: BTreeMap<_, _> = changes.iter().map(|change| (change.path.clone(), change.clone())).collect();
        let expected: Vec<_> = changes.iter().map(|change| describe_change(&by_path, change)).collect();
        prop_assert_eq!(listed, expected);

        for entry in &entries {
            let found = layer.index.get(entry.path).expect("whole").expect("an entry is found by its path");
            prop_assert_eq!(found.number, entry.number);
            let children: Vec<_> = layer.index.children(entry.path).expect("whole").iter().map(|child| child.path.to_vec()).collect();
            let expected: Vec<_> = entries.iter()
                .filter(|other| kiln_types::paths::parent(other.path) == Some(entry.path))
                .map(|other| other.path.to_vec()).collect();
            prop_assert_eq!(children, expected);
        }
    }

    #[test]
    fn damaged_indexes_are_refused(changes in change_sets(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (written, _) = write(changes);
        let mut bytes = written.index.to_bytes().expect("whole");
        let at = at.index(bytes.len());
        let refused = |bytes: &[u8]| {
            Index::read(Cursor::new(bytes)).is_err() || written.index.check_image(bytes).is_err()
        };
        prop_assert!(!refused(&bytes));
        bytes[at] ^= 1 << bit;
        prop_assert!(refused(&bytes));
        bytes.truncate(at);
        prop_assert!(refused(&bytes));
    }
}

#[test]
fn a_layer_has_these_bytes() {
    let (written, _) = write(vec![
        change("", Node::Directory { opaque: false }),
        change("etc", Node::Directory { opaque: true }),
        change("etc/motd", Node::File(Content::bytes(b"welcome\n".to_vec()))),
        change("etc/motd.link", Node::HardLink(b"etc/motd".to_vec())),
        change("gone", Node::Whiteout),
        change("link", Node::Symlink(b"etc".to_vec())),
        change("zürich", Node::Fifo),
    ]);
    assert_eq!(written.diff_id.to_string(), "sha256:bf514504bae9bb54305acd67a0c9c4ce12343faeb1d268055d8f843001eaebce");
    assert_eq!(
        written.index.content_digest().to_string(),
        "sha256:3bd0f22267ac6fddfb295b1b0d5fde5cfd53bb32d07c365767ad4977b8d2bcfe"
    );
}

#[test]
fn times_are_not_in_the_content_digest() {
    let at = |mtime| {
        let file = change("a", Node::File(Content::bytes(b"x".to_vec())));
        write(vec![Change { meta: Meta { mtime, ..file.meta }, ..file }]).0
    };
    let (one, two) = (at(1), at(2));
    assert_ne!(one.diff_id, two.diff_id);
    assert_eq!(one.index.content_digest(), two.index.content_digest());
}

#[test]
fn refuses_what_a_layer_cannot_hold() {
    struct Growing;
    impl kiln_image::Source for Growing {
        fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
            Ok(Box::new(std::io::repeat(0)))
        }
    }
    struct Gone;
    impl kiln_image::Source for Gone {
        fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }
    let file = || Node::File(Content::bytes(Vec::new()));
    let short = Node::File(Content::range(Arc::new(tempfile::tempfile().expect("temporary file")), 0, 5_000_000));
    for (changes, message) in [
        (vec![change("a", Node::File(Content::new(3, Growing)))], "`/a` changed while it was read"),
        (vec![change("a", short)], "`/a` changed while it was read"),
        (vec![change("a", Node::File(Content::new(3, Gone)))], "cannot read `/a`"),
        (vec![change("b", file()), change("a", file())], "not in order at `/a`"),
        (vec![change("a", file()), change("a", file())], "not in order at `/a`"),
        (vec![change("a", file()), change("a/b", file())], "not in order at `/a/b`"),
        (vec![change("a/../b", file())], "not in order at `/a/../b`"),
        (vec![change("/a", file())], "not in order"),
        (vec![change(".wh.a", file())], "`/.wh.a` cannot be kept in a layer"),
        (vec![change("a", Node::HardLink(b"b".to_vec())), change("b", file())], "hard link"),
        (vec![change(&"a/".repeat(3000), file())], "too long"),
    ] {
        let out = tempfile::tempfile().expect("temporary file");
        let error = write_layer(changes, &out).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}
