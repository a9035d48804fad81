//! What preview 1 calls answer, and what they leave in the change set.

use kiln_image::View;

use crate::support::A::{At, I, L, S, Slot};
use crate::support::{BUFFER, Script, layer, process, run};

const CREATE: i32 = 1;
const DIRECTORY: i32 = 2;
const EXCLUSIVE: i32 = 4;
const TRUNCATE: i32 = 8;
const ALL_RIGHTS: i64 = 0x1fff_ffff;

fn create(script: Script, path: &str, text: &str) -> Script {
    script.open(path, CREATE | TRUNCATE, 0).write(At(0), text).quiet("fd_close", &[At(0)])
}

#[test]
fn doing_nothing_changes_nothing() {
    let outcome = Script::default().run(&[("etc/hosts", Some(b"x"))]);
    assert_eq!((outcome.code, outcome.changes), (0, vec![]));
}

#[test]
fn new_files_have_the_steps_time_and_mask() {
    let script = create(Script::default(), "a/new", "text")
        .call("path_create_directory", &[I(3), S("a/dir")])
        .call("path_symlink", &[S("../x"), I(3), S("a/dir/link")]);
    let outcome = script.run(&[("a", None)]);
    assert_eq!(outcome.out, "0 0 0 0 ");
    assert_eq!(
        outcome.changes,
        [
            "dir /a 755 0:0 315532800",
            "dir /a/dir 755 0:0 315532800",
            "link /a/dir/link -> ../x",
            "file /a/new 644 0:0 315532800 \"text\"",
        ]
    );
}

#[test]
fn what_came_and_went_leaves_nothing() {
    let script = create(Script::default(), "a/new", "text")
        .call("path_unlink_file", &[I(3), S("a/new")])
        .call("path_create_directory", &[I(3), S("a/dir")])
        .call("path_remove_directory", &[I(3), S("a/dir")])
        .call("path_rename", &[I(3), S("a/old"), I(3), S("a/other")])
        .call("path_rename", &[I(3), S("a/other"), I(3), S("a/old")]);
    let outcome = script.run(&[("a/old", Some(b"x"))]);
    assert_eq!(outcome.out, "0 0 0 0 0 0 0 ");
    assert_eq!(outcome.changes, Vec::<String>::new());
}

#[test]
fn lower_files_are_changed_in_place() {
    let script = Script::default()
        .open("d/f", 0, 0)
        .call("fd_seek", &[At(0), L(2), I(0), Slot(1)])
        .write(At(0), "XY")
        .call("fd_filestat_set_size", &[At(0), L(7)])
        .call("fd_filestat_set_size", &[At(0), L(9)])
        .call("fd_seek", &[At(0), L(0), I(0), Slot(1)])
        .read(At(0), 100);
    let outcome = script.run(&[("d/f", Some(b"0123456789"))]);
    assert_eq!(outcome.out, "0 0 0 0 0 0 0 01XY456\0\0");
    assert_eq!(outcome.changes, ["dir /d 755 0:0 315532800", "file /d/f 755 0:0 315532800 \"01XY456\\0\\0\""]);
}

#[test]
fn removing_and_replacing_lower_things() {
    let script = Script::default()
        .call("path_unlink_file", &[I(3), S("a/gone")])
        .call("path_unlink_file", &[I(3), S("a")])
        .call("path_remove_directory", &[I(3), S("a")])
        .call("path_unlink_file", &[I(3), S("b/x")])
        .call("path_remove_directory", &[I(3), S("b")])
        .call("path_rename", &[I(3), S("c"), I(3), S("b")])
        .call("path_rename", &[I(3), S("d/one"), I(3), S("d/two")]);
    let outcome = script.run(&[
        ("a/gone", Some(b"1")),
        ("a/kept", Some(b"1")),
        ("b/x", Some(b"2")),
        ("c/in/deep", Some(b"3")),
        ("d/one", Some(b"4")),
        ("d/two", Some(b"5")),
    ]);
    assert_eq!(outcome.out, "0 31 55 0 0 0 0 ");
    assert_eq!(
        outcome.changes,
        [
            "dir /a 755 0:0 315532800",
            "gone /a/gone",
            "dir /b 755 0:0 315532800",
            "dir /b/in 755 0:0 315532800",
            "file /b/in/deep 755 0:0 315532800 \"3\"",
            "gone /b/x",
            "gone /c",
            "dir /d 755 0:0 315532800",
            "gone /d/one",
            "file /d/two 755 0:0 315532800 \"4\"",
        ]
    );
}

#[test]
fn hard_links_share_and_are_kept() {
    let script = Script::default()
        .call("path_link", &[I(3), I(0), S("a/one"), I(3), S("a/two")])
        .open("a/two", 0, 0)
        .write(At(0), "new")
        .open("a/one", 0, 1)
        .read(At(1), 9)
        .call("path_filestat_get", &[I(3), I(0), S("a/one"), I(256)])
        .print_u64(256 + 24)
        .call("path_link", &[I(3), I(0), S("a"), I(3), S("b")]);
    let outcome = script.run(&[("a/one", Some(b"old!"))]);
    assert_eq!(outcome.out, "0 0 0 0 0 new!0 2 63 ");
    assert_eq!(
        outcome.changes,
        ["dir /a 755 0:0 315532800", "file /a/one 755 0:0 315532800 \"new!\"", "hard /a/two = /a/one"]
    );
}

#[test]
fn a_removed_file_lives_until_it_is_closed() {
    let script = Script::default()
        .open("f", 0, 0)
        .call("path_unlink_file", &[I(3), S("f")])
        .read(At(0), 3)
        .write(At(0), "more")
        .open("f", 0, 1);
    let outcome = script.run(&[("f", Some(b"abc"))]);
    assert_eq!(outcome.out, "0 0 0 abc0 44 ");
    assert_eq!(outcome.changes, ["gone /f"]);
}

#[test]
fn opening() {
    let script = Script::default()
        .quiet("path_symlink", &[S("loop"), I(3), S("loop")])
        .quiet("path_symlink", &[S("made"), I(3), S("dangling")])
        .quiet("path_symlink", &[S("/../.."), I(3), S("up")])
        .open("f", CREATE | EXCLUSIVE, 0)
        .open("f/", 0, 0)
        .open("f/x", 0, 0)
        .open("d", 0, 0)
        .open("d", DIRECTORY, 0)
        .open("f", DIRECTORY, 0)
        .open("no/x", CREATE, 0)
        .open("new/", CREATE, 0)
        .open("loop", 0, 0)
        .open("dangling", CREATE, 0)
        .open("dangling", CREATE | EXCLUSIVE, 0)
        .open("up/f", 0, 0)
        .open("", 0, 0)
        .open("../../f", 0, 0)
        .open("/f", 0, 0)
        .call("path_open", &[I(3), I(0), S("dangling"), I(0), L(ALL_RIGHTS), L(0), I(0), Slot(0)]);
    let outcome = script.run(&[("f", Some(b"abc")), ("d", None)]);
    assert_eq!(outcome.out, "20 54 54 31 0 54 44 31 32 0 20 0 44 0 0 32 ");
}

#[test]
fn a_slash_at_the_end_of_a_name() {
    // As Linux 6.18 answers; `dangling` leads nowhere, `link` to the directory `d`.
    let script = Script::default()
        .quiet("path_symlink", &[S("nowhere"), I(3), S("dangling")])
        .quiet("path_symlink", &[S("d"), I(3), S("link")])
        .call("path_create_directory", &[I(3), S("dangling/")])
        .call("path_create_directory", &[I(3), S("f/")])
        .call("path_symlink", &[S("x"), I(3), S("dangling/")])
        .call("path_symlink", &[S("x"), I(3), S("new/")])
        .call("path_link", &[I(3), I(0), S("f"), I(3), S("dangling/")])
        .call("path_link", &[I(3), I(0), S("d"), I(3), S("f")])
        .call("path_unlink_file", &[I(3), S("link/")])
        .call("path_unlink_file", &[I(3), S("dangling/")])
        .call("path_remove_directory", &[I(3), S("link/")])
        .call("path_remove_directory", &[I(3), S("dangling/")])
        .call("path_remove_directory", &[I(3), S("d/./")])
        .call("path_remove_directory", &[I(3), S("d/..")])
        .call("path_remove_directory", &[I(3), S("/")])
        .call("path_rename", &[I(3), S("f"), I(3), S("d/")])
        .call("path_rename", &[I(3), S("link/"), I(3), S("new")])
        .call("path_rename", &[I(3), S("none"), I(3), S(".")])
        .call("path_rename", &[I(3), S("e/f"), I(3), S("e")])
        .call("path_rename", &[I(3), S("d/"), I(3), S("made/")])
        .open("made/", CREATE | EXCLUSIVE, 0)
        .open("./", CREATE | EXCLUSIVE, 0)
        .open("f/", CREATE, 0)
        .open("made", CREATE | DIRECTORY, 0)
        .call("path_remove_directory", &[I(3), S("made/")]);
    let outcome = script.run(&[("d", None), ("e/f", Some(b"")), ("f", Some(b""))]);
    assert_eq!(outcome.out, "20 20 20 44 20 20 54 54 54 54 28 55 10 54 54 10 55 0 31 20 31 28 0 ");
    assert_eq!(outcome.changes, ["gone /d", "link /dangling -> nowhere", "link /link -> d"]);
}

#[test]
fn rights_are_reported_and_cannot_be_given_up() {
    let script = Script::default()
        .call("path_open", &[I(3), I(1), S("d"), I(DIRECTORY), L(ALL_RIGHTS), L(0), I(0), Slot(0)])
        .open("d", DIRECTORY, 0)
        .call("fd_fdstat_set_rights", &[At(0), L(0), L(0)])
        .call("fd_fdstat_set_rights", &[I(99), L(0), L(0)])
        .call("path_create_directory", &[At(0), S("x")]);
    assert_eq!(script.run(&[("d", None)]).out, "31 0 58 8 0 ");
}

#[test]
fn appending_goes_to_the_end_wherever_others_write() {
    let append = [I(3), I(1), S("log"), I(0), L(ALL_RIGHTS), L(0), I(1), Slot(0)];
    let script = Script::default()
        .call("path_open", &append)
        .open("log", 0, 1)
        .call("fd_seek", &[At(1), L(0), I(2), Slot(2)])
        .write(At(1), "two ")
        .write(At(0), "three")
        .call("fd_seek", &[At(0), L(0), I(1), Slot(2)])
        .print_u64(128);
    let outcome = script.run(&[("log", Some(b"one "))]);
    assert_eq!(outcome.out, "0 0 0 0 0 0 13 ");
    assert_eq!(outcome.changes, ["file /log 755 0:0 315532800 \"one two three\""]);
}

#[test]
fn directories_are_read_in_order_while_they_are_emptied() {
    // Each entry is 24 bytes and its name: `.`, `..`, `a`, `b`, …
    let script = Script::default()
        .open("d", DIRECTORY, 0)
        .call("fd_readdir", &[At(0), I(BUFFER), I(76), L(0), Slot(1)])
        .print_u32(64)
        .print_u64(BUFFER as u32 + 51)
        .print_bytes(BUFFER + 75, 1)
        .call("path_unlink_file", &[I(3), S("d/a")])
        .call("fd_readdir", &[At(0), I(BUFFER), I(4096), L(3), Slot(1)])
        .print_u32(64)
        .print_bytes(BUFFER + 24, 1)
        .print_bytes(BUFFER + 24 + 25, 2)
        .call("fd_readdir", &[At(0), I(BUFFER), I(4096), L(5), Slot(1)])
        .print_u32(64)
        .call("fd_readdir", &[At(0), I(BUFFER), I(4096), L(-1), Slot(1)])
        .print_u32(64);
    let outcome = script.run(&[("d/\u{fc}", Some(b"")), ("d/b", Some(b"")), ("d/a", Some(b""))]);
    assert_eq!(outcome.out, "0 0 76 3 a0 0 51 b\u{fc}0 0 0 0 ");
}

#[test]
fn devices_are_there_and_never_in_the_layer() {
    let script = Script::default()
        .open("dev/null", 0, 0)
        .write(At(0), "gone")
        .read(At(0), 9)
        .open("dev/zero", 0, 1)
        .read(At(1), 3)
        .open("dev/full", 0, 2)
        .write(At(2), "x")
        .open("dev/stdout", 0, 3)
        .write(At(3), "hello ")
        .call("path_unlink_file", &[I(3), S("dev/null")])
        .open("proc", DIRECTORY, 4)
        .open("proc/x", CREATE, 4)
        .open("dev/urandom", 0, 5)
        .call("fd_filestat_get", &[At(0), I(256)])
        .print_bytes(256 + 16, 1);
    let outcome = script.run(&[]);
    assert_eq!(outcome.out, "0 0 0 0 0 \x00\x00\x000 51 0 hello 0 10 0 69 0 0 \u{2}");
    assert_eq!(outcome.changes, Vec::<String>::new());
}

#[test]
fn big_files_spill_and_stay_whole() {
    // 80 MiB in pieces of 32 KiB: more than is kept in memory.
    let script = Script::default().open("big", CREATE, 0).raw(&format!(
        "(i32.store (i32.const 4200) (i32.const {BUFFER})) (i32.store (i32.const 4204) (i32.const 32768))
         (loop $more
           (memory.fill (i32.const {BUFFER}) (local.get $i) (i32.const 32768))
           (drop (call $fd_write (i32.load (i32.const 0)) (i32.const 4200) (i32.const 1) (i32.const 4208)))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $i) (i32.const 2560))))"
    ));
    let outcome = script.call("fd_seek", &[At(0), L(70 << 20), I(0), Slot(1)]).read(At(0), 1).run(&[]);
    let mut expected = Vec::new();
    (0..2560_u32).for_each(|i| expected.resize(expected.len() + 32768, i as u8));
    let digest = kiln_types::Digest::of(&expected).short();
    assert_eq!(outcome.changes, [format!("file /big 644 0:0 315532800 {} bytes {digest}", 80 << 20)]);
}

#[test]
fn sizes_and_offsets_at_the_edge() {
    let script = Script::default()
        .open("f", CREATE, 0)
        .call("fd_seek", &[At(0), L(-1), I(0), Slot(1)])
        .call("fd_seek", &[At(0), L(i64::MAX), I(0), Slot(1)])
        .call("fd_seek", &[At(0), L(1), I(1), Slot(1)])
        .write(At(0), "x")
        .read(At(0), 5)
        .call("fd_filestat_set_size", &[At(0), L(i64::MAX)])
        .call("fd_filestat_set_size", &[At(0), L(-1)])
        .call("fd_allocate", &[At(0), L(-1), L(2)])
        .call("fd_allocate", &[At(0), L(0), L(3)]);
    let outcome = script.run(&[]);
    assert_eq!(outcome.out, "0 28 0 28 22 0 22 28 22 0 ");
    assert_eq!(outcome.changes, ["file /f 644 0:0 315532800 \"\\0\\0\\0\""]);
}

#[test]
fn clocks_stand_and_count() {
    let script = Script::default()
        .call("clock_time_get", &[I(0), L(1), Slot(0)])
        .print_u64(0)
        .call("clock_time_get", &[I(1), L(1), Slot(0)])
        .print_u64(0)
        // A sleep of an hour: clock 1, relative.
        .store(1024 + 16, 1)
        .raw("(i64.store (i32.const 1048) (i64.const 3600000000000))")
        .call("poll_oneoff", &[I(1024), I(2048), I(1), Slot(1)])
        .print_u32(64)
        .call("clock_time_get", &[I(1), L(1), Slot(0)])
        .print_u64(0)
        .call("clock_time_get", &[I(9), L(1), Slot(0)]);
    assert_eq!(script.run(&[]).out, "0 315532800000000000 0 0 0 1 0 3600000002000 28 ");
}

#[test]
fn modes_and_owners() {
    let script = create(Script::default(), "f", "x")
        .call("chmod", &[I(3), S("f"), I(1), I(0o4755)])
        .call("stat", &[I(3), S("f"), I(1), I(256)])
        .print_u32(256)
        .call("chown", &[I(3), S("f"), I(1), I(7), I(-1)])
        .call("umask", &[I(0o077)])
        .call("path_create_directory", &[I(3), S("d")])
        .call("stat", &[I(1), S(""), I(0), I(256)])
        .print_u32(256)
        .call("chmod", &[I(3), S("dev/null"), I(1), I(0)])
        .call("chmod", &[I(3), S("bin/test"), I(1), I(0o700)]);
    let outcome = script.run(&[]);
    assert_eq!(outcome.out, format!("0 0 0 0 {} 0 18 0 0 {} 69 0 ", 0o104_755, 0o010_600));
    assert_eq!(outcome.changes[0], "dir /bin 755 0:0 315532800");
    assert!(outcome.changes[1].starts_with("file /bin/test 700 0:0 315532800"), "{:?}", outcome.changes);
    assert_eq!(outcome.changes[2..], ["dir /d 700 0:0 315532800", "file /f 755 7:0 315532800 \"x\""]);
}

#[test]
fn times_can_be_set() {
    let script = create(Script::default(), "f", "x")
        .call("path_filestat_set_times", &[I(3), I(1), S("f"), L(1), L(1_700_000_000_123_456_789), I(1 | 4)])
        .call("path_filestat_get", &[I(3), I(1), S("f"), I(256)])
        .print_u64(256 + 40)
        .print_u64(256 + 48)
        .call("path_filestat_set_times", &[I(3), I(1), S("d"), L(0), L(5_000_000_000), I(4)])
        .call("path_filestat_set_times", &[I(3), I(1), S("d"), L(0), L(0), I(4 | 8)]);
    let outcome = script.run(&[("d", None)]);
    assert_eq!(outcome.out, "0 0 0 0 1 1700000000123456789 0 28 ");
    assert_eq!(outcome.changes, ["dir /d 755 0:0 5", "file /f 644 0:0 1700000000 \"x\""]);
}

#[test]
fn paths_of_programs_that_know_no_working_directory() {
    // 4 is the preopen `.`: relative paths are in the working directory, but wasi-libc says `etc/f` for `/etc/f` too.
    let open = |script: Script, path: &str, flags: i32| {
        script
            .call("path_open", &[I(4), I(1), S(path), I(flags), L(ALL_RIGHTS), L(0), I(0), Slot(0)])
            .read(At(0), 9)
            .quiet("fd_close", &[At(0)])
    };
    let script = Script::default().call("fd_prestat_dir_name", &[I(4), I(256), I(1)]).print_bytes(256, 1);
    let script = open(open(open(script, "f", 0), "etc/f", 0), "etc/g", 0);
    let script = open(open(open(script, "etc/new", CREATE), "tmp/new", CREATE), "top", CREATE);
    let test = script.wasm();
    let view = View::new(vec![layer(&[
        ("bin/test", Some(&test)),
        ("etc/f", Some(b"root f")),
        ("etc/g", Some(b"root g")),
        ("f", Some(b"root")),
        ("tmp", None),
        ("work/etc/f", Some(b"work f")),
        ("work/f", Some(b"work")),
    ])]);
    let mut process = process(&["test"]);
    process.cwd = "/work".to_owned();
    let outcome = run(&view, &process).expect("runs");
    assert_eq!(outcome.out, "0 .0 0 work0 0 work f0 0 root g0 0 0 0 0 0 ");
    let made: Vec<_> = outcome.changes.iter().filter(|line| line.starts_with("file")).collect();
    assert_eq!(
        made,
        [
            "file /tmp/new 644 0:0 315532800 \"\"",
            "file /work/etc/new 644 0:0 315532800 \"\"",
            "file /work/top 644 0:0 315532800 \"\"",
        ]
    );
}

#[test]
fn programs_made_for_kiln_get_their_directory_by_its_path() {
    let script = Script::default()
        .call("fd_prestat_get", &[I(4), Slot(0)])
        .print_u32(4)
        .call("fd_prestat_dir_name", &[I(4), I(256), I(5)])
        .print_bytes(256, 5)
        .call("fd_prestat_get", &[I(5), Slot(0)])
        .call("umask", &[I(0)]);
    let test = script.wasm();
    let mut process = process(&["test"]);
    process.cwd = "/work".to_owned();
    let outcome = run(&View::new(vec![layer(&[("bin/test", Some(&test))])]), &process).expect("runs");
    assert_eq!(outcome.out, "0 5 0 /work8 18 ");
    assert_eq!(outcome.changes, ["dir /work 755 0:0 315532800"]);
}
