//! The same key, the same result: everything that could differ is looked at.

use kiln_exec::Cancel;
use kiln_exec::wasi::{Limits, Wasi};
use kiln_image::View;
use kiln_types::Digest;

use crate::support::A::{At, I, L, S, Slot};
use crate::support::{BUFFER, Script, layer, process, run, run_in, wasm};

/// Randomness, clocks, inode numbers and NaNs, written to a file.
fn curious() -> Script {
    Script::default()
        .open("out", 1, 0)
        .call("random_get", &[I(BUFFER), I(64)])
        .open("dev/urandom", 0, 1)
        .store(4200, BUFFER as u32 + 64)
        .store(4204, 64)
        .call("fd_read", &[At(1), I(4200), I(1), I(4208)])
        .call("clock_time_get", &[I(0), L(0), I(BUFFER + 128)])
        .call("clock_time_get", &[I(1), L(0), I(BUFFER + 136)])
        .call("fd_filestat_get", &[At(0), I(BUFFER + 144)])
        .open("etc", 2, 2)
        .call("fd_readdir", &[At(2), I(BUFFER + 256), I(1024), L(0), Slot(3)])
        .raw(&format!("(f64.store (i32.const {}) (f64.div (f64.const -0) (f64.const 0)))", BUFFER + 2000))
        .store(4200, BUFFER as u32)
        .store(4204, 2048)
        .call("fd_write", &[At(0), I(4200), I(1), I(4208)])
}

#[test]
fn runs_are_alike() {
    let test = curious().wasm();
    let view = View::new(vec![layer(&[("bin/test", Some(&test)), ("etc/a", Some(b"")), ("etc/b", Some(b""))])]);
    let here = run(&view, &process(&["test"])).expect("runs");
    // A compiler and a place of its own; then the same compiler's file.
    let directory = tempfile::tempdir().expect("temporary directory");
    for _ in 0..2 {
        let wasi = Wasi::new(directory.path().join("modules"), Limits::BUILD);
        let scratch = tempfile::tempdir_in(directory.path()).expect("temporary directory");
        let there = run_in(&wasi, scratch.path(), &view, &process(&["test"]), &Cancel::new()).expect("runs");
        assert_eq!(here, there);
    }
    // A break of this digest is a new ABI.
    assert_eq!(here.changes, ["file /out 644 0:0 315532800 2048 bytes 2198746c9519"]);

    let mut other = process(&["test"]);
    other.seed = Digest::of("another seed");
    assert_ne!(run(&view, &other).expect("runs").changes, here.changes);
}

/// Children that run at once: each has a seed and a clock of its own, whichever comes first.
#[test]
fn children_are_alike() {
    let child = Script::default()
        .call("random_get", &[I(BUFFER), I(32)])
        .call("clock_time_get", &[I(1), L(0), I(BUFFER + 32)])
        .store(4200, BUFFER as u32)
        .store(4204, 40)
        .call("fd_write", &[I(1), I(4200), I(1), I(4208)])
        .wasm();
    let mut parent = Script::default();
    for slot in 0..8 {
        parent = parent
            .open(&format!("out{slot}"), 1, slot)
            .raw(&format!("(i32.store (i32.const 5000) (i32.load (i32.const {})))", slot * 64))
            .store(5004, 1)
            .call("spawn", &[S("child\0"), S("PATH=/bin\0"), S("/"), I(5000), I(1), Slot(20)])
            .print_u32(20 * 64);
    }
    for _ in 0..8 {
        parent = parent.call("wait", &[I(-1), I(0), Slot(20), Slot(21)]).print_u32(21 * 64);
    }
    let parent = parent.wasm();
    let view = View::new(vec![layer(&[("bin/parent", Some(&parent)), ("bin/child", Some(&child))])]);
    let first = run(&view, &process(&["parent"])).expect("runs");
    for _ in 0..5 {
        assert_eq!(run(&view, &process(&["parent"])).expect("runs"), first);
    }
    assert_eq!(Digest::of(first.changes.join("\n")).short(), "1e9d66c90101");
}

/// All that a script can ask of its world, in two places: the digest of what it leaves is part of the ABI.
#[test]
fn a_script_leaves_the_same_everywhere() {
    let script = "set -e; mkdir -p /work/d; cd /work/d; for i in 3 1 2; do echo $i > f$i; done; ln f1 g; ln -s f2 l
        date > time; head -c 40 /dev/urandom | od -An -tx1 > random; mktemp -u >> random; ls -lia / . > list
        env > env; umask > umask; find / -newer f1 > newer; cat f* | sort -r | tee sorted | sha256sum > sum
        (sleep 5; date) > late & (echo $$; id) > self; wait; chmod 4750 f3; touch -d 2001-02-03 f2
        { false; echo $?; sh -c 'exit 7'; echo $?; } > codes 2>&1 || true; tar -cf all.tar f1 f2 g l; gzip -k all.tar";
    let mut process = process(&["sh", "-c", script]);
    process.guest_tools = true;
    let view = View::new(vec![layer(&[("etc/b", Some(b"b")), ("etc/a", Some(b"a"))])]);
    let first = run(&view, &process).expect("runs");
    assert_eq!((first.code, &first.err[..]), (0, ""));
    let directory = tempfile::tempdir().expect("temporary directory");
    let wasi = Wasi::new(directory.path().join("modules"), Limits::BUILD);
    for place in ["here", "a/deeper/place"] {
        let scratch = directory.path().join(place);
        std::fs::create_dir_all(&scratch).expect("a directory");
        let other = run_in(&wasi, &scratch, &view, &process, &Cancel::new()).expect("runs");
        assert_eq!(other, first);
    }
    let digest = Digest::of(first.changes.join("\n")).short();
    assert_eq!(digest, "5d40d91e98c5", "{}", first.changes.join("\n"));
}

#[path = "../../../../../tests/conformance/torture.rs"]
mod torture;

/// Everything that could differ between two hosts, and between two versions of the engine.
#[test]
fn torture_leaves_the_same_layer_everywhere() {
    let program = wasm(&torture::program());
    let view = View::new(vec![layer(&[
        ("bin/torture", Some(&program)),
        ("in/b", Some(b"bb")),
        ("in/a", Some(b"a")),
        ("in/Z", Some(b"")),
        ("in/~", Some(b"")),
    ])]);
    let first = run(&view, &process(&["torture"])).expect("runs");
    assert_eq!((first.code, &first.out[..], &first.err[..]), (0, "", ""));
    for _ in 0..5 {
        assert_eq!(run(&view, &process(&["torture"])).expect("runs"), first);
    }
    let digest = Digest::of(first.changes.join("\n")).short();
    assert_eq!(digest, "52032ace11fd", "{}", first.changes.join("\n"));
}
