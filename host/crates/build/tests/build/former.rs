//! A COPY whose former layer is still there makes the layer that it would make without it.

#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use kiln_build::{Event, Reporter};
use kiln_types::Digest;

use crate::support::Bench;

const DOCKERFILE: &str = "FROM scratch\nCOPY files /files\n";

/// So many files that their layer is remembered.
fn bench() -> Bench {
    let bench = Bench::new();
    for number in 0..400 {
        bench.file(&format!("files/d{}/f{number}", number % 7), &number.to_string().repeat(number % 90));
    }
    bench.file("files/big", &"big ".repeat(1 << 18));
    bench
}

fn layers(bench: &Bench, id: Digest) -> Vec<Digest> {
    bench.config(id).rootfs.diff_ids
}

/// What a store makes of the context that has never seen it.
fn anew(bench: &Bench) -> Vec<Digest> {
    let other = Bench::new();
    let id = other.run(&bench.request(DOCKERFILE)).id();
    layers(&other, id)
}

fn blob(bench: &Bench, layer: &Digest) -> PathBuf {
    let mut left = vec![bench.store().root().join("blobs")];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("can be listed").map(|entry| entry.expect("can be listed")) {
            match entry.file_type().expect("has one") {
                kind if kind.is_dir() => left.push(entry.path()),
                _ if entry.file_name().to_string_lossy().ends_with(&layer.hex()) => return entry.path(),
                _ => {}
            }
        }
    }
    panic!("{layer} is not in the store");
}

/// What is done to the files, in words and in deed.
type Change<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn whatever_changes_the_layer_is_the_same() {
    let write = |path: PathBuf, text: &str| fs::write(path, text).expect("can be written");
    let remove = |path: &Path| fs::remove_file(path).expect("can be removed");
    let changes: &[Change<'_>] = &[
        ("nothing", &|_| {}),
        ("a file, of the same size", &|files| write(files.join("d3/f3"), "000")),
        ("a longer file", &|files| write(files.join("d3/f10"), &"long".repeat(100_000))),
        ("an emptied file", &|files| write(files.join("d3/f10"), "")),
        ("a new file between others", &|files| write(files.join("d3/f100-"), "new")),
        ("a removed file", &|files| remove(&files.join("d3/f10"))),
        ("a removed directory", &|files| fs::remove_dir_all(files.join("d4")).expect("can be removed")),
        ("a renamed directory", &|files| fs::rename(files.join("d4"), files.join("e")).expect("can be renamed")),
        ("a link in its place", &|files| {
            remove(&files.join("d3/f10"));
            symlink("f3", files.join("d3/f10")).expect("can be made");
        }),
        ("a directory in its place", &|files| {
            remove(&files.join("d3/f10"));
            fs::create_dir(files.join("d3/f10")).expect("can be made");
        }),
        ("a second name", &|files| fs::hard_link(files.join("d3/f10"), files.join("d0/linked")).expect("can be made")),
        ("another mode", &|files| {
            fs::set_permissions(files.join("d3/f10"), fs::Permissions::from_mode(0o751)).expect("can be set");
        }),
        ("a big file", &|files| {
            let file = File::options().write(true).open(files.join("big")).expect("is there");
            file.write_all_at(b"small", 700_000).expect("can be written");
        }),
        ("a sparse file", &|files| {
            let file = File::create(files.join("d1/sparse")).expect("can be made");
            file.set_len(3 << 20).and_then(|()| file.write_all_at(b"end", 3 << 20)).expect("can be written");
        }),
        ("two contents that change places", &|files| {
            let (a, b, c) = (files.join("d1/f50"), files.join("d2/f51"), files.join("c"));
            [(&a, &c), (&b, &a), (&c, &b)].iter().for_each(|(from, to)| fs::rename(from, to).expect("can be renamed"));
        }),
    ];
    for (what, change) in changes {
        let bench = bench();
        bench.build(DOCKERFILE).id();
        change(&bench.context.join("files"));
        assert_eq!(layers(&bench, bench.build(DOCKERFILE).id()), anew(&bench), "{what}");
        // And with what that left behind.
        fs::write(bench.context.join("files/d5/f5"), "again").expect("can be written");
        assert_eq!(layers(&bench, bench.build(DOCKERFILE).id()), anew(&bench), "{what}, then another");
    }
}

#[test]
fn a_former_layer_that_is_damaged_or_gone_is_made_up_for() {
    let damages: [&dyn Fn(&Path); 3] = [
        &|blob| {
            let file = File::options().write(true).open(blob).expect("ours");
            let length = file.metadata().expect("there").len();
            for at in (0..length).step_by(10_000) {
                file.write_all_at(&[0x5a; 700], at).expect("can be written");
            }
        },
        &|blob| {
            let file = File::options().write(true).open(blob).expect("ours");
            file.set_len(100_000).expect("can be cut");
        },
        &|blob| fs::remove_file(blob).expect("can be removed"),
    ];
    for damage in damages {
        let bench = bench();
        let former = layers(&bench, bench.build(DOCKERFILE).id())[0];
        bench.store().sync().expect("written out");
        let blob = blob(&bench, &former);
        fs::set_permissions(&blob, fs::Permissions::from_mode(0o600)).expect("ours");
        damage(&blob);
        bench.file("files/d0/f0", "changed");
        assert_eq!(layers(&bench, bench.build(DOCKERFILE).id()), anew(&bench));
    }
}

/// Removes a file when the key is known, and before the layer is written.
struct Removes(PathBuf);

impl Reporter for Removes {
    fn event(&self, event: Event<'_>) {
        if let Event::Explained { .. } = event {
            drop(fs::remove_file(&self.0));
        }
    }
}

#[test]
fn what_is_known_is_not_opened() {
    let bench = bench();
    bench.build(DOCKERFILE).id();
    let attempt = |changed: &str, removed: &str| {
        bench.file("files/d0/f0", changed);
        let expected = anew(&bench);
        let mut request = bench.request(DOCKERFILE);
        request.explain = true;
        let removes = Removes(bench.context.join(removed));
        let built = kiln_build::build(&request, bench.environment(), &removes);
        assert!(!removes.0.exists());
        built.map(|built| assert_eq!(layers(&bench, built.image), expected))
    };
    attempt("one", "files/d2/f30").expect("it is as it was when the key was made");
    attempt("two", "files/d0/f0").expect_err("only the file itself has the new content");
}

#[test]
fn a_fresh_checkout_is_keyed_first() {
    let bench = bench();
    let first = bench.build(DOCKERFILE).id();
    for number in 0..400 {
        let file = File::options().append(true).open(bench.context.join(format!("files/d{}/f{number}", number % 7)));
        let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
        file.and_then(|file| file.set_modified(yesterday)).expect("ours");
    }
    let again = bench.build(DOCKERFILE);
    assert_eq!((again.how(), again.id()), (vec!["hit"], first));
}
