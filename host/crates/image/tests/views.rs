//! A view shows what applying the layers one after the other would leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_image::{
    Change, Content, Error, Found, Layer, Meta, Node, View, compare_paths, resolve_owner, resolve_user, write_layer,
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
