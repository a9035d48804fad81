//! The filesystem beside a simple model: the same answers, and a layer that turns the lower state into the final one.

use std::collections::BTreeMap;
use std::io::Read as _;

use kiln_image::{Change, Content, Layer, Meta, Node, View, compare_paths, write_layer};
use proptest::prelude::*;

use super::*;
use crate::wasi::limits::Limit;

const CREATOR: Creator = Creator { uid: 0, gid: 0, umask: 0o022 };
const PATHS: [&str; 10] = ["a", "b", "a/x", "a/y", "b/x", "a/x/p", "a/x/q", "b/x/p", "c", "a/y/z"];

#[derive(Debug, Clone)]
enum Operation {
    Write(usize, Vec<u8>),
    Append(usize, Vec<u8>),
    Resize(usize, u16),
    MakeDirectory(usize),
    RemoveDirectory(usize),
    Unlink(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Symlink(usize),
    Mode(usize, u32),
}

fn operation() -> impl Strategy<Value = Operation> {
    let path = || 0..PATHS.len();
    let bytes = || proptest::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        (path(), bytes()).prop_map(|(path, bytes)| Operation::Write(path, bytes)),
        (path(), bytes()).prop_map(|(path, bytes)| Operation::Append(path, bytes)),
        (path(), 0..9_u16).prop_map(|(path, size)| Operation::Resize(path, size)),
        path().prop_map(Operation::MakeDirectory),
        path().prop_map(Operation::RemoveDirectory),
        path().prop_map(Operation::Unlink),
        (path(), path()).prop_map(|(from, to)| Operation::Rename(from, to)),
        (path(), path()).prop_map(|(from, to)| Operation::Link(from, to)),
        path().prop_map(Operation::Symlink),
        (path(), prop_oneof![Just(0o700), Just(0o755)]).prop_map(|(path, mode)| Operation::Mode(path, mode)),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Directory,
    File(Vec<u8>),
    Symlink,
}

/// Paths to numbers of things, so that hard links share.
#[derive(Default, Clone)]
struct Model {
    names: BTreeMap<String, usize>,
    things: Vec<(Thing, u32)>,
}

impl Model {
    fn thing(&self, path: &str) -> Option<&Thing> {
        self.names.get(path).map(|&id| &self.things[id].0)
    }

    fn has_parent(&self, path: &str) -> bool {
        path.rsplit_once('/').is_none_or(|(parent, _)| self.thing(parent) == Some(&Thing::Directory))
    }

    fn is_empty(&self, path: &str) -> bool {
        !self.names.keys().any(|name| name.starts_with(&format!("{path}/")))
    }

    fn add(&mut self, path: &str, thing: Thing, mode: u32) {
        self.things.push((thing, mode));
        self.names.insert(path.to_owned(), self.things.len() - 1);
    }

    fn file(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        match &mut self.things[*self.names.get(path)?].0 {
            Thing::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether it succeeds.
    fn apply(&mut self, operation: &Operation) -> bool {
        match operation {
            Operation::Write(path, bytes) => {
                let path = PATHS[*path];
                if !self.has_parent(path) {
                    return false;
                }
                if self.thing(path).is_none() {
                    self.add(path, Thing::File(bytes.clone()), 0o644);
                    return true;
                }
                self.file(path).map(|file| *file = bytes.clone()).is_some()
            }
            Operation::Append(path, bytes) => self.file(PATHS[*path]).map(|file| file.extend(bytes)).is_some(),
            Operation::Resize(path, size) => {
                self.file(PATHS[*path]).map(|file| file.resize((*size).into(), 0)).is_some()
            }
            Operation::MakeDirectory(path) => {
                let path = PATHS[*path];
                let possible = self.has_parent(path) && self.thing(path).is_none();
                if possible {
                    self.add(path, Thing::Directory, 0o755);
                }
                possible
            }
            Operation::RemoveDirectory(path) => {
                let path = PATHS[*path];
                let possible = self.thing(path) == Some(&Thing::Directory) && self.is_empty(path);
                possible && self.names.remove(path).is_some()
            }
            Operation::Unlink(path) => {
                let path = PATHS[*path];
                self.thing(path).is_some_and(|thing| *thing != Thing::Directory) && self.names.remove(path).is_some()
            }
            Operation::Rename(from, to) => self.rename(PATHS[*from], PATHS[*to]),
            Operation::Link(from, to) => {
                let (from, to) = (PATHS[*from], PATHS[*to]);
                let Some(&id) = self.names.get(from) else { return false };
                let possible = self.things[id].0 != Thing::Directory && self.has_parent(to) && self.thing(to).is_none();
                if possible {
                    self.names.insert(to.to_owned(), id);
                }
                possible
            }
            Operation::Symlink(path) => {
                let path = PATHS[*path];
                let possible = self.has_parent(path) && self.thing(path).is_none();
                if possible {
                    self.add(path, Thing::Symlink, 0o777);
                }
                possible
            }
            Operation::Mode(path, mode) => match self.names.get(PATHS[*path]) {
                Some(&id) if self.things[id].0 != Thing::Symlink => {
                    self.things[id].1 = *mode;
                    true
                }
                _ => false,
            },
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(&id) = self.names.get(from) else { return false };
        if !self.has_parent(to) || to.starts_with(&format!("{from}/")) {
            return false;
        }
        if from == to || self.names.get(to) == Some(&id) {
            return true;
        }
        let directory = self.things[id].0 == Thing::Directory;
        match self.thing(to) {
            Some(Thing::Directory) if !directory || !self.is_empty(to) => return false,
            Some(Thing::File(_) | Thing::Symlink) if directory => return false,
            _ => {}
        }
        let below = format!("{from}/");
        let moved: Vec<_> =
            self.names.keys().filter(|name| *name == from || name.starts_with(&below)).cloned().collect();
        for name in moved {
            let id = self.names.remove(&name).expect("listed just above");
            self.names.insert(format!("{to}{}", &name[from.len()..]), id);
        }
        true
    }

    fn state(&self) -> BTreeMap<String, (Thing, u32)> {
        self.names.iter().map(|(name, &id)| (name.clone(), self.things[id].clone())).collect()
    }
}

fn apply(tree: &mut Tree, operation: &Operation) -> Result<(), Errno> {
    let path = |index: &usize| PATHS[*index].as_bytes();
    let existing = |tree: &mut Tree, index: &usize| tree.resolve(ROOT, path(index), false)?.existing();
    match operation {
        Operation::Write(index, bytes) => {
            let flags = OpenFlags { create: true, truncate: true, write: true, ..OpenFlags::default() };
            match tree.open(ROOT, path(index), flags, CREATOR)? {
                Opened::File(node) => tree.write_at(node, bytes, 0),
                _ => Err(Errno::Invalid),
            }
        }
        Operation::Append(index, bytes) => {
            let node = existing(tree, index)?;
            let end = tree.size(node);
            tree.set_size(node, end)?;
            tree.write_at(node, bytes, end)
        }
        Operation::Resize(index, size) => existing(tree, index).and_then(|node| tree.set_size(node, (*size).into())),
        Operation::MakeDirectory(index) => tree.make_directory(ROOT, path(index), CREATOR),
        Operation::RemoveDirectory(index) => tree.remove_directory(ROOT, path(index)),
        Operation::Unlink(index) => tree.remove_file(ROOT, path(index)),
        Operation::Rename(from, to) => tree.rename(ROOT, path(from), ROOT, path(to)),
        Operation::Link(from, to) => existing(tree, from).and_then(|node| tree.link(node, ROOT, path(to))),
        Operation::Symlink(index) => tree.make_symlink(ROOT, path(index), b"/nowhere".to_vec(), CREATOR),
        Operation::Mode(index, mode) => existing(tree, index).and_then(|node| tree.set_mode(node, *mode)),
    }
}

pub(super) fn layer(mut changes: Vec<Change>) -> Arc<Layer> {
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    let tar = tempfile::tempfile().expect("temporary file");
    let written = write_layer(changes, &tar).expect("the layer is written");
    Arc::new(Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(tar), index: written.index })
}

/// A lower layer whose times are those of the step, so that equal states are equal in everything.
fn lower(model: &Model) -> Arc<Layer> {
    let change = |(name, (thing, mode)): (String, (Thing, u32))| Change {
        path: name.into_bytes(),
        meta: Meta { mode, ..Meta::default() },
        node: match thing {
            Thing::Directory => Node::Directory { opaque: false },
            Thing::File(bytes) => Node::File(Content::bytes(bytes)),
            Thing::Symlink => Node::Symlink(b"/nowhere".to_vec()),
        },
    };
    layer(model.state().into_iter().map(change).collect())
}

fn state(view: &View) -> BTreeMap<String, (Thing, u32)> {
    let found = view.walk(b"").map(|found| found.expect("walks")).filter(|found| !found.path.is_empty());
    found
        .map(|found| {
            let thing = match found.node {
                Node::Directory { .. } => Thing::Directory,
                Node::File(content) => {
                    let mut bytes = Vec::new();
                    content.open().and_then(|mut input| input.read_to_end(&mut bytes)).expect("reads");
                    Thing::File(bytes)
                }
                _ => Thing::Symlink,
            };
            (String::from_utf8(found.path).expect("ours"), (thing, found.meta.mode))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_the_model(
        before in proptest::collection::vec(operation(), 0..12),
        operations in proptest::collection::vec(operation(), 0..25),
    ) {
        let mut model = Model::default();
        for operation in &before {
            model.apply(operation);
        }
        // Layers keep no hard links between what they hold and what comes later: begin without.
        let mut start = Model::default();
        for (name, (thing, mode)) in model.state() {
            start.add(&name, thing, mode);
        }
        let below = lower(&start);
        let scratch = tempfile::tempdir().expect("temporary directory");
        let view = View::new(vec![below.clone()]);
        let filesystem = filesystem(view, scratch.path());
        let mut model = start.clone();
        for operation in &operations {
            let expected = model.apply(operation);
            let done = apply(&mut filesystem.lock(), operation);
            prop_assert_eq!(done.is_ok(), expected, "{:?}: {:?}", operation, done);
        }
        let changes = filesystem.changes().expect("changes");
        let sorted = changes.is_sorted_by(|a, b| compare_paths(&a.path, &b.path).is_lt());
        prop_assert!(sorted);
        let shared = model.names.values().any(|id| model.names.values().filter(|other| *other == id).count() > 1);
        if model.state() == start.state() && !shared {
            prop_assert!(changes.is_empty(), "{:?}", changes);
        }
        let after = View::new(vec![below, layer(changes)]);
        prop_assert_eq!(state(&after), model.state());
    }
}

pub(super) fn filesystem(view: View, scratch: &std::path::Path) -> Filesystem {
    let memory = Arc::new(Budget::new(Limit::Memory(u64::MAX)));
    Filesystem::new(view, Clock::Still(0), false, scratch.to_owned(), &Limits::BUILD, memory, Arc::default())
        .expect("a filesystem")
}

fn create(tree: &mut Tree, path: &[u8]) -> NodeId {
    let flags = OpenFlags { create: true, exclusive: true, write: true, ..OpenFlags::default() };
    match tree.open(ROOT, path, flags, CREATOR) {
        Ok(Opened::File(node)) => node,
        _ => panic!("{} cannot be made", path.escape_ascii()),
    }
}

/// Anything quadratic would take minutes.
#[test]
fn a_hundred_thousand_names() {
    const COUNT: usize = 100_000;
    let scratch = tempfile::tempdir().expect("temporary directory");
    let first = filesystem(View::new(Vec::new()), scratch.path());
    {
        let mut tree = first.lock();
        tree.make_directory(ROOT, b"one", CREATOR).expect("made");
        for number in 0..COUNT {
            let node = create(&mut tree, format!("one/{number}").as_bytes());
            tree.write_at(node, b"x", 0).expect("written");
            tree.make_directory(ROOT, format!("{number}").as_bytes(), CREATOR).expect("made");
            create(&mut tree, format!("{number}/file").as_bytes());
        }
    }
    let below = layer(first.changes().expect("changes"));

    let second = filesystem(View::new(vec![below]), scratch.path());
    {
        let mut tree = second.lock();
        let one = tree.resolve(ROOT, b"one", false).and_then(|place| place.existing()).expect("there");
        assert_eq!(tree.list(one).expect("names").len(), COUNT + 2);
        for number in 0..COUNT {
            let name = format!("one/{number}").into_bytes();
            match number % 3 {
                0 => tree.remove_file(ROOT, &name).expect("removed"),
                1 => tree.rename(ROOT, &name, ROOT, format!("{number}/file").as_bytes()).expect("renamed"),
                _ => {
                    let node = tree.resolve(ROOT, &name, false).and_then(|place| place.existing()).expect("there");
                    tree.link(node, ROOT, format!("{number}/link").as_bytes()).expect("linked");
                }
            }
        }
        assert_eq!(tree.list(one).expect("names").len(), COUNT / 3 + 2);
    }
    let changes = second.changes().expect("changes");
    let whiteouts = changes.iter().filter(|change| matches!(change.node, Node::Whiteout)).count();
    let links = changes.iter().filter(|change| matches!(change.node, Node::HardLink(_))).count();
    assert_eq!((whiteouts, links), (COUNT - COUNT / 3, COUNT / 3));
}

/// Preview 1 calls names strings; those of images are bytes, and programs get them as they are.
#[test]
fn names_are_bytes() {
    let scratch = tempfile::tempdir().expect("temporary directory");
    let filesystem = filesystem(View::new(Vec::new()), scratch.path());
    let longest = [b'n'; 255];
    {
        let mut tree = filesystem.lock();
        create(&mut tree, b"\xff\xfe");
        create(&mut tree, &longest);
        for (path, errno) in [
            (&[b'n'; 256][..], Errno::NameTooLong),
            (&[b'/'; 4097], Errno::NameTooLong),
            (b"a\0b", Errno::Invalid),
            (b"", Errno::NotFound),
        ] {
            assert_eq!(tree.resolve(ROOT, path, false).map(|_| ()), Err(errno), "{}", path.escape_ascii());
        }
        assert!(tree.resolve(ROOT, &[b'/'; 4096], false).is_ok());
    }
    let changes = filesystem.changes().expect("changes");
    let names: Vec<_> = changes.iter().map(|change| &change.path[..]).collect();
    assert_eq!(names, [&longest[..], b"\xff\xfe"]);
}

/// Far apart: what lies between takes no room, neither in memory nor on disk.
#[test]
fn holes_take_no_room() {
    const FAR: u64 = 5 << 30;
    let scratch = tempfile::tempdir().expect("temporary directory");
    let filesystem = filesystem(View::new(Vec::new()), scratch.path());
    let mut tree = filesystem.lock();
    let node = create(&mut tree, b"sparse");
    for place in 0..2000 {
        tree.write_at(node, &[1; 65536], place * (FAR / 2000)).expect("written");
    }
    assert!(tree.spill.in_memory <= spill::IN_MEMORY);
    let mut bytes = [7; 2];
    assert_eq!(tree.read_at(node, &mut bytes, FAR / 2000 - 1), Ok(2));
    assert_eq!(bytes, [0, 1]);
    assert!(tree.size(node) > u64::from(u32::MAX));
    tree.set_size(node, 1).expect("cut");
    assert_eq!(tree.spill.in_memory, 1);
}
