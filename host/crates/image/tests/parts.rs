//! Indexes of which only parts are read: they show what whole ones show, and damage to them is an error.

use std::fs::File;
use std::io::{Cursor, Write as _};
use std::sync::Arc;

use kiln_image::{Change, Content, Error, Index, Layer, Meta, Node, View, Written, write_layer};
use proptest::prelude::*;

struct Kept {
    written: Written,
    tar: Arc<File>,
    bytes: Vec<u8>,
}

fn keep(changes: Vec<Change>) -> Kept {
    let tar = tempfile::tempfile().expect("temporary file");
    let written = write_layer(changes, &tar).expect("written");
    let bytes = written.index.to_bytes().expect("in memory");
    Kept { written, tar: Arc::new(tar), bytes }
}

impl Kept {
    fn layer(&self, index: Index) -> Layer {
        Layer { diff_id: self.written.diff_id, size: self.written.size, tar: Arc::clone(&self.tar), index }
    }

    /// Where the records begin: what is before them is the header and the kernel's.
    fn records(&self) -> usize {
        u64::from_le_bytes(self.bytes[136..144].try_into().expect("eight bytes")) as usize
    }
}

fn in_file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(bytes).and_then(|()| std::io::Seek::rewind(&mut file)).expect("written");
    file
}

/// A tree with this many directories in each, and so deep, some of whose entries have long names or attributes.
fn tree(width: usize, depth: usize, seed: usize) -> Vec<Change> {
    fn fill(changes: &mut Vec<Change>, path: &str, width: usize, depth: usize, seed: usize) {
        for number in 0..width {
            let mix = (seed + changes.len()).wrapping_mul(0x9e37_79b9) >> 7;
            let name = format!("{path}{number:03}{}", "n".repeat(if mix.is_multiple_of(97) { 200 } else { mix % 5 }));
            let long = if mix.is_multiple_of(211) { 9000 } else { mix % 40 };
            let xattrs = if mix.is_multiple_of(3) { vec![(b"user.a".to_vec(), vec![b'v'; long])] } else { Vec::new() };
            let meta =
                Meta { mode: 0o700, uid: mix as u32 % 9, xattrs: xattrs.into_iter().collect(), ..Meta::default() };
            let file = changes.iter().rev().find(|change| matches!(change.node, Node::File(_)));
            let node = match (depth, mix % 8, file) {
                (0, 0, Some(file)) => Node::HardLink(file.path.clone()),
                (0, 1, _) => Node::Symlink(vec![b't'; 1 + mix % 300]),
                (0, 2, _) => Node::Whiteout,
                (0, 3, _) => Node::CharDevice { major: 1, minor: number as u32 },
                (0, ..) => Node::File(Content::bytes(vec![b'c'; mix % 100])),
                (_, 7, _) => Node::Directory { opaque: true },
                _ => Node::Directory { opaque: false },
            };
            changes.push(Change { path: name.clone().into_bytes(), meta, node });
            if depth > 0 {
                fill(changes, &format!("{name}/"), width, depth - 1, seed);
            }
        }
    }
    let mut changes = Vec::new();
    fill(&mut changes, "", width, depth, seed);
    changes
}

/// Everything that can be asked about these paths.
fn answers(index: &Index, paths: &[Vec<u8>]) -> Result<Vec<String>, Error> {
    let mut answers = Vec::new();
    for path in paths {
        answers.push(format!("{:?}", index.get(path)?));
        answers.push(format!("{:?}", index.children(path)?));
        let after = index.iter_from(path)?.take(2).collect::<Result<Vec<_>, _>>()?;
        answers.push(format!("{after:?}"));
    }
    Ok(answers)
}

fn seen(layer: Layer, paths: &[Vec<u8>]) -> Result<Vec<String>, Error> {
    let view = View::new(vec![Arc::new(layer)]);
    let mut seen = Vec::new();
    for path in paths {
        seen.push(format!("{:?}", view.lookup(path)?));
        seen.push(format!("{:?}", view.resolve(path, true)?));
    }
    for found in view.walk(b"") {
        seen.push(format!("{:?}", found?));
    }
    Ok(seen)
}

/// Those of the layer in a mixed order, and some that it has not.
fn paths(index: &Index, step: usize) -> Vec<Vec<u8>> {
    let there: Vec<Vec<u8>> = index.iter().map(|entry| entry.expect("in memory").path.to_vec()).collect();
    let mut paths = vec![b"~".to_vec(), b"000/nothing".to_vec(), b"000/000/000/000/000".to_vec()];
    paths.extend((0..there.len()).step_by(step).map(|number| there[number * 7919 % there.len()].clone()));
    paths
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn parts_show_what_the_whole_shows(width in 1..14usize, depth in 0..3usize, seed in any::<u16>(), step in 1..50usize) {
        let kept = keep(tree(width, depth, seed.into()));
        let paths = paths(&kept.written.index, step);
        let whole = || Index::read(Cursor::new(&kept.bytes)).expect("own bytes");
        let parts = || Index::open_known(in_file(&kept.bytes)).expect("own bytes");
        let index = parts();
        prop_assert_eq!(answers(&index, &paths).expect("whole"), answers(&whole(), &paths).expect("whole"));
        let all = |index: &Index| index.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>();
        prop_assert_eq!(all(&parts()), all(&whole()));
        prop_assert_eq!(all(&index), all(&whole()));
        prop_assert!(index.to_bytes().expect("whole") == kept.bytes);
        let seen = |index| seen(kept.layer(index), &paths).expect("whole");
        prop_assert_eq!(seen(parts()), seen(whole()));
    }

    #[test]
    fn damage_is_an_error_at_worst(
        (width, depth) in (1..12usize, 0..3usize),
        seed in any::<u16>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        whole_first in any::<bool>(),
    ) {
        let mut kept = keep(tree(width, depth, seed.into()));
        let paths = paths(&kept.written.index, 3);
        let records = kept.records();
        for (at, byte) in damage {
            let at = records + at.index(kept.bytes.len() - records);
            kept.bytes[at] = byte;
        }
        let index = Index::open_known(in_file(&kept.bytes)).expect("header and length are right");
        if whole_first {
            let _ = index.iter().collect::<Result<Vec<_>, _>>();
        }
        for path in &paths {
            let _ = answers(&index, std::slice::from_ref(path));
        }
        // Damaged or not, what is read is never sealed unchecked.
        prop_assert!(index.to_bytes().is_err() || index.to_bytes().is_ok_and(|bytes| bytes == kept.bytes));
        let _ = seen(kept.layer(index), &paths);
    }
}

#[test]
fn what_is_cut_off_meanwhile_is_an_error() {
    let kept = keep(tree(20, 1, 5));
    let paths = paths(&kept.written.index, 1);
    for length in [0, 700, kept.records(), kept.records() + 10_000, kept.bytes.len() - 1] {
        let file = in_file(&kept.bytes);
        let index = Index::open_known(file.try_clone().expect("a second descriptor")).expect("own bytes");
        file.set_len(length as u64).expect("cut off");
        assert!(matches!(answers(&index, &paths), Err(Error::DamagedIndex { .. })), "{length}");
        assert!(index.iter().any(|entry| entry.is_err()), "{length}");
        assert!(index.to_bytes().is_err(), "{length}");
        assert!(Index::open_known(in_file(&kept.bytes[..length])).is_err(), "{length}");
    }
}

#[test]
fn many_threads_may_ask_at_once() {
    let kept = keep(tree(40, 1, 9));
    let paths = paths(&kept.written.index, 1);
    let expected = answers(&kept.written.index, &paths).expect("in memory");
    let index = Index::open_known(in_file(&kept.bytes)).expect("own bytes");
    std::thread::scope(|scope| {
        let ask = || scope.spawn(|| answers(&index, &paths).expect("whole"));
        let asked: Vec<_> = (0..4).map(|_| ask()).collect();
        for answer in asked {
            assert!(answer.join().expect("no panic") == expected);
        }
    });
}
