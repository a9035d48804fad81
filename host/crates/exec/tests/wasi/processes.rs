//! Children, pipes, scripts, and how processes end.

use std::time::Duration;

use kiln_exec::{Cancel, Error};
use kiln_image::{Change, Content, Meta, Node, View};

use crate::support::A::{At, I, S, Slot};
use crate::support::{Script, layer, layer_of, process, run, run_in, wasi};

/// Starts `argv`, standard output going to the descriptor in `out`; its number comes into slot 9.
fn spawn(script: Script, argv: &str, out: crate::support::A<'_>) -> Script {
    let script = match out {
        I(number) => script.store(5004, number as u32),
        At(slot) => script.raw(&format!("(i32.store (i32.const 5000) (i32.load (i32.const {})))", slot * 64)),
        _ => panic!("a descriptor"),
    };
    let script = if let I(number) = out { script.store(5000, number as u32) } else { script };
    script
        .store(5004, 1)
        .store(5008, 2)
        .store(5012, 2)
        .call("spawn", &[S(argv), S("PATH=/bin\0"), S("/"), I(5000), I(2), Slot(9)])
}

fn wait(script: Script, slot: u32) -> Script {
    script.call("wait", &[At(slot), I(0), Slot(10), Slot(11)]).print_u32(704)
}

fn view(programs: &[(&str, &[u8])]) -> View {
    let entries: Vec<_> = programs.iter().map(|(path, bytes)| (*path, Some(*bytes))).collect();
    View::new(vec![layer(&entries)])
}

#[test]
fn children_write_into_pipes_and_are_waited_for() {
    let child =
        Script::default().write(I(1), "from the child ").call("self", &[]).raw("(call $proc_exit (i32.const 259))");
    let parent = Script::default().call("pipe", &[Slot(0), Slot(1)]).call("self", &[]);
    let parent = spawn(parent, "child\0a\0", At(1)).quiet("fd_close", &[At(1)]);
    let parent = wait(parent.read(At(0), 15), 9)
        .read(At(0), 99)
        .read(At(0), 99)
        .call("wait", &[I(-1), I(0), Slot(10), Slot(11)])
        .call("spawn", &[S("no-such\0"), S(""), S("/"), I(0), I(0), Slot(9)])
        .call("spawn", &[S("/bin\0"), S(""), S("/"), I(0), I(0), Slot(9)])
        .call("spawn", &[S("/etc/text\0"), S(""), S("/"), I(0), I(0), Slot(9)])
        .call("spawn", &[S("not ended"), S(""), S("/"), I(0), I(0), Slot(9)])
        .call("spawn", &[S("child\0"), S(""), S("relative"), I(0), I(0), Slot(9)])
        .call("spawn", &[S("child\0"), S(""), S("/"), I(8200), I(100_000), Slot(9)]);
    let (parent, child) = (parent.wasm(), child.wasm());
    let view = view(&[("bin/parent", &parent), ("bin/child", &child), ("etc/text", b"text")]);
    let outcome = run(&view, &process(&["parent"])).expect("runs");
    assert_eq!(outcome.out, "0 1 0 0 from the child 0 3 0 0 2 0 12 44 2 45 28 28 28 ");
}

#[test]
fn writing_where_nobody_reads_is_an_error() {
    let script = Script::default()
        .call("pipe", &[Slot(0), Slot(1)])
        .call("fd_close", &[At(0)])
        .write(At(1), "x")
        .call("pipe", &[Slot(0), Slot(1)])
        .call("fd_close", &[At(1)])
        .read(At(0), 9)
        .write(At(0), "x")
        .read(I(1), 1)
        .read(I(0), 1)
        .call("fd_close", &[I(99)]);
    let outcome = script.run(&[]);
    assert_eq!(outcome.out, "0 0 64 0 0 0 8 8 0 8 ");
}

#[test]
fn a_child_that_computes_for_ever_can_be_killed() {
    let child = Script::default().write(I(1), "x").raw("(loop $ever (br $ever))");
    let parent = spawn(Script::default().call("pipe", &[Slot(0), Slot(1)]), "child\0", At(1)).read(At(0), 1);
    let parent = parent.call("kill", &[At(9), I(0)]).call("kill", &[At(9), I(15)]).call("kill", &[I(77), I(9)]);
    let (parent, child) = (wait(parent, 9).wasm(), child.wasm());
    let outcome = run(&view(&[("bin/parent", &parent), ("bin/child", &child)]), &process(&["parent"])).expect("runs");
    assert_eq!(outcome.out, "0 0 0 x0 0 71 0 143 ");
}

#[test]
fn what_the_first_process_leaves_behind_ends_with_it() {
    let child = Script::default().write(I(1), "x").raw("(loop $ever (br $ever))");
    let parent = spawn(Script::default().call("pipe", &[Slot(0), Slot(1)]), "child\0", At(1)).read(At(0), 1);
    let (parent, child) = (parent.wasm(), child.wasm());
    let outcome = run(&view(&[("bin/parent", &parent), ("bin/child", &child)]), &process(&["parent"])).expect("runs");
    assert_eq!((outcome.code, &outcome.out[..]), (0, "0 0 0 x"));
}

#[test]
fn traps_and_signals_have_their_statuses() {
    let run_one = |body: &str| {
        let test = Script::default().raw(body).wasm();
        run(&view(&[("bin/test", &test)]), &process(&["test"])).expect("runs")
    };
    let trap = run_one("(unreachable)");
    assert_eq!(trap.code, 134);
    assert!(trap.err.contains("unreachable") && trap.err.contains("main"), "{}", trap.err);
    assert_eq!(run_one("(call $proc_exit (i32.const 42))").code, 42);
    assert_eq!(run_one("(drop (call $proc_raise (i32.const 6)))").code, 134);
    assert_eq!(run_one("(drop (call $proc_raise (i32.const 15)))").code, 143);
    assert_eq!(run_one("(drop (call $proc_raise (i32.const 16)))").code, 0);
    let deep = "(module (memory (export \"memory\") 1) (func $down (export \"_start\") (call $down)))";
    let outcome = run(&view(&[("bin/test", &crate::support::wasm(deep))]), &process(&["test"])).expect("runs");
    assert_eq!(outcome.code, 134);
    assert!(outcome.err.contains("stack"), "{}", outcome.err);
}

#[test]
fn scripts_are_followed_to_their_interpreter() {
    let show = Script::default()
        .call("args_sizes_get", &[Slot(0), Slot(1)])
        .print_u32(0)
        .call("args_get", &[I(6000), I(6100)])
        .print_bytes(6100, 45)
        .wasm();
    let view = view(&[
        ("bin/show", &show),
        ("bin/script", b"#! /bin/show -a b \nrest"),
        ("bin/nested", b"#!/bin/script"),
        ("bin/endless", b"#!/bin/endless"),
        ("bin/nothing", b"#!/no/such"),
    ]);
    let out = |program: &str| run(&view, &process(&[program, "x"]));
    assert_eq!(
        out("script").expect("runs").out,
        "0 4 0 /bin/show\0-a b\0/bin/script\0x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    );
    assert_eq!(out("/bin/nested").expect("runs").out, "0 5 0 /bin/show\0-a b\0/bin/script\0/bin/nested\0x\0\0\0\0\0");
    assert!(matches!(out("endless"), Err(Error::NotExecutable { .. })));
    assert!(matches!(out("nothing"), Err(Error::NotFound { program }) if program == "nothing"));
}

#[test]
fn what_cannot_be_run_says_why() {
    let plain = |mode, bytes: &[u8]| {
        let meta = Meta { mode, ..Meta::default() };
        View::new(vec![layer_of(vec![Change {
            path: b"p".to_vec(),
            meta,
            node: Node::File(Content::bytes(bytes.to_vec())),
        }])])
    };
    let module = |text: &str| crate::support::wasm(text);
    let library = module("(module (func))");
    let strange = module("(module (import \"a\\1bb\" \"f\" (func)))");
    let foreign = module(
        "(module (import \"env\" \"f\" (func)) (import \"wasi_unstable\" \"g\" (func)) (func (export \"_start\")))",
    );
    let wrong = module(
        "(module (import \"wasi_snapshot_preview1\" \"fd_close\" (func (param i64))) (func (export \"_start\")))",
    );
    for (mode, bytes, reason) in [
        (0o644, &library[..], "no execute permission"),
        (0o755, &library, "_start"),
        (0o755, &foreign, "env.f, wasi_unstable.g"),
        (0o755, &wrong, "fd_close"),
        (
            0o755,
            b"\0asm\x0d\0\x01\0",
            "is a WebAssembly component (WASI 0.2), and kiln runs core modules only: build it",
        ),
        (0o755, b"\0asm\x02\0\0\0", "version"),
        (0o755, b"\0asm\x01\0", "cut off"),
        (0o755, &library[..library.len() - 1], "unexpected end"),
        (0o755, &strange, "it imports a\\u{1b}b.f, which kiln"),
        (0o755, b"\0asm\x01\0\0\0junk", "offset"),
        (0o755, b"\x7fELF", "native"),
        (0o755, b"", "neither"),
    ] {
        match run(&plain(mode, bytes), &process(&["/p"])) {
            Err(Error::NotExecutable { program, reason: given }) => {
                assert_eq!(program, "/p");
                assert!(given.contains(reason), "{given}");
            }
            other => panic!("{reason}: {:?}", other.map(|outcome| outcome.code)),
        }
    }
    assert!(matches!(run(&plain(0o755, b""), &process(&["/"])), Err(Error::NotExecutable { .. })));
    assert!(matches!(run(&plain(0o755, b""), &process(&["q"])), Err(Error::NotFound { .. })));
}

/// Nothing here would end otherwise. How soon it does depends on the machine.
#[test]
fn cancelling_ends_computing_and_waiting() {
    let computing = Script::default().raw("(loop $ever (br $ever))").wasm();
    let waiting = Script::default().call("pipe", &[Slot(0), Slot(1)]).read(At(0), 1).wasm();
    let parent = wait(spawn(Script::default(), "waiting\0", I(1)), 9).wasm();
    let view = view(&[("bin/computing", &computing), ("bin/waiting", &waiting), ("bin/parent", &parent)]);
    for program in ["computing", "waiting", "parent"] {
        let cancel = Cancel::new();
        let remote = cancel.clone();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            remote.cancel();
        });
        let scratch = tempfile::tempdir().expect("temporary directory");
        let result = run_in(wasi(), scratch.path(), &view, &process(&[program]), &cancel);
        assert!(matches!(result, Err(Error::Cancelled)), "{program}");
        stopper.join().expect("joins");
    }
}

#[test]
fn descriptors_share_their_position_with_children() {
    let child = Script::default().write(I(5), "child ").wasm();
    let parent = Script::default().open("f", 1, 0).write(At(0), "parent ");
    let parent = parent
        .raw("(i32.store (i32.const 5000) (i32.load (i32.const 0)))")
        .store(5004, 5)
        .store(5008, 1)
        .store(5012, 1)
        .call("spawn", &[S("child\0"), S("PATH=/bin\0"), S("/"), I(5000), I(2), Slot(9)]);
    let parent = wait(parent, 9).write(At(0), "again").wasm();
    let outcome = run(&view(&[("bin/parent", &parent), ("bin/child", &child)]), &process(&["parent"])).expect("runs");
    assert_eq!(outcome.changes, ["file /f 644 0:0 315532800 \"parent child again\""], "{}", outcome.out);
}

#[test]
fn a_writer_that_waits_keeps_nobody_from_its_descriptor() {
    let child =
        Script::default().store(4200, 0).store(4204, 4 << 16).quiet("fd_write", &[I(1), I(4200), I(1), I(4208)]).wasm();
    let look = "(loop $more (drop (call $fd_fdstat_get (i32.load (i32.const 64)) (i32.const 6000)))
        (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $more (i32.lt_u (local.get $i) (i32.const 200000))))";
    let parent = spawn(Script::default().call("pipe", &[Slot(0), Slot(1)]), "child\0", At(1)).raw(look);
    let parent = parent.quiet("fd_close", &[At(1)]).quiet("fd_close", &[At(0)]);
    let parent = wait(parent, 9).wasm();
    let outcome = run(&view(&[("bin/parent", &parent), ("bin/child", &child)]), &process(&["parent"])).expect("runs");
    assert_eq!(outcome.out, "0 0 0 0 ");
}

#[test]
fn polling_and_reading_one_open_file_get_along() {
    let many = |call: &str| {
        format!(
            "(loop $more (drop {call}) (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $more (i32.lt_u (local.get $i) (i32.const 100000))))"
        )
    };
    let child = Script::default().store(4200, 6000).store(4204, 1);
    let child =
        child.raw(&many("(call $fd_read (i32.const 1) (i32.const 4200) (i32.const 1) (i32.const 4208))")).wasm();
    let parent = spawn(Script::default().open("f", 1, 0).write(At(0), "some text"), "child\0", At(0));
    // A subscription: when the file can be read.
    let parent =
        parent.raw("(i32.store8 (i32.const 6008) (i32.const 1)) (i32.store (i32.const 6016) (i32.load (i32.const 0)))");
    let parent =
        parent.raw(&many("(call $poll_oneoff (i32.const 6000) (i32.const 6100) (i32.const 1) (i32.const 6200))"));
    let parent = wait(parent, 9).wasm();
    let outcome = run(&view(&[("bin/parent", &parent), ("bin/child", &child)]), &process(&["parent"])).expect("runs");
    assert_eq!(outcome.out, "0 0 0 0 0 ");
}

#[test]
fn too_many_living_processes_fail_the_step() {
    // Each starts another one and waits for it.
    let bomb = wait(spawn(Script::default(), "bomb\0", I(1)), 9).wasm();
    let outcome = run(&view(&[("bin/bomb", &bomb)]), &process(&["bomb"]));
    assert!(matches!(outcome, Err(Error::Limit { limit, .. }) if limit == "256 living processes"));
}

#[test]
fn processes_that_have_ended_are_not_too_many() {
    let child = Script::default().wasm();
    let more = "(loop $more
        (if (call $spawn (i32.const 8192) (i32.const 6) (i32.const 8198) (i32.const 10) (i32.const 8208) (i32.const 1)
              (i32.const 0) (i32.const 0) (i32.const 0))
          (then unreachable))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))";
    let strings = Script::default().quiet("spawn", &[S("child\0"), S("PATH=/bin\0"), S("/"), I(0), I(0), Slot(9)]);
    let parent = strings.raw(more).wasm();
    let outcome = run(&view(&[("bin/parent", &parent), ("bin/child", &child)]), &process(&["parent"])).expect("runs");
    assert_eq!((outcome.code, &outcome.err[..]), (0, ""));
}

fn shell(script: &str, entries: &[(&str, Option<&[u8]>)]) -> (i32, String, String) {
    let mut process = process(&["sh", "-c", script]);
    process.guest_tools = true;
    let view = if entries.is_empty() { View::new(vec![]) } else { View::new(vec![layer(entries)]) };
    let outcome = run(&view, &process).expect("the shell runs");
    (outcome.code, outcome.out, outcome.err)
}

fn said(text: &str) -> (i32, String, String) {
    (0, text.to_owned(), String::new())
}

#[test]
fn a_hundred_in_a_row_and_thirty_at_once() {
    let in_a_row = "n=0; while [ $n -lt 100 ]; do n=$(expr $n + 1); done; echo $n";
    assert_eq!(shell(in_a_row, &[]), said("100\n"));
    // All of a pipeline live until the last line has come through.
    let at_once = format!("seq 1 20000 | {} tail -n 1", "cat | ".repeat(30));
    assert_eq!(shell(&at_once, &[]), said("20000\n"));
    let side_by_side = "for n in $(seq 30); do (sleep $n; echo $n > /out$n; exit $n) & done; wait; cat /out* | wc -l";
    assert_eq!(shell(side_by_side, &[]), said("30\n"));
}

#[test]
fn pipelines_stream_and_end_with_their_reader() {
    assert_eq!(shell("yes | head -n 3", &[]), said("y\ny\ny\n"));
    assert_eq!(shell("yes | (read a; echo $a; exit 4); echo $?", &[]), said("y\n4\n"));
    assert_eq!(shell("set -o pipefail; (exit 3) | cat; echo $?", &[]), said("3\n"));
}

#[test]
fn shells_report_what_cannot_be_run() {
    let entries: [(&str, Option<&[u8]>); 4] = [
        ("bin/script", Some(b"#!/.kiln/bin/sh\nexit $1\n")),
        ("bin/component", Some(b"\0asm\x0d\0\x01\0")),
        ("bin/elf", Some(b"\x7fELF\x02\x01\x01\0\0")),
        ("bin/lost", Some(b"#!/no/such/interpreter\n")),
    ];
    let script = "for c in 'script 7' nothing /bin elf component lost; do /bin/$c 2> /dev/null; echo $c $?; done
        chmod 644 /bin/script; /bin/script 2> /dev/null; echo $?; nothing 2> /dev/null; echo $?";
    let (code, out, err) = shell(script, &entries);
    let expected = "script 7 7\nnothing 127\n/bin 127\nelf 126\ncomponent 126\nlost 127\n126\n127\n";
    assert_eq!((code, &out[..], &err[..]), (0, expected, ""));
}

#[test]
fn signals_end_children_and_their_status_says_so() {
    let script =
        "sleep 1000000 | cat & while :; do :; done & kill $!; wait $!; echo $?; kill -0 $! 2> /dev/null; echo $?";
    assert_eq!(shell(script, &[]), said("143\n1\n"));
}
