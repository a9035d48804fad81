//! kiln's preview 1 beside wasi-common's, which works on a real directory: the same calls in the same order, compared
//! by their answers and by the files that are left.
//!
//! A case is a few steps: each begins with the layers that the steps before it have left, so lower files, whiteouts and
//! replaced directories come about by themselves.

mod differences;
mod hosts;
mod operations;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use kiln_image::{Change, Layer, Meta, Node, View, write_layer};
use proptest::prelude::*;

use differences::{Verdict, verdict};
use hosts::{HOME, Ours, Theirs};
use operations::{Operation, Program, operation};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
}

type State = BTreeMap<Vec<u8>, Thing>;

fn state_of_directory(directory: &Path, prefix: &[u8], state: &mut State) {
    for entry in fs::read_dir(directory).expect("readable") {
        let entry = entry.expect("readable");
        let path = [prefix, entry.file_name().as_bytes()].concat();
        let file_type = entry.file_type().expect("readable");
        let thing = if file_type.is_dir() {
            state_of_directory(&entry.path(), &[&path[..], b"/"].concat(), state);
            Thing::Directory
        } else if file_type.is_symlink() {
            Thing::Symlink(fs::read_link(entry.path()).expect("a link").as_os_str().as_bytes().to_vec())
        } else {
            Thing::File(fs::read(entry.path()).expect("readable"))
        };
        state.insert(path, thing);
    }
}

fn state_of_view(view: &View) -> State {
    let home = &HOME[1..];
    let found = view.walk(home).map(|found| found.expect("walks")).filter(|found| found.path != home);
    found
        .map(|found| {
            let thing = match found.node {
                Node::Directory { .. } => Thing::Directory,
                Node::File(content) => {
                    let mut bytes = Vec::new();
                    content.open().and_then(|mut input| input.read_to_end(&mut bytes)).expect("reads");
                    Thing::File(bytes)
                }
                Node::Symlink(target) => Thing::Symlink(target),
                other => panic!("{other:?}"),
            };
            (found.path[home.len() + 1..].to_vec(), thing)
        })
        .collect()
}

fn layer(changes: Vec<Change>) -> Arc<Layer> {
    let tar = tempfile::tempfile().expect("temporary file");
    let written = write_layer(changes, &tar).expect("the layer is written");
    Arc::new(Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(tar), index: written.index })
}

/// Files of a layer are separate when a step changes one of them, whatever links there were.
fn separate_links(directory: &Path) {
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        let meta = fs::symlink_metadata(&path).expect("readable");
        if meta.is_dir() {
            separate_links(&path);
        } else if meta.is_file() {
            let bytes = fs::read(&path).expect("readable");
            fs::remove_file(&path).expect("removable");
            fs::write(&path, bytes).expect("writable");
        } else {
            let target = fs::read_link(&path).expect("a link");
            fs::remove_file(&path).expect("removable");
            std::os::unix::fs::symlink(target, &path).expect("writable");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_wasi_common(
        steps in proptest::collection::vec(proptest::collection::vec(operation(), 0..40), 1..4),
    ) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let home = directory.path().join("home");
        fs::create_dir(&home).expect("made");
        let node = Node::Directory { opaque: false };
        let mut layers = vec![layer(vec![Change { path: HOME[1..].to_vec(), meta: Meta::implied_directory(), node }])];
        for operations in steps {
            separate_links(&home);
            let mut ours = Program::new(Ours::new(View::new(layers.clone()), directory.path()));
            let mut theirs = Program::new(Theirs::new(&home));
            let mut done: Vec<(Operation, _)> = Vec::new();
            for operation in operations {
                let (our_answer, their_answer) = (ours.perform(&operation), theirs.perform(&operation));
                match verdict(&operation, &our_answer, &their_answer) {
                    Verdict::Alike | Verdict::Intended => {}
                    Verdict::Over => return Ok(()),
                    Verdict::Wrong => prop_assert!(
                        false, "{operation:?}:\n  ours {our_answer:?}\ntheirs {their_answer:?}\nafter {done:#?}"
                    ),
                }
                done.push((operation, our_answer.errno));
            }
            drop(theirs);
            layers.push(layer(ours.host.into_changes()));
            let mut expected = State::new();
            state_of_directory(&home, b"", &mut expected);
            prop_assert_eq!(state_of_view(&View::new(layers.clone())), expected, "after {:#?}", done);
        }
    }
}
