//! Trees that are read and placed again, and hostile ones.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{Mode, OFlags};

use super::*;
use crate::directory::read_tree;
use crate::tar::{TarReader, TarWriter};

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("open")
}

fn file(path: &str, size: u64) -> Member {
    let meta = Meta { mode: 0o4755, mtime: 5, ..Meta::default() };
    Member { path: path.as_bytes().to_vec(), link: Vec::new(), kind: MemberKind::File, meta, offset: 0, size }
}

fn link(path: &str, kind: MemberKind, target: &str) -> Member {
    Member { kind, link: target.as_bytes().to_vec(), ..file(path, 0) }
}

/// Of what is at a place: path, kind, mode, time, link, content.
type Listed = (String, MemberKind, u32, i64, Vec<u8>, Vec<u8>);

fn listed(place: &Path) -> Vec<Listed> {
    let mut found = Vec::new();
    read_tree(open(place), b".", &mut |member, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).expect("content");
        let path = String::from_utf8(member.path).expect("text");
        found.push((path, member.kind, member.meta.mode, member.meta.mtime, member.link, bytes));
        Ok(())
    })
    .expect("a tree");
    found
}

#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>, u32),
    Link(String),
    Tree(Vec<(String, Thing)>),
}

fn thing() -> impl Strategy<Value = Thing> {
    let leaf = prop_oneof![
        (proptest::collection::vec(any::<u8>(), 0..2000), 0o400..=0o777u32)
            .prop_map(|(bytes, mode)| Thing::File(bytes, mode)),
        "[a-z./]{1,20}".prop_map(Thing::Link),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        proptest::collection::btree_map("[a-c.é-]{1,9}", inner, 0..5)
            .prop_map(|tree| Thing::Tree(tree.into_iter().collect()))
    })
}

fn make(at: &Path, thing: &Thing) {
    match thing {
        Thing::File(bytes, mode) => {
            fs::write(at, bytes).expect("write");
            fs::set_permissions(at, PermissionsExt::from_mode(*mode)).expect("mode");
        }
        Thing::Link(target) => symlink(target, at).expect("link"),
        Thing::Tree(things) => {
            fs::create_dir_all(at).expect("create");
            for (name, thing) in things.iter().filter(|(name, _)| name.as_str() != "." && name.as_str() != "..") {
                make(&at.join(name), thing);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_tree_survives_the_way_through_a_tar(things in proptest::collection::btree_map("[a-c]{1,3}", thing(), 0..5)) {
        let folder = tempfile::tempdir().expect("temporary directory");
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::create_dir(&to).expect("create");
        make(&from, &Thing::Tree(things.into_iter().collect()));
        let mut tar = Vec::new();
        let mut writer = TarWriter::new(&mut tar);
        read_tree(open(&from), b".", &mut |member, content| writer.append(&member, content)).expect("read");
        writer.finish().expect("written");
        let root = open(&to);
        let mut placing = Placing::new(root.as_fd(), b"", Within::Directory, Owners::Writer);
        let mut reader = TarReader::new(&tar[..]);
        while let Some(member) = reader.next().expect("a tar") {
            placing.put(&member, &mut reader.content()).expect("put");
        }
        placing.finish().expect("finished");
        prop_assert_eq!(&listed(&from)[1..], &listed(&to)[1..]);
    }
}

#[test]
fn links_lead_nowhere_else() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let [root, outside] = ["root", "outside"].map(|name| folder.path().join(name));
    for directory in [&root, &outside, &root.join("inside")] {
        fs::create_dir(directory).expect("create");
    }
    // Absolute ones begin at the root, and none climbs above it.
    for (name, target) in [("up", "../outside"), ("absolute", "/inside"), ("host", outside.to_str().expect("text"))] {
        symlink(target, root.join(name)).expect("link");
    }
    let opened = open(&root);
    let put = |within, path: &str| {
        let mut placing = Placing::new(opened.as_fd(), b"", within, Owners::Writer);
        placing.put(&file(path, 3), &mut &b"abc"[..])
    };
    put(Within::Root, "absolute/a").expect("inside");
    assert_eq!(fs::read(root.join("inside/a")).expect("read"), b"abc");
    for path in ["up/b", "host/c"] {
        assert!(put(Within::Root, path).is_err(), "{path}");
    }
    for path in ["up/b", "host/c", "absolute/d", "../outside/e", "a/../../outside/f"] {
        assert!(put(Within::Directory, path).is_err(), "{path}");
    }
    assert_eq!(fs::read_dir(&outside).expect("list").count(), 0);
    // The link itself is replaced, not what it leads to.
    symlink("../outside/g", root.join("file")).expect("link");
    put(Within::Root, "file").expect("replaced");
    assert!(fs::symlink_metadata(root.join("file")).expect("metadata").is_file());
    assert_eq!(fs::read_dir(&outside).expect("list").count(), 0);
}

#[test]
fn what_stands_in_the_way() {
    let folder = tempfile::tempdir().expect("temporary directory");
    fs::create_dir_all(folder.path().join("directory/below")).expect("create");
    fs::write(folder.path().join("file"), "old").expect("write");
    let root = open(folder.path());
    let mut placing = Placing::new(root.as_fd(), b"", Within::Directory, Owners::Writer);
    let directory = |path: &str| link(path, MemberKind::Directory, "");
    let in_place = placing.put(&file("directory", 0), &mut io::empty());
    assert!(matches!(in_place, Err(Error::DirectoryInPlace { .. })));
    let in_place = placing.put(&directory("file"), &mut io::empty());
    assert!(matches!(in_place, Err(Error::FileInPlace { .. })));
    placing.put(&directory("directory"), &mut io::empty()).expect("merged");
    placing.put(&file("file", 3), &mut &b"new"[..]).expect("replaced");
    placing.put(&file("new/deep/file", 0), &mut io::empty()).expect("with its directories");
    placing.put(&link("hard", MemberKind::HardLink, "file"), &mut io::empty()).expect("linked");
    let hostile = placing.put(&link("bad", MemberKind::HardLink, "../file"), &mut io::empty());
    assert!(hostile.is_err());
    placing
        .put(&link("device", MemberKind::CharDevice { major: 1, minor: 3 }, ""), &mut io::empty())
        .expect("left out");
    assert_eq!(placing.finish().expect("finished"), 1);
    assert!(folder.path().join("directory/below").is_dir());
    let made = fs::metadata(folder.path().join("hard")).expect("metadata");
    // Set-user-id would mean another user now.
    assert_eq!((made.permissions().mode() & 0o7777, made.len()), (0o755, 3));
    assert!(!folder.path().join("device").exists());
}
