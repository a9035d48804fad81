//! Contents that are taken out of an earlier layer: the same layer comes of it, whatever became of the earlier one.

#![cfg(unix)]

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln_image::{Change, Content, Kind, Layer, Meta, Node, Source, Written, write_layer};
use kiln_types::Digest;
use proptest::prelude::*;

/// Counts how often it is opened.
struct Original(Vec<u8>, Arc<AtomicUsize>);

impl Source for Original {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Cursor::new(self.0.clone())))
    }
}

fn write(contents: &[(String, Content)]) -> (Written, File) {
    let change = |(path, content): &(String, Content)| {
        let meta = Meta { mode: 0o644, mtime: 7, ..Meta::default() };
        Change { path: path.clone().into_bytes(), meta, node: Node::File(content.clone()) }
    };
    let file = tempfile::tempfile().expect("temporary file");
    let written = write_layer(contents.iter().map(change).collect(), &file).expect("a valid change set");
    (written, file)
}

fn bytes_of(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().expect("metadata").len() as usize];
    file.read_exact_at(&mut bytes, 0).expect("read");
    bytes
}

/// Writes `now` plainly, and with what `then` made at hand after `damage` was done to it: both must be the same. Answers how
/// many originals were opened.
fn compare(then: &[Vec<u8>], now: &[Vec<u8>], damage: impl FnOnce(&File)) -> usize {
    let named = |contents: &[Vec<u8>]| -> Vec<(String, Content)> {
        let name = |number| format!("d{:02}/f{number:05}", number / 100);
        contents.iter().enumerate().map(|(number, bytes)| (name(number), Content::bytes(bytes.clone()))).collect()
    };
    let (former, tar) = write(&named(then));
    damage(&tar);
    let former = Layer { diff_id: former.diff_id, size: former.size, tar: Arc::new(tar), index: former.index };
    let opened = Arc::new(AtomicUsize::new(0));
    let copied = named(now).into_iter().zip(now).map(|((path, _), bytes)| {
        let content = Content::new(bytes.len() as u64, Original(bytes.clone(), Arc::clone(&opened)));
        let digest = Digest::of(bytes);
        let content = match former.index.get(path.as_bytes()).expect("whole") {
            Some(entry) if matches!(entry.kind, Kind::File { digest: known, .. } if known == digest) => {
                content.copied(&former.content(&entry), digest)
            }
            _ => content,
        };
        (path, content)
    });
    let (found, tar) = write(&copied.collect::<Vec<_>>());
    let (expected, plain) = write(&named(now));
    assert_eq!((found.diff_id, found.size), (expected.diff_id, expected.size));
    assert!(found.index.to_bytes().expect("whole") == expected.index.to_bytes().expect("whole"));
    assert!(bytes_of(&tar) == bytes_of(&plain));
    opened.load(Ordering::Relaxed)
}

fn small(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_string().repeat(number % 700).into_bytes()).collect()
}

#[test]
fn only_what_changed_is_opened() {
    let then = small(3000);
    let mut now = then.clone();
    now[1700] = b"changed".to_vec();
    now.push(b"new".to_vec());
    assert_eq!(compare(&then, &now, |_| {}), 2);
    assert_eq!(compare(&now, &then, |_| {}), 1, "one was removed");
}

#[test]
fn big_files_are_read_where_they_are() {
    let then = vec![b"small".to_vec(), vec![1; 3 << 20], vec![2; 256 << 10], vec![], vec![3; (256 << 10) + 1]];
    assert_eq!(compare(&then, &then, |_| {}), 2);
}

#[test]
fn a_layer_that_is_cut_off_or_empty_lends_only_what_is_left() {
    let then = small(2000);
    assert_eq!(compare(&then, &then, |tar| tar.set_len(0).expect("cut")), 1997, "three contents are empty");
    let half = |tar: &File| tar.set_len(tar.metadata().expect("metadata").len() / 2).expect("cut");
    let opened = compare(&then, &then, half);
    assert!((800..1200).contains(&opened), "{opened}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_never_passed_on(at in proptest::collection::vec((any::<prop::sample::Index>(), any::<[u8; 40]>()), 1..30)) {
        let then = small(1000);
        compare(&then, &then, |tar| {
            let length = tar.metadata().expect("metadata").len() as usize;
            for (at, bytes) in at {
                tar.write_all_at(&bytes, at.index(length) as u64).expect("write");
            }
        });
    }
}
