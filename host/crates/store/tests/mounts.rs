//! A layer that is mounted is what it would be unpacked: every name, type, mode, owner, time, link, attribute and byte.
//! Needs root and a kernel that mounts layers.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_image::{Change, Content, Index, Kind, Layer, Meta, Node, UnpackOptions, compare_paths, scan_upper, unpack};
use kiln_store::Store;
use kiln_sys::{Lower, userns};
use kiln_types::Digest;
use proptest::prelude::*;

struct Place {
    store: Store,
    directory: tempfile::TempDir,
}

/// A store that mounts layers; `None` where it cannot.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn place() -> Option<Place> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = Store::open(&directory.path().join("store")).expect("store");
    let root = matches!(userns::current(), None | Some(userns::Ids::Root)) && is_root(directory.path());
    let why = if root { store.mounts_layers().err() } else { Some("this test needs root") };
    let Some(why) = why else { return Some(Place { store, directory }) };
    assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "layers are not mounted here: {why}");
    eprintln!("skipped: {why}");
    None
}

fn is_root(own: &Path) -> bool {
    fs::metadata(own).expect("metadata").uid() == 0
}

fn mounted(store: &Store, layer: &Layer) -> PathBuf {
    match store.directory(layer).expect("directory") {
        // The store holds it.
        Lower::Mount(mount) => format!("/proc/self/fd/{}", mount.as_raw_fd()).into(),
        Lower::Directory(path) => panic!("not mounted but at {}", path.display()),
    }
}

/// Whatever can be seen of a thing but its content and which others are the same thing.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    mode: u32,
    owner: (u32, u32),
    time: (i64, i64),
    device: u64,
    /// Of files and links.
    size: u64,
    /// Also of directories: two, and one for each directory in it.
    links: u64,
    target: Option<Vec<u8>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    content: Option<Digest>,
    /// The first path of the same inode.
    first: Vec<u8>,
}

fn look(root: &Path) -> BTreeMap<Vec<u8>, Look> {
    let mut looks = BTreeMap::new();
    let mut inodes = HashMap::new();
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let at = root.join(OsStr::from_bytes(&path));
        let metadata = if path.is_empty() { fs::metadata(root) } else { fs::symlink_metadata(&at) }.expect("metadata");
        if metadata.is_dir() {
            let mut names: Vec<_> =
                fs::read_dir(&at).expect("list").map(|entry| entry.expect("entry").file_name()).collect();
            names.sort_unstable_by(|a, b| b.cmp(a));
            paths.extend(names.into_iter().map(|name| kiln_types::paths::join(&path, name.as_bytes())));
        }
        let content = metadata.is_file().then(|| {
            let mut hasher = kiln_types::Hasher::new();
            let mut file = File::open(&at).expect("open");
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer).expect("read") {
                    0 => break hasher.finish(),
                    read => hasher.update(&buffer[..read]),
                }
            }
        });
        let is_whiteout = metadata.file_type().is_char_device() && metadata.rdev() == 0;
        let counts = metadata.is_file() || metadata.is_symlink();
        let look = Look {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            // That of a whiteout is nobody's.
            time: if is_whiteout { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) },
            device: metadata.rdev(),
            size: if counts { metadata.len() } else { 0 },
            links: metadata.nlink(),
            target: metadata.is_symlink().then(|| fs::read_link(&at).expect("target").into_os_string().into_vec()),
            xattrs: xattrs(&at),
            content,
            first: inodes.entry(metadata.ino()).or_insert_with(|| path.clone()).clone(),
        };
        looks.insert(path, look);
    }
    looks
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    // Of the root of a mount, which is named by a link.
    let path =
        if path.starts_with("/proc/self/fd") && path.components().count() == 5 { path.join(".") } else { path.into() };
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(&path, &mut names).expect("attributes");
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::lgetxattr(&path, name, &mut value).expect("attribute");
            (name.to_vec(), value[..length].to_vec())
        })
        .collect()
}

fn assert_same(place: &Place, changes: Vec<Change>) {
    let layer = place.store.add_layer(changes).expect("layer");
    assert_layer_same(place, &layer);
}

fn assert_layer_same(place: &Place, layer: &Layer) {
    let unpacked = tempfile::tempdir_in(&place.directory).expect("temporary directory");
    unpack(layer, unpacked.path(), UnpackOptions { userxattr: false, single_id: false }).expect("unpack");
    let (mut expected, found) = (look(unpacked.path()), look(&mounted(&place.store, layer)));
    // A directory of ext4 counts no directories when there are too many.
    for (path, look) in &mut expected {
        if look.links == 1 && look.mode & 0o170_000 == 0o040_000 {
            look.links = found[path].links;
        }
    }
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (path, look) in expected {
        assert_eq!(found[&path], look, "{}", kiln_types::paths::display(&path));
    }
}

fn change(path: impl AsRef<[u8]>, node: Node) -> Change {
    let meta = Meta { mode: 0o640, uid: 70_000, gid: 4_000_000_000, mtime: 1_700_000_000, ..Meta::default() };
    Change { path: path.as_ref().to_vec(), meta, node }
}

fn bytes(bytes: impl Into<Vec<u8>>) -> Node {
    Node::File(Content::bytes(bytes.into()))
}

fn directory() -> Node {
    Node::Directory { opaque: false }
}

fn with_xattrs<const N: usize>(mut change: Change, xattrs: [(&str, &[u8]); N]) -> Change {
    change.meta.xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    change
}

fn sorted(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    changes
}

#[test]
fn everything_that_a_layer_can_hold() {
    let Some(place) = place() else { return };
    // VFS_CAP_REVISION_2 with cap_net_bind_service, effective.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let at = |mtime, change: Change| Change { meta: Meta { mtime, ..change.meta.clone() }, ..change };
    let mode = |mode, change: Change| Change { meta: Meta { mode, ..change.meta.clone() }, ..change };
    let mut changes = vec![
        mode(0o1755, change("", directory())),
        with_xattrs(mode(0o6755, change("ping", bytes("#!"))), [("security.capability", &capability)]),
        with_xattrs(
            change("attributes", bytes("")),
            [("user.empty", b""), ("trusted.long", &[7; 3000]), ("user.\u{1}", b"\0")],
        ),
        // overlayfs' own never come from a layer.
        with_xattrs(
            change("attack", directory()),
            [("trusted.overlay.redirect", b"/etc"), ("user.overlay.opaque", b"y")],
        ),
        with_xattrs(change("hiding", Node::Directory { opaque: true }), [("trusted.note", b"x")]),
        change("hiding/gone", Node::Whiteout),
        change("gone", Node::Whiteout),
        change("empty", bytes("")),
        change("big", bytes(vec![9; 5_000_001])),
        change("link", Node::HardLink(b"big".to_vec())),
        change("z/link", Node::HardLink(b"big".to_vec())),
        change("short", Node::Symlink(b"..".to_vec())),
        change("long", Node::Symlink(vec![b'l'; 4095])),
        change("middle", Node::Symlink(vec![b'm'; 449])),
        change("null", Node::CharDevice { major: 1, minor: 3 }),
        change("far", Node::CharDevice { major: 4095, minor: 1_048_575 }),
        change("disk", Node::BlockDevice { major: 259, minor: 300 }),
        change("fifo", Node::Fifo),
        at(-3, change("before", bytes("1970"))),
        at(9_000_000_000, change("late", bytes("2255"))),
        // Implied directories, and a deep path.
        change(format!("{}end", "deep/".repeat(600)), bytes("deep")),
    ];
    for size in [1, 511, 512, 513, 1024, 4095, 4096, 4097] {
        changes.push(change(format!("size{size}"), bytes(vec![size as u8; size])));
    }
    for name in
        [&b"new\nline"[..], b"\xff\xfe", "ümläut".as_bytes(), b" ", b"-", b".-", b"...", b"\\", b"\x01", &[b'n'; 255]]
    {
        changes.push(change([b"odd/", name].concat(), bytes(name)));
        changes.push(change([b"odd directories/", name].concat(), directory()));
    }
    assert_same(&place, sorted(changes));
    assert_same(&place, Vec::new());
}

#[test]
fn directories_of_every_size() {
    let Some(place) = place() else { return };
    let mut changes = Vec::new();
    for count in (0..60).chain([1000]) {
        let length = 1 + count * 37 % 250;
        changes.push(change(format!("d{count:04}"), directory()));
        changes.extend((0..count).map(|number| change(format!("d{count:04}/{number:0length$}"), Node::Fifo)));
    }
    assert_same(&place, sorted(changes));

    let many: Vec<Change> = (0..100_000).map(|number| change(format!("many/{number:06}"), bytes(""))).collect();
    let layer = place.store.add_layer(many).expect("layer");
    let root = mounted(&place.store, &layer).join("many");
    assert_eq!(fs::read_dir(&root).expect("list").count(), 100_000);
    for number in (0..100_000).step_by(997) {
        assert!(root.join(format!("{number:06}")).exists() && !root.join(format!("{number:06}x")).exists());
    }
}

/// Offsets and sizes beyond 32 bits; most of it is holes.
#[test]
fn beyond_four_gigabytes() {
    let Some(place) = place() else { return };
    let (size, end) = ((4 << 30) + 12_345, b"the end");
    let mut file = tempfile::tempfile_in(&place.directory).expect("temporary file");
    for (path, size, end) in [("big", size, &end[..]), ("small", 9, b"behind it")] {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).expect("path");
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_cksum();
        file.write_all(header.as_bytes()).expect("write");
        file.seek_relative((size - end.len() as u64).cast_signed()).expect("seek");
        file.write_all(end).expect("write");
        file.seek_relative(512 - (size % 512).cast_signed()).expect("seek");
    }
    file.write_all(&[0; 1024]).expect("write");
    file.rewind().expect("rewind");
    let (index, diff_id, tar_size) = Index::from_tar(&file).expect("index");
    let layer = Layer { diff_id, size: tar_size, tar: file.into(), index };
    let root = mounted(&place.store, &layer);
    assert_eq!(fs::read_to_string(root.join("small")).expect("read"), "behind it");
    let big = File::open(root.join("big")).expect("open");
    assert_eq!(big.metadata().expect("metadata").len(), size);
    let mut found = [0; 7];
    big.read_exact_at(&mut found, size - 7).expect("read");
    assert_eq!(&found, end);
    assert_eq!(big.read_at(&mut found, size).expect("read"), 0);
}

/// Some writers leave out the zeros after the last member, and the end marker.
fn cut_off(place: &Place) -> Arc<Layer> {
    let layer = place.store.add_layer(vec![change("file", bytes(vec![3; 700]))]).expect("layer");
    let Kind::File { offset, size, .. } = layer.index.get(b"file").expect("whole").expect("entry").kind else {
        panic!("no file")
    };
    let mut tar = vec![0; (offset + size) as usize];
    layer.tar.read_exact_at(&mut tar, 0).expect("read");
    let cut = place.store.add_tar(&tar[..]).expect("layer");
    assert_eq!(cut.size, offset + size);
    cut
}

/// What this host is made of.
#[test]
fn real_trees() {
    let Some(place) = place() else { return };
    for tree in ["/etc", "/usr/bin"].map(Path::new).into_iter().filter(|tree| tree.is_dir()) {
        assert_same(&place, scan_upper(tree, false).expect("scan"));
    }
    // A whole image, where there is one.
    if let Some(tar) = std::env::var_os("KILN_TEST_TAR") {
        let layer = place.store.add_tar(File::open(tar).expect("open")).expect("layer");
        assert_layer_same(&place, &layer);
    }
}

#[test]
fn what_erofs_cannot_hold_is_unpacked() {
    let Some(place) = place() else { return };
    // A list of one user and the others, as the kernel keeps it.
    let list =
        [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255];
    let listed = with_xattrs(change("file", bytes("x")), [("system.posix_acl_access", &list)]);
    let listed = place.store.add_layer(vec![listed]).expect("layer");
    let long = place.store.add_layer(vec![change(".".repeat(256), Node::Whiteout)]).expect("layer");
    for (layer, content) in [(listed, &b"x"[..]), (cut_off(&place), &[3; 700])] {
        match place.store.directory(&layer).expect("directory") {
            Lower::Directory(path) => assert_eq!(fs::read(path.join("file")).expect("read"), content),
            Lower::Mount(_) => panic!("mounted"),
        }
    }
    let error = place.store.directory(&long).expect_err("nor can ext4").to_string();
    assert!(error.contains("cannot create"), "{error}");
}

#[test]
fn a_damaged_image_is_made_anew() {
    let Some(place) = place() else { return };
    let layer = place.store.add_layer(vec![change("file", bytes("content"))]).expect("layer");
    let path = place.store.root().join("layers").join(layer.diff_id.hex());
    let sound = fs::read(&path).expect("read");
    let other = place.store.add_layer(vec![change("other", bytes("content"))]).expect("layer");
    let foreign = fs::read(place.store.root().join("layers").join(other.diff_id.hex())).expect("read");
    let mut flipped = sound.clone();
    flipped[1280 + 4] ^= 1;
    for damaged in [flipped, foreign, sound[..1500].to_vec(), Vec::new()] {
        fs::remove_file(&path).expect("remove");
        fs::write(&path, &damaged).expect("write");
        // Another process, which has the layer from before.
        let store = Store::open(place.store.root()).expect("store");
        let root = mounted(&store, &layer);
        assert_eq!(fs::read_to_string(root.join("file")).expect("read"), "content");
        assert!(fs::read(&path).expect("read") == sound);
    }
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    let any = proptest::collection::vec(prop_oneof![1..=255u8, 33..64u8], 1..20);
    prop_oneof![3 => "[a-c.-]{1,3}".prop_map(String::into_bytes), 1 => "[a-z]{200,255}".prop_map(String::into_bytes), 2 => any].prop_map(
        |mut name| {
            name.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'_');
            if name.starts_with(b".wh.") || name == b"." || name == b".." { b"dot".to_vec() } else { name }
        },
    )
}

fn nodes() -> impl Strategy<Value = (Node, bool)> {
    let device = || (0..4096u32, 0..1_048_576u32);
    prop_oneof![
        3 => any::<bool>().prop_map(|opaque| (Node::Directory { opaque }, true)),
        4 => proptest::collection::vec(any::<u8>(), 0..1500).prop_map(|content| (bytes(content), true)),
        1 => (any::<u8>(), 1000..100_000usize).prop_map(|(byte, size)| (bytes(vec![byte; size]), true)),
        2 => proptest::collection::vec(1..=255u8, 1..700).prop_map(|target| (Node::Symlink(target), false)),
        1 => device().prop_map(|(major, minor)| (Node::CharDevice { major, minor }, false)),
        1 => device().prop_map(|(major, minor)| (Node::BlockDevice { major, minor }, false)),
        1 => Just((Node::Fifo, false)),
        1 => Just((Node::Whiteout, false)),
        1 => Just((Node::HardLink(Vec::new()), false)),
    ]
}

/// What ext4 can hold too: times of 34 bits, few attributes, users' attributes on files and directories only.
fn metas() -> impl Strategy<Value = Meta> {
    let ids = || prop_oneof![0..3u32, 0..u32::MAX];
    let mtime = prop_oneof![Just(0), -5..5i64, -(1i64 << 31)..(1 << 33)];
    let keys = prop_oneof![Just("user."), Just("trusted.")];
    let keys = (keys, proptest::collection::vec(prop_oneof![Just(b'a'), 1..=b'<', 0x80..=255u8], 1..9));
    let keys = keys.prop_map(|(prefix, rest)| [prefix.as_bytes(), &rest].concat());
    let xattrs = proptest::collection::btree_map(keys, proptest::collection::vec(any::<u8>(), 0..300), 0..4);
    (0..=0o7777u32, ids(), ids(), mtime, xattrs).prop_map(|(mode, uid, gid, mtime, xattrs)| Meta {
        mode,
        uid,
        gid,
        mtime,
        xattrs,
    })
}

prop_compose! {
    fn change_sets()(entries in proptest::collection::vec((proptest::collection::vec(names(), 0..4), metas(), nodes()), 0..60)) -> Vec<Change> {
        let entries = entries.into_iter().map(|(path, mut meta, (node, for_users))| {
            meta.xattrs.retain(|name, _| for_users || !name.starts_with(b"user."));
            Change { path: path.join(&b'/'), meta, node }
        });
        let mut changes = sorted(entries.collect());
        changes.dedup_by(|a, b| a.path == b.path);
        let mut kept: Vec<Change> = Vec::new();
        let mut files: Vec<Vec<u8>> = Vec::new();
        for mut change in changes {
            if let Node::HardLink(target) = &mut change.node {
                match files.first() {
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

#[test]
fn generated_layers() {
    let Some(place) = place() else { return };
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(changes in change_sets())| assert_same(&place, changes));
}
