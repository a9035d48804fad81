//! A view shows what applying the layers one after the other would leave.

use std::collections::BTreeMap;
use std::io::Seek as _;
use std::sync::Arc;

use kiln_image::{
    Change, Content, Error, FileDifference, Found, Layer, Meta, Node, View, archive_changes, compare_files,
    compare_paths, resolve_owner, resolve_user, write_directory, write_layer, write_rootfs, write_rootfs_folders,
};
use kiln_types::paths;
use proptest::prelude::*;

fn layer(mut changes: Vec<Change>) -> Arc<Layer> {
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    let file = tempfile::tempfile().expect("temporary file");
    let written = write_layer(changes, &file).expect("a valid change set");
    Arc::new(Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(file), index: written.index })
}

fn change(path: &str, node: Node) -> Change {
    Change { path: path.into(), meta: Meta { mode: 0o700, ..Meta::default() }, node }
}

fn directory(path: &str) -> Change {
    change(path, Node::Directory { opaque: false })
}

fn file(path: &str, text: &str) -> Change {
    change(path, Node::File(Content::bytes(text.as_bytes().to_vec())))
}

fn link(path: &str, target: &str) -> Change {
    change(path, Node::Symlink(target.into()))
}

/// The path with what is there: a letter for the kind and the mode.
type Model = BTreeMap<Vec<u8>, (char, u32)>;

fn remove_below(model: &mut Model, path: &[u8]) {
    model.retain(|other, _| {
        path != &other[..] && !other.starts_with(&[path, b"/"].concat()) && !path.is_empty() || other.is_empty()
    });
}

fn apply(model: &mut Model, changes: &[Change]) {
    for change in changes {
        for parent in paths::ancestors(&change.path) {
            if model.get(parent).is_none_or(|&(kind, _)| kind != 'd') {
                model.insert(parent.to_vec(), ('d', 0o755));
            }
        }
        let mode = change.meta.mode;
        let before = model.get(&change.path).copied();
        match &change.node {
            Node::Directory { opaque } => {
                if *opaque || before.is_some_and(|(kind, _)| kind != 'd') {
                    remove_below(model, &change.path);
                }
                model.insert(change.path.clone(), ('d', mode));
            }
            Node::Whiteout => remove_below(model, &change.path),
            other => {
                remove_below(model, &change.path);
                let kind = if matches!(other, Node::Fifo) { 'p' } else { 'f' };
                model.insert(change.path.clone(), (kind, mode));
            }
        }
    }
}

fn summary(found: &Found) -> (char, u32) {
    let kind = match found.node {
        Node::Directory { .. } => 'd',
        Node::Fifo => 'p',
        _ => 'f',
    };
    (kind, found.meta.mode)
}

prop_compose! {
    fn change_sets()(entries in proptest::collection::vec((proptest::collection::vec("[abc]", 0..4), 0..0o1000u32, 0..6), 0..8)) -> Vec<Change> {
        let mut changes: Vec<Change> = entries.into_iter().map(|(parts, mode, kind)| {
            let node = match kind {
                _ if parts.is_empty() => Node::Directory { opaque: kind == 0 },
                0 => Node::Directory { opaque: true },
                1 | 2 => Node::Directory { opaque: false },
                3 => Node::Whiteout,
                4 => Node::Fifo,
                _ => Node::File(Content::bytes(Vec::new())),
            };
            Change { path: parts.join("/").into_bytes(), meta: Meta { mode, ..Meta::default() }, node }
        }).collect();
        changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
        changes.dedup_by(|a, b| a.path == b.path);
        let mut kept: Vec<Change> = Vec::new();
        for change in changes {
            let inside = |other: &&Change| change.path.starts_with(&[&other.path[..], b"/"].concat());
            if kept.iter().rev().find(inside).is_none_or(|parent| parent.node.is_directory()) {
                kept.push(change);
            }
        }
        kept
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_view_is_what_applying_the_layers_leaves(sets in proptest::collection::vec(change_sets(), 0..5)) {
        let mut model = Model::from([(Vec::new(), ('d', 0o755))]);
        sets.iter().for_each(|changes| apply(&mut model, changes));
        let view = View::new(sets.into_iter().map(layer).collect());

        let mut walked: Vec<_> = Vec::new();
        for found in view.walk(b"") {
            let found = found.expect("walk");
            walked.push((found.path.clone(), summary(&found)));
        }
        let mut expected: Vec<_> = model.clone().into_iter().collect();
        expected.sort_by(|a, b| compare_paths(&a.0, &b.0));
        prop_assert_eq!(walked, expected);

        for path in ["", "a", "b", "a/a", "a/b", "b/c", "a/a/a", "c/b/a", "d", "a/d/a"] {
            let found = view.lookup(path.as_bytes()).expect("lookup").map(|found| summary(&found));
            prop_assert_eq!(found, model.get(path.as_bytes()).copied(), "{}", path);
        }
    }
}

fn linked() -> View {
    View::new(vec![
        layer(vec![
            directory("bin"),
            link("a", "b"),
            link("b", "/c"),
            directory("c"),
            file("c/f", "text"),
            link("up", "../../../c/./f"),
            link("loop", "loop2"),
            link("loop2", "/loop"),
            link("dangling", "nowhere/x"),
        ]),
        layer(vec![link("c/self", "."), link("bin/tool", "../c/f")]),
    ])
}

#[test]
fn symbolic_links_are_followed_inside_the_root() {
    let view = linked();
    for (path, follow, expected) in [
        ("/", true, Some("")),
        ("/a/f", true, Some("c/f")),
        ("a//self/self/./f", true, Some("c/f")),
        ("up", true, Some("c/f")),
        ("up", false, Some("up")),
        ("a", false, Some("a")),
        ("a/", false, Some("c")),
        ("c/f/", true, None),
        ("bin/tool", true, Some("c/f")),
        ("bin/../../../c/f", true, Some("c/f")),
        ("dangling", true, None),
        ("dangling", false, Some("dangling")),
        ("c/f/x", true, None),
        ("c/f/..", true, None),
        ("missing/../c", true, None),
    ] {
        let found = view
            .resolve(path.as_bytes(), follow)
            .expect(path)
            .map(|found| String::from_utf8_lossy(&found.path).into_owned());
        assert_eq!(found.as_deref(), expected, "{path}");
    }
    assert!(matches!(view.resolve(b"loop/x", true), Err(Error::SymlinkLoop { .. })));
    assert!(matches!(view.lookup(b"a/f"), Ok(None)), "lookup follows nothing");
    assert_eq!(view.read_small(b"a/f", 4).expect("read").as_deref(), Some(&b"text"[..]));
    assert!(matches!(view.read_small(b"a/f", 3), Err(Error::TooLarge { .. })));
    assert!(matches!(view.read_dir(b"c/f"), Err(Error::NotADirectory { .. })));
    assert!(matches!(view.read_dir(b"d"), Err(Error::NotFound { .. })));
}

/// The one layer that `export` and `import` make of a view.
fn exported(view: &View) -> View {
    let mut file = tempfile::tempfile().expect("temporary file");
    write_rootfs(view, &file).expect("write");
    file.rewind().expect("rewind");
    let spool = tempfile::tempdir().expect("temporary directory");
    let changes = archive_changes(file, b"", spool.path()).expect("read").unwrap_or_default();
    View::new(vec![layer(changes)])
}

fn differences(before: &View, after: &View, times: bool) -> Vec<String> {
    let told = |difference: &FileDifference| {
        let path = String::from_utf8_lossy(difference.path()).into_owned();
        match (&difference.before, &difference.after) {
            (Some(_), None) => format!("- {path}"),
            (None, _) => format!("+ {path}"),
            _ => format!("~ {path} {:?}", difference.aspects),
        }
    };
    compare_files(before, after, times).expect("compare").iter().map(told).collect()
}

proptest! {
    #[test]
    fn a_view_and_its_export_are_the_same(sets in proptest::collection::vec(change_sets(), 1..4)) {
        let view = View::new(sets.into_iter().map(layer).collect());
        let again = exported(&view);
        let told = differences(&view, &again, true);
        // The root itself is not in a tar of what is in it.
        prop_assert!(told.iter().all(|line| line.starts_with("~  ")), "{:?}", told);
        let bytes = |view: &View| {
            let mut out = Vec::new();
            write_rootfs(view, &mut out).expect("write");
            out
        };
        prop_assert!(bytes(&view) == bytes(&again));
    }
}

#[test]
fn an_export_keeps_what_files_have() {
    let mut special = file("d/special", "content");
    special.meta = Meta { mode: 0o4755, uid: 70000, gid: 5, mtime: -7, ..Meta::default() };
    special.meta.xattrs.insert(b"security.capability".to_vec(), b"\0\xff\n".to_vec());
    let lower = layer(vec![
        directory("d"),
        special,
        change("d/again", Node::HardLink(b"d/a first name".to_vec())),
        file("d/a first name", "linked"),
        change("null", Node::CharDevice { major: 1, minor: 3 }),
        link("link", "../d/special"),
        file("gone", "x"),
    ]);
    // The first name of the linked file goes, the other one then has the content.
    let upper = layer(vec![change("d/a first name", Node::Whiteout), change("gone", Node::Whiteout)]);
    let view = View::new(vec![lower, upper]);
    let again = exported(&view);
    assert!(differences(&view, &again, true).is_empty());
    let special = again.lookup(b"d/special").expect("view").expect("there");
    assert_eq!(
        (special.meta.mode, special.meta.uid, special.meta.mtime, special.meta.xattrs.len()),
        (0o4755, 70000, -7, 1)
    );
    assert_eq!(again.read_small(b"d/again", 100).expect("read").expect("there"), b"linked");
    let mut bytes = Vec::new();
    write_rootfs(&linked_twice(), &mut bytes).expect("write");
    let mut archive = tar::Archive::new(&bytes[..]);
    let links = archive.entries().expect("a tar").filter(|entry| {
        let kind = entry.as_ref().map(|entry| entry.header().entry_type());
        kind.is_ok_and(|kind| kind.is_hard_link())
    });
    assert_eq!(links.count(), 2);
}

#[test]
fn several_views_are_folders_of_one_tar() {
    let views = ["one", "two"].map(|name| (name.to_owned(), linked_twice()));
    let mut bytes = Vec::new();
    write_rootfs_folders(&views, &mut bytes).expect("write");
    let mut archive = tar::Archive::new(&bytes[..]);
    let told: Vec<String> = archive
        .entries()
        .expect("a tar")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let link = entry.link_name().expect("a link").map(|target| format!(" = {}", target.display()));
            format!("{}{}", entry.path().expect("a path").display(), link.unwrap_or_default())
        })
        .collect();
    let expected =
        ["one/", "one/a", "one/b = one/a", "one/c = one/a", "two/", "two/a", "two/b = two/a", "two/c = two/a"];
    assert_eq!(told, expected);
}

fn linked_twice() -> View {
    let link = |path| change(path, Node::HardLink(b"a".to_vec()));
    View::new(vec![layer(vec![file("a", "x"), link("b"), link("c")])])
}

#[test]
fn differences_are_told_by_what_they_are() {
    let mut before = vec![
        directory("d"),
        file("d/content", "one"),
        file("d/mode", "x"),
        file("d/owner", "x"),
        file("d/time", "x"),
        file("gone", "x"),
        link("link", "a"),
        directory("other"),
        file("other/below", "x"),
        change("tty", Node::CharDevice { major: 5, minor: 0 }),
    ];
    let view = View::new(vec![layer(before.clone())]);
    before[1] = file("d/content", "two");
    before[2].meta.mode = 0o600;
    before[3].meta.uid = 1;
    before[4].meta.mtime = 9;
    before[5].node = Node::Whiteout;
    before[6] = link("link", "b");
    before[7] = file("other", "now a file");
    before[8] = file("new", "x");
    before[9].node = Node::CharDevice { major: 5, minor: 1 };
    // As further layer or as an image of its own.
    let upper = layer(before.clone());
    before.remove(5);
    let stacked = View::new(view.layers().iter().cloned().chain([upper]).collect());
    let expected = [
        "~ d/content [Content]",
        "~ d/mode [Mode]",
        "~ d/owner [Owner]",
        "- gone",
        "~ link [Target]",
        "+ new",
        "~ other [Kind]",
        "- other/below",
        "~ tty [Device]",
    ];
    for after in [stacked, View::new(vec![layer(before)])] {
        assert_eq!(differences(&view, &after, false), expected);
        assert_eq!(differences(&view, &after, true).len(), expected.len() + 1);
        assert_eq!(differences(&after, &view, false).iter().filter(|line| line.starts_with('+')).count(), 2);
    }
    assert!(differences(&view, &view, true).is_empty());
}

#[test]
fn hard_links_share_their_inode() {
    let view = View::new(vec![layer(vec![file("a", "text"), change("b", Node::HardLink(b"a".to_vec()))])]);
    let (a, b) = (view.lookup(b"a").expect("lookup").expect("a"), view.lookup(b"b").expect("lookup").expect("b"));
    assert_eq!((a.inode, a.digest), (b.inode, b.digest));
    assert_eq!(view.read_small(b"b", 10).expect("read").as_deref(), Some(&b"text"[..]));
}

#[test]
fn users_as_runc_and_buildkit_read_them() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\n# comment:x:9:9::/:\nbroken\napp:x:1000:1001::/home/app:/bin/sh\n7:x:70:71::/seven:\n";
    let group = "root:x:0:\nwheel:x:10:root,app\nstaff:x:1001:\naudio:x:5:app\n";
    let view = View::new(vec![layer(vec![directory("etc"), file("etc/passwd", passwd), file("etc/group", group)])]);
    for (spec, uid, gid, groups, home) in [
        ("", 0, 0, &[10][..], Some("/root")),
        ("app", 1000, 1001, &[5, 10], Some("/home/app")),
        ("1000", 1000, 1001, &[5, 10], Some("/home/app")),
        ("app:wheel", 1000, 10, &[], Some("/home/app")),
        ("app:77", 1000, 77, &[], Some("/home/app")),
        ("app:", 1000, 1001, &[5, 10], Some("/home/app")),
        ("4242", 4242, 0, &[], None),
        ("7", 70, 71, &[], Some("/seven")),
        (":staff", 0, 1001, &[], Some("/root")),
    ] {
        let user = resolve_user(&view, spec).expect(spec);
        assert_eq!((user.uid, user.gid, &user.groups[..], user.home.as_deref()), (uid, gid, groups, home), "{spec}");
    }
    for (spec, owner) in [
        ("app", (1000, 1001)),
        ("app:wheel", (1000, 10)),
        ("55", (55, 55)),
        ("55:staff", (55, 1001)),
        ("1000", (1000, 1000)),
    ] {
        assert_eq!(resolve_owner(&view, spec).expect(spec), owner, "{spec}");
    }
    for (spec, message) in [
        ("nobody", "user `nobody` does not exist"),
        ("app:nogroup", "group `nogroup` does not exist"),
        ("4294967295", "ids are at most"),
        ("a:b:c", "user[:group]"),
        ("-1", "user `-1` does not exist"),
    ] {
        let error = resolve_user(&view, spec).expect_err(spec).to_string();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(resolve_user(&View::new(Vec::new()), "5:6").expect("numbers").gid, 6);
}

#[test]
#[cfg(unix)]
fn files_of_a_view_belong_to_whoever_writes_them() {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    let place = tempfile::tempdir().expect("temporary directory");
    let (root, outside) = (place.path().join("new/root"), place.path().join("outside"));
    let mut program = file("bin/program", "content");
    program.meta = Meta { mode: 0o6755, uid: 77, mtime: 1000, ..Meta::default() };
    let mut locked = directory("locked");
    locked.meta.mode = 0o500;
    let view = View::new(vec![layer(vec![
        program,
        change("bin/same", Node::HardLink(b"bin/program".to_vec())),
        link("link", "/etc/passwd"),
        locked,
        file("locked/file", "x"),
        change("null", Node::CharDevice { major: 1, minor: 3 }),
    ])]);
    let write = || write_directory(&view, &root, &|| false);
    assert_eq!(write().expect("write"), 1);
    let program = fs::metadata(root.join("bin/program")).expect("there");
    assert_eq!((program.permissions().mode() & 0o7777, program.mtime(), program.nlink()), (0o755, 1000, 2));
    assert_eq!(fs::read_link(root.join("link")).expect("a link").to_str(), Some("/etc/passwd"));
    assert_eq!(fs::metadata(root.join("locked")).expect("there").permissions().mode() & 0o777, 0o500);

    // Again, and where somebody put links that lead out.
    fs::create_dir(&outside).expect("create");
    fs::remove_dir_all(root.join("bin")).expect("remove");
    symlink(&outside, root.join("bin")).expect("link");
    fs::remove_file(root.join("link")).expect("remove");
    symlink(outside.join("file"), root.join("link")).expect("link");
    write().expect("write");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 0);
    assert_eq!(fs::read(root.join("bin/same")).expect("there"), b"content");

    fs::remove_file(root.join("link")).expect("remove");
    fs::create_dir(root.join("link")).expect("create");
    let error = write().expect_err("a directory").to_string();
    assert!(error.contains("it is a directory; remove it"), "{error}");
    assert!(write_directory(&view, &root, &|| true).is_err());
}
