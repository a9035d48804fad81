//! RUN lines of the kind people write, each run twice: by kiln's own shell and tools under WASI, and by dash and the
//! GNU tools of this machine in a root filesystem made of them. Output, exit code and files must be equal.
//!
//! The lines are in `*.txt` here: `=== name`, the line or lines, and where the two may differ
//! `--- differs in WHAT: reason`, which must then be so. Every line starts in `/app`, which holds a copy of `files/`.

mod native;
mod outcome;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kiln_exec::namespaces::Namespaces;
use kiln_exec::wasi::{Limits, Wasi};
use kiln_exec::{Cancel, Executor, Io, Network, Output, Process, Root, Stdin, Stream};
use kiln_image::{Change, Content, Layer, Meta, Node, User, View, compare_paths};
use kiln_store::Store;
use kiln_sys::userns::{self, Ids};
use kiln_types::Digest;

use crate::kiln::skip;
use outcome::Outcome;

/// In seconds since 1970: 2020-01-01, when all files were last changed.
const FILES_CHANGED: i64 = 1_577_836_800;
const LEAST_CASES: usize = 200;
const LEAST_EQUAL_PERCENT: usize = 95;

struct Case {
    name: String,
    line: String,
    /// Which parts of the outcome differ, for a reason that stands in the file.
    differs: BTreeSet<String>,
}

/// One way to run a line.
struct World<'a> {
    store: &'a Store,
    executor: Box<dyn Executor>,
    base: Vec<Arc<Layer>>,
}

#[test]
fn lines_do_what_they_do_natively() {
    let programs = match native::programs() {
        Ok(programs) => programs,
        Err(reason) => return skip(&reason),
    };
    if !matches!(userns::current(), Some(Ids::Root)) && userns::enter().ok() != Some(Ids::Root) {
        return skip("only root can give files to others");
    }
    let executor = Namespaces::new(Ids::Root);
    if let Err(unavailable) = executor.preflight() {
        return skip(&unavailable.to_string());
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(temporary.path()).expect("a new store");
    let files = store.add_layer(files()).expect("the files' layer");
    let programs = store.add_layer(programs).expect("the programs' layer");
    let wasi = Wasi::new(store.modules(), Limits::default());
    let wasi = World { store: &store, executor: Box::new(wasi), base: vec![files.clone()] };
    let native = World { store: &store, executor: Box::new(executor), base: vec![programs, files] };

    // Whoever compiles a module says so: not within a case.
    wasi.run("seq 1 | grep 1");
    let cases = cases();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(report) = compare(case, &native, &wasi) {
                        wrong.lock().expect("no thread panics with it").push(report);
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("no thread panics with it");
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} lines:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let equal = cases.iter().filter(|case| case.differs.is_empty()).count();
    assert!(cases.len() >= LEAST_CASES, "{} lines", cases.len());
    assert!(equal * 100 >= cases.len() * LEAST_EQUAL_PERCENT, "{equal} of {} are equal", cases.len());
}

/// What is wrong with a case, in words.
fn compare(case: &Case, native: &World, wasi: &World) -> Option<String> {
    let (expected, found) = (native.run(&case.line), wasi.run(&case.line));
    let differences = expected.differences(&found);
    let differing: BTreeSet<String> = differences.iter().map(|(part, _)| (*part).to_owned()).collect();
    if differing == case.differs {
        return None;
    }
    let mut report = format!("=== {}\n{}\n", case.name, case.line);
    for part in case.differs.difference(&differing) {
        let _ = writeln!(report, "{part} no longer differs");
    }
    for (_, words) in differences.iter().filter(|(part, _)| !case.differs.contains(*part)) {
        report.push_str(words);
    }
    Some(report)
}

impl World<'_> {
    fn run(&self, line: &str) -> Outcome {
        let (stdout, stderr) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let each = |stream: Stream, bytes: &[u8]| {
            let output = if stream == Stream::Out { &stdout } else { &stderr };
            output.lock().expect("no thread panics with it").extend_from_slice(bytes);
        };
        let scratch = self.store.scratch().expect("a scratch directory");
        let directory = |layer: &Layer| Ok(self.store.directory(layer)?);
        let root = Root {
            view: View::new(self.base.clone()),
            mounts: &[],
            directories: &directory,
            scratch: scratch.path(),
            shared: scratch.shared(),
        };
        let io = Io { stdin: Stdin::Empty, output: Output::Each(&each), cancel: &Cancel::new() };
        let finished = self.executor.run(&root, &process(line), &io).expect("the shell starts");
        let mut layers = self.base.clone();
        layers.push(self.store.add_layer(finished.changes).expect("a layer of the changes"));
        let bytes = |output: Mutex<Vec<u8>>| output.into_inner().expect("no thread panics with it");
        Outcome {
            status: finished.status.code(),
            stdout: bytes(stdout),
            stderr: bytes(stderr),
            files: outcome::files(&View::new(layers)),
        }
    }
}

fn process(line: &str) -> Process {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Process {
        argv: ["sh", "-c", line].map(str::to_owned).to_vec(),
        env: [("PATH", path), ("HOME", "/root")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        cwd: "/app".to_owned(),
        user: User { uid: 0, gid: 0, groups: Vec::new(), home: None, name: None },
        hostname: "battery".to_owned(),
        network: Network::None,
        hosts: Vec::new(),
        insecure: false,
        seed: Digest::of(line),
        clock: kiln_exec::Clock::Still(FILES_CHANGED),
        guest_tools: true,
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/battery")
}

fn cases() -> Vec<Case> {
    let entries = fs::read_dir(folder()).expect("the folder exists");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("text");
        cases.extend(text.split("\n=== ").skip(1).map(case));
    }
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    cases
}

fn case(text: &str) -> Case {
    let (name, body) = text.split_once('\n').expect("the line follows its name");
    let mut differs = BTreeSet::new();
    let mut line = body;
    if let Some((before, difference)) = body.split_once("\n--- differs in ") {
        let (parts, reason) = difference.split_once(": ").unwrap_or_else(|| panic!("{name}: no reason"));
        assert!(!reason.trim().is_empty(), "{name}: no reason");
        differs.extend(parts.split(", ").map(str::to_owned));
        line = before;
    }
    Case { name: name.to_owned(), line: line.trim_end().to_owned(), differs }
}

/// The files that every line finds, wherever the repository was checked out.
fn files() -> Vec<Change> {
    let mut changes = Vec::new();
    for directory in ["", "app", "dev", "etc", "opt", "proc", "root", "srv", "var"] {
        changes.push(directory_change(directory.as_bytes(), 0o755));
    }
    changes.push(directory_change(b"tmp", 0o1777));
    changes.push(file_change(b"etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n".to_vec()));
    changes.push(file_change(b"etc/group", 0o644, b"root:x:0:\n".to_vec()));
    add_folder(&folder().join("files"), b"app", &mut changes);
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    changes
}

fn add_folder(folder: &Path, below: &[u8], changes: &mut Vec<Change>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = [below, b"/", entry.file_name().as_encoded_bytes()].concat();
        if entry.path().is_dir() {
            changes.push(directory_change(&path, 0o755));
            add_folder(&entry.path(), &path, changes);
        } else {
            let mode = entry.metadata().expect("its metadata").permissions().mode();
            let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
            changes.push(file_change(&path, mode, fs::read(entry.path()).expect("a file")));
        }
    }
}

fn meta(mode: u32) -> Meta {
    Meta { mode, mtime: FILES_CHANGED, ..Meta::default() }
}

fn directory_change(path: &[u8], mode: u32) -> Change {
    Change { path: path.to_vec(), meta: meta(mode), node: Node::Directory { opaque: false } }
}

fn file_change(path: &[u8], mode: u32, bytes: Vec<u8>) -> Change {
    Change { path: path.to_vec(), meta: meta(mode), node: Node::File(Content::bytes(bytes)) }
}
