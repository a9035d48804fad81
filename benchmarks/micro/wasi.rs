//! What a WASI step costs: a process that does nothing, and one that asks for files of a layered root.

use std::path::Path;

use criterion::Criterion;
use kiln_exec::wasi::{Limits, Wasi};
use kiln_exec::{Cancel, Executor as _, Io, Network, Output, Process, Root, Status, Stdin};
use kiln_image::{Layer, Node, User, View};
use kiln_types::Digest;

use crate::samples::{change, file, layer};

const CALLS: usize = 10_000;

/// A guest that runs `body` 10,000 times. `$root` is the descriptor of the root directory, "f" at 1024 the file's path.
fn guest(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "d/f")
  (data (i32.const 2048) "\00\10\00\00\00\10\00\00")
  (global $root i32 (i32.const 3))
  (func $must (param i32) (if (local.get 0) (then unreachable)))
  (func (export "_start") (local $left i32)
    (local.set $left (i32.const {CALLS}))
    (loop $again
      {body}
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"#
    );
    wat::parse_str(text).unwrap()
}

const STAT: &str =
    "(call $must (call $stat (global.get $root) (i32.const 1) (i32.const 1024) (i32.const 3) (i32.const 0)))";
const OPEN: &str =
    "(call $must (call $open (global.get $root) (i32.const 1) (i32.const 1024) (i32.const 3) (i32.const 0)
  (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 512)))";
const READ: &str =
    "(call $must (call $read (i32.load (i32.const 512)) (i32.const 2048) (i32.const 1) (i32.const 520)))";
const CLOSE: &str = "(call $must (call $close (i32.load (i32.const 512))))";

/// The program, and beside it a directory with one file, in the lowest of 20 layers.
fn root(program: Vec<u8>) -> View {
    let base =
        vec![change("d", Node::Directory { opaque: false }), file("d/f", vec![b'x'; 4096]), file("program", program)];
    let above = (1..20).map(|number| layer(vec![file(&format!("other{number}"), "x")]));
    View::new(std::iter::once(layer(base)).chain(above).collect())
}

fn run(wasi: &Wasi, view: &View, scratch: &Path) {
    let process = Process {
        argv: vec!["/program".to_owned()],
        env: Vec::new(),
        cwd: "/".to_owned(),
        user: User { uid: 0, gid: 0, groups: Vec::new(), home: None, name: None },
        hostname: "kiln".to_owned(),
        network: Network::None,
        hosts: Vec::new(),
        insecure: false,
        seed: Digest::of("seed"),
        clock: kiln_exec::Clock::Still(315_532_800),
        guest_tools: false,
    };
    let directories = |_: &Layer| Err("not asked for".into());
    let root = Root { view: view.clone(), mounts: &[], directories: &directories, scratch, shared: scratch };
    let io = Io { stdin: Stdin::Empty, output: Output::Each(&|_, _| {}), cancel: &Cancel::new() };
    assert_eq!(wasi.run(&root, &process, &io).unwrap().status, Status::Exited(0));
}

pub(crate) fn filesystem(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let wasi = Wasi::new(directory.path().join("modules"), Limits::BUILD);
    let mut group = c.benchmark_group("wasi");
    group.sample_size(20);
    let cases = [
        ("a process that loops 10,000 times", String::new()),
        ("10,000 × stat", STAT.to_owned()),
        ("10,000 × open, read 4 KiB, close", format!("{OPEN}{READ}{CLOSE}")),
    ];
    for (name, body) in cases {
        let view = root(guest(&body));
        // Compiles it.
        run(&wasi, &view, directory.path());
        group.bench_function(name, |b| b.iter(|| run(&wasi, &view, directory.path())));
    }
}
