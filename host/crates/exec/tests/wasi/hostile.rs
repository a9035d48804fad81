//! Guests that want to hurt: nothing may panic, grow without bounds, or reach anything else.

use kiln_exec::Error;
use kiln_image::View;

use crate::support::A::{At, I, L, S, Slot};
use crate::support::{Script, layer, process, run, wasm};

/// Every import with every combination of unpleasant numbers in two of its parameters.
#[test]
fn no_arguments_do_harm() {
    let numbers = ["0", "1", "3", "4", "255", "65535", "262143", "262144", "2147483647", "-2147483648", "-1"];
    for (module, name, parameters) in crate::support::IMPORTS {
        // These may wait, or end the process, as they should.
        if ["poll_oneoff", "proc_raise", "kill"].contains(name) {
            continue;
        }
        let imports = format!("(import \"{module}\" \"{name}\" (func $f (param {}) (result i32)))", types(parameters));
        let mut body = String::new();
        let count = parameters.len();
        for first in 0..count.max(1) {
            for second in 0..=first {
                for (a, b) in numbers.iter().flat_map(|a| numbers.iter().map(move |b| (a, b))) {
                    let argument = |(index, kind): (usize, char)| {
                        let value = match index {
                            _ if index == first => a,
                            _ if index == second => b,
                            // Preopened, and a path that exists.
                            0 => "3",
                            _ => "4",
                        };
                        format!(" ({}.const {value})", if kind == 'l' { "i64" } else { "i32" })
                    };
                    let arguments: String = parameters.chars().enumerate().map(argument).collect();
                    body.push_str(&format!("(drop (call $f{arguments}))\n"));
                }
            }
        }
        let text = format!("(module {imports} (memory (export \"memory\") 4) (func (export \"_start\") {body}))");
        let view = View::new(vec![layer(&[("bin/test", Some(&wasm(&text))), ("etc/f", Some(b"x"))])]);
        let outcome = run(&view, &process(&["test"])).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.err);
    }
}

fn types(parameters: &str) -> String {
    parameters.chars().map(|kind| if kind == 'l' { "i64 " } else { "i32 " }).collect()
}

#[test]
fn a_module_without_memory_gets_errors() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func (export "_start") (call $exit (call $random (i32.const 0) (i32.const 1)))))"#;
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&wasm(text)))])]), &process(&["test"]));
    assert_eq!(outcome.expect("runs").code, 21);
}

#[test]
fn a_start_section_may_call() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func $early (call $exit (i32.add (i32.const 5) (call $random (i32.const 0) (i32.const 8)))))
        (start $early)
        (func (export "_start") unreachable))"#;
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&wasm(text)))])]), &process(&["test"]));
    assert_eq!(outcome.expect("runs").code, 5);
}

#[test]
fn memory_is_bounded() {
    let text = r#"(module (memory (export "memory") i64 1)
        (func (export "_start") (drop (memory.grow (i64.const 1000000)))))"#;
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&wasm(text)))])]), &process(&["test"]));
    assert!(matches!(outcome, Err(Error::Limit { limit, .. }) if limit.contains("memory")));
    let text = r#"(module (memory (export "memory") 1 2) (table 1 funcref)
        (func (export "_start")
          (if (i32.ne (memory.grow (i32.const 9)) (i32.const -1)) (then unreachable))
          (if (i32.ne (table.grow (ref.null func) (i32.const 2000000000)) (i32.const -1)) (then unreachable))))"#;
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&wasm(text)))])]), &process(&["test"]));
    assert_eq!(outcome.expect("runs").code, 0);
}

#[test]
fn files_are_bounded() {
    let outcome = {
        let script =
            Script::default().open("f", 1, 0).call("fd_filestat_set_size", &[At(0), L(60 << 30)]).open("g", 1, 1);
        let program = script.call("fd_filestat_set_size", &[At(1), L(60 << 30)]).wasm();
        run(&View::new(vec![layer(&[("bin/test", Some(&program))])]), &process(&["test"]))
    };
    assert!(matches!(outcome, Err(Error::Limit { limit, .. }) if limit.contains("files")));
}

#[test]
fn descriptors_are_bounded() {
    let body = "(local.set $i (i32.const 0))
        (loop $more
          (br_if $more (i32.eqz (call $path_open (i32.const 3) (i32.const 1) (i32.const 8192) (i32.const 1)
            (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))))";
    let script = Script::default().open("f", 1, 0).raw(body).open("g", 1, 0).call("fd_renumber", &[I(5), I(4)]);
    let outcome = script.run(&[]);
    assert_eq!(outcome.out, "0 33 0 ");
    assert_eq!(outcome.changes, ["file /f 644 0:0 315532800 \"\""]);
}

#[test]
fn deep_directories_end_somewhere() {
    // Each directory is made in the one before, through its descriptor.
    let body = "(local.set $i (i32.const 0)) (i32.store (i32.const 0) (i32.const 3))
        (loop $more
          (drop (call $path_create_directory (i32.load (i32.const 0)) (i32.const 8192) (i32.const 200)))
          (drop (call $path_open (i32.load (i32.const 0)) (i32.const 0) (i32.const 8192) (i32.const 200)
            (i32.const 2) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 64)))
          (drop (call $fd_close (i32.load (i32.const 128))))
          (i32.store (i32.const 128) (i32.load (i32.const 0)))
          (i32.store (i32.const 0) (i32.load (i32.const 64)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $i) (i32.const 5000))))";
    let name = "x".repeat(200);
    let program = Script::default().quiet("path_unlink_file", &[I(3), S(&name)]).raw(body).wasm();
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&program))])]), &process(&["test"]));
    assert!(matches!(outcome, Err(Error::Limit { limit, .. }) if limit.contains("path")));
}

#[test]
fn renaming_into_itself_is_refused() {
    let script = Script::default()
        .call("path_create_directory", &[I(3), S("a")])
        .call("path_create_directory", &[I(3), S("a/b")])
        .call("path_rename", &[I(3), S("a"), I(3), S("a/b/c")])
        .call("path_rename", &[I(3), S("a"), I(3), S("a")])
        .call("path_rename", &[I(3), S("."), I(3), S("b")])
        .call("path_rename", &[I(3), S("a/b"), I(3), S("/")])
        .call("path_remove_directory", &[I(3), S("a/.")])
        .call("path_remove_directory", &[I(3), S("/")])
        .call("path_rename", &[I(3), S("dev"), I(3), S("b")])
        .open("a/b", 2, 0)
        .call("path_remove_directory", &[I(3), S("a/b")])
        .call("path_create_directory", &[At(0), S("x")])
        .call("fd_readdir", &[At(0), I(512), I(512), L(0), Slot(1)])
        .print_u32(64);
    let outcome = script.run(&[]);
    assert_eq!(outcome.out, "0 0 28 0 10 10 28 10 10 0 0 44 0 51 ");
    assert_eq!(outcome.changes, ["dir /a 755 0:0 315532800"]);
}

#[test]
fn the_collected_heap_is_bounded_too() {
    let text = r#"(module (type $bytes (array (mut i8)))
        (memory (export "memory") 1)
        (func (export "_start") (loop $ever (drop (array.new_default $bytes (i32.const 1000000))) (br $ever))))"#;
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&wasm(text)))])]), &process(&["test"]));
    assert!(
        matches!(&outcome, Err(Error::Limit { limit, .. }) if limit.contains("memory")),
        "{:?}",
        outcome.map(|o| o.err)
    );
}

#[test]
fn exceptions_are_caught() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (tag $oops (param i32))
        (memory (export "memory") 1)
        (func (export "_start")
          (call $exit (block $caught (result i32)
            (try_table (catch $oops $caught) (throw $oops (i32.const 9)))
            (i32.const 0)))))"#;
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&wasm(text)))])]), &process(&["test"]));
    assert_eq!(outcome.expect("runs").code, 9);
}

#[test]
fn a_directory_outlives_what_was_above_it() {
    // `..` of a removed directory once was a directory that is gone, its number perhaps another's.
    let script = Script::default()
        .call("path_create_directory", &[I(3), S("a")])
        .call("path_create_directory", &[I(3), S("a/b")])
        .open("a/b", 2, 0)
        .call("path_remove_directory", &[I(3), S("a/b")])
        .call("path_remove_directory", &[I(3), S("a")])
        .open("f", 1, 1)
        .call("path_filestat_get", &[At(0), I(1), S(".."), I(256)])
        .call("path_filestat_get", &[At(0), I(1), S("../f"), I(256)])
        .call("path_create_directory", &[At(0), S("../x")])
        .call("fd_readdir", &[At(0), I(512), I(512), L(0), Slot(1)])
        .print_u32(64);
    let outcome = script.run(&[]);
    assert_eq!(outcome.out, "0 0 0 0 0 0 0 44 44 0 51 ");
}

#[test]
fn what_the_host_holds_for_a_guest_is_bounded() {
    let tables = "(table 9000000 funcref)".repeat(63);
    let text = format!("(module (memory (export \"memory\") 1) {tables} (func (export \"_start\")))");
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&wasm(&text)))])]), &process(&["test"]));
    assert!(matches!(outcome, Err(Error::Limit { limit, .. }) if limit.contains("memory")));

    // Empty arguments cost the guest a byte each, the host more.
    let script = Script::default()
        .raw("(drop (memory.grow (i32.const 64)))")
        .call("spawn", &[I(1 << 18), I(4 << 20), I(0), I(0), S("/"), I(0), I(0), Slot(0)]);
    assert_eq!(script.run(&[]).out, "1 ");
}

#[test]
fn many_small_files_take_little_room() {
    // 70 MiB of files of 70 000 bytes: what is beyond 64 MiB goes to the scratch file, a part of a page for each.
    let body = "(loop $more
        (i32.store8 (i32.const 8192) (i32.add (i32.const 97) (i32.and (local.get $i) (i32.const 15))))
        (i32.store8 (i32.const 8193) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $i) (i32.const 4)) (i32.const 15))))
        (i32.store8 (i32.const 8194) (i32.add (i32.const 97) (i32.shr_u (local.get $i) (i32.const 8))))
        (memory.fill (i32.const 32768) (local.get $i) (i32.const 70000))
        (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 8192) (i32.const 3) (i32.const 1) (i64.const -1)
          (i64.const 0) (i32.const 0) (i32.const 0)))
        (i32.store (i32.const 4200) (i32.const 32768)) (i32.store (i32.const 4204) (i32.const 70000))
        (drop (call $fd_write (i32.load (i32.const 0)) (i32.const 4200) (i32.const 1) (i32.const 4208)))
        (drop (call $fd_close (i32.load (i32.const 0))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 1050))))";
    let outcome = Script::default().raw(body).run(&[]);
    assert_eq!(outcome.changes.len(), 1050, "{}", outcome.err);
    for number in [0_usize, 957, 1000, 1049] {
        let name: String =
            [number & 15, number >> 4 & 15, number >> 8].map(|digit| (b'a' + digit as u8) as char).iter().collect();
        let digest = kiln_types::Digest::of(vec![number as u8; 70000]).short();
        let expected = format!("file /{name} 644 0:0 315532800 70000 bytes {digest}");
        assert!(outcome.changes.contains(&expected), "{expected}");
    }
}
