//! Every limit of a step: exceeding it fails the step with an error that names it, whatever the guest is doing.

use std::time::{Duration, Instant};

use kiln_exec::wasi::{Limits, Wasi};
use kiln_exec::{Cancel, Error, Process};
use kiln_image::View;

use crate::support::A::{At, I, S, Slot};
use crate::support::{Outcome, Script, layer, process, run, run_in, wasm};

const SECOND: Duration = Duration::from_secs(1);

fn run_within(limits: Limits, view: &View, process: &Process) -> Result<Outcome, Error> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let wasi = Wasi::new(directory.path().join("modules"), limits);
    run_in(&wasi, directory.path(), view, process, &Cancel::new())
}

fn view(programs: &[(&str, &[u8])]) -> View {
    let entries: Vec<_> = programs.iter().map(|(path, bytes)| (*path, Some(*bytes))).collect();
    View::new(vec![layer(&entries)])
}

/// The limit that was exceeded, and what would allow more.
fn exceeded(limits: Limits, script: Script) -> (String, String) {
    let test = script.wasm();
    named(run_within(limits, &view(&[("bin/test", &test)]), &process(&["test"])))
}

fn named(result: Result<Outcome, Error>) -> (String, String) {
    match result {
        Err(Error::Limit { limit, raise }) => (limit, raise.unwrap_or_default()),
        other => panic!("{:?}", other.map(|outcome| (outcome.code, outcome.err))),
    }
}

fn both(limit: &str, raise: &str) -> (String, String) {
    (limit.to_owned(), raise.to_owned())
}

/// Does `script` for ever.
fn for_ever(script: impl FnOnce(Script) -> Script) -> Script {
    script(Script::default().raw("(loop $ever")).raw("(br $ever))")
}

#[test]
fn time_ends_computing_and_waiting() {
    let limits = Limits { time: Some(SECOND), ..Limits::BUILD };
    let spawn =
        |script: Script, program| script.quiet("spawn", &[S(program), S("PATH=/bin\0"), S("/"), I(0), I(0), Slot(9)]);
    let readable = "(i32.store8 (i32.const 6008) (i32.const 1)) (i32.store (i32.const 6016) (i32.load (i32.const 0)))";
    let pipe = || Script::default().call("pipe", &[Slot(0), Slot(1)]);
    let full = pipe().store(4200, 0).store(4204, 4 << 16).quiet("fd_write", &[At(1), I(4200), I(1), I(4208)]);
    let programs: [(&str, Vec<u8>); 6] = [
        ("bin/computes", for_ever(|script| script).wasm()),
        ("bin/reads", pipe().read(At(0), 1).wasm()),
        ("bin/writes", full.wasm()),
        ("bin/polls", pipe().raw(readable).quiet("poll_oneoff", &[I(6000), I(6100), I(1), I(6200)]).wasm()),
        ("bin/waits", spawn(Script::default(), "reads\0").quiet("wait", &[I(-1), I(0), Slot(10), Slot(11)]).wasm()),
        ("bin/spawns", for_ever(|script| spawn(script, "waits\0")).wasm()),
    ];
    let programs: Vec<(&str, &[u8])> = programs.iter().map(|(path, bytes)| (*path, &bytes[..])).collect();
    let view = view(&programs);
    std::thread::scope(|scope| {
        for (path, _) in &programs {
            let (limits, view) = (limits.clone(), &view);
            scope.spawn(move || {
                let begin = Instant::now();
                let result = run_within(limits, view, &process(&[&format!("/{path}")]));
                assert_eq!(named(result), both("1s of time", "time=2s"), "{path}");
                assert!(begin.elapsed() < 60 * SECOND, "{path}: {:?}", begin.elapsed());
            });
        }
    });
}

#[test]
fn counted_instructions_end_what_computes() {
    let limits = Limits { fuel: Some(10_000_000), ..Limits::BUILD };
    let expected = both("10m instructions (fuel)", "fuel=20m");
    assert_eq!(exceeded(limits.clone(), for_ever(|script| script)), expected);
    assert_eq!(exceeded(limits.clone(), for_ever(|script| script.quiet("random_get", &[I(0), I(4)]))), expected);
    // In a start section, before anything else.
    let early = wasm("(module (start $f) (func $f (loop $ever (br $ever))) (func (export \"_start\")))");
    assert_eq!(named(run_within(limits, &view(&[("bin/test", &early)]), &process(&["test"]))), expected);
}

/// A thousand turns, in `children` processes at once besides the first.
fn family(children: u32) -> View {
    let turns = "(loop $more (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (drop (call $random_get (i32.const 0) (i32.const 4))) (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))";
    let child = Script::default().raw(turns).wasm();
    let mut parent = Script::default();
    for _ in 0..children {
        parent = parent.quiet("spawn", &[S("child\0"), S("PATH=/bin\0"), S("/"), I(0), I(0), Slot(9)]);
    }
    parent = parent.raw(turns);
    for _ in 0..children {
        parent = parent.quiet("wait", &[I(-1), I(0), Slot(10), Slot(11)]);
    }
    view(&[("bin/parent", &parent.wasm()), ("bin/child", &child)])
}

#[test]
fn the_same_instruction_is_the_last_one_however_processes_are_scheduled() {
    let view = family(5);
    let directory = tempfile::tempdir().expect("temporary directory");
    let enough = |fuel| {
        let wasi = Wasi::new(directory.path().join("modules"), Limits { fuel: Some(fuel), ..Limits::BUILD });
        let result = run_in(&wasi, directory.path(), &view, &process(&["parent"]), &Cancel::new());
        match result {
            Ok(outcome) => outcome.code == 0,
            Err(Error::Limit { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    let (mut less, mut fuel) = (0, 1_000_000);
    while fuel - less > 1 {
        let middle = (less + fuel) / 2;
        if enough(middle) { fuel = middle } else { less = middle }
    }
    // Six times a thousand turns, and what surrounds them.
    assert!((60_000..120_000).contains(&fuel), "{fuel}");
    for _ in 0..20 {
        assert!(enough(fuel) && !enough(fuel - 1), "{fuel}");
    }
}

#[test]
fn code_that_counts_is_other_code() {
    let view = family(1);
    let directory = tempfile::tempdir().expect("temporary directory");
    let modules = directory.path().join("modules");
    let files = || std::fs::read_dir(&modules).expect("the directory is there").count();
    for (fuel, expected) in [(None, 2), (Some(1_000_000), 4), (Some(2_000_000), 4), (None, 4)] {
        let wasi = Wasi::new(modules.clone(), Limits { fuel, ..Limits::BUILD });
        let result = run_in(&wasi, directory.path(), &view, &process(&["parent"]), &Cancel::new());
        assert_eq!((result.expect("runs").code, files()), (0, expected), "{fuel:?}");
    }
}

#[test]
fn a_shell_that_goes_on_for_ever_ends() {
    let mut endless = process(&["sh", "-c", "while :; do :; done"]);
    endless.guest_tools = true;
    let by_time = Limits { time: Some(SECOND), ..Limits::BUILD };
    assert_eq!(named(run_within(by_time, &View::new(vec![]), &endless)).0, "1s of time");
    let by_fuel = Limits { fuel: Some(100_000_000), ..Limits::BUILD };
    assert_eq!(named(run_within(by_fuel, &View::new(vec![]), &endless)).0, "100m instructions (fuel)");
}

#[test]
fn floods_end() {
    let small = Limits { output: 1 << 20, file_bytes: 1 << 20, files: 100, memory: 64 << 20, ..Limits::BUILD };
    let output =
        for_ever(|script| script.store(4200, 0).store(4204, 60_000).quiet("fd_write", &[I(1), I(4200), I(1), I(4208)]));
    assert_eq!(exceeded(small.clone(), output), both("1 MiB of output", "output=2m"));

    let bytes = Script::default().open("f", 1, 0).raw("(loop $ever").store(4200, 0).store(4204, 60_000);
    let bytes = bytes.quiet("fd_write", &[At(0), I(4200), I(1), I(4208)]).raw("(br $ever))");
    assert_eq!(exceeded(small.clone(), bytes), both("1 MiB of files", "file-bytes=2m"));

    // A letter for each of four bits of the number.
    let letter = |place: u32| {
        let bits = format!("(i32.and (i32.shr_u (local.get $i) (i32.const {})) (i32.const 15))", place * 4);
        format!("(i32.store8 (i32.const {}) (i32.add (i32.const 97) {bits}))", 6000 + place)
    };
    let names: String = (0..4).map(letter).collect();
    let files = for_ever(|script| {
        let script = script.raw("(local.set $i (i32.add (local.get $i) (i32.const 1)))").raw(&names);
        script.quiet("path_create_directory", &[I(3), I(6000), I(4)])
    });
    assert_eq!(exceeded(small.clone(), files), both("100 files", "files=200"));

    let memory = for_ever(|script| script.raw("(drop (memory.grow (i32.const 16)))"));
    assert_eq!(exceeded(small.clone(), memory), both("64 MiB of memory", "memory=128m"));
    let pipes = for_ever(|script| script.quiet("pipe", &[Slot(0), Slot(1)]));
    assert_eq!(exceeded(small.clone(), pipes), both("64 MiB of memory", "memory=128m"));
    let tables = wasm(
        "(module (memory (export \"memory\") 1) (table 1 funcref) (table 1 funcref)
           (func (export \"_start\")
             (drop (table.grow 0 (ref.null func) (i32.const 9000000))) (drop (table.grow 1 (ref.null func) (i32.const 9000000)))))",
    );
    let result = run_within(small, &view(&[("bin/test", &tables)]), &process(&["test"]));
    assert_eq!(named(result), both("64 MiB of memory", "memory=128m"));
}

#[test]
fn processes_that_start_processes_end() {
    let limits = Limits { processes: 8, ..Limits::BUILD };
    let expected = both("8 living processes", "processes=16");
    let spawn = |script: Script| script.quiet("spawn", &[S("test\0"), S("PATH=/bin\0"), S("/"), I(0), I(0), Slot(9)]);
    let chain = spawn(Script::default()).quiet("wait", &[I(-1), I(0), Slot(10), Slot(11)]);
    assert_eq!(exceeded(limits.clone(), chain), expected);
    let bomb = for_ever(spawn);
    assert_eq!(exceeded(limits, bomb), expected);
}

/// No program may find out how much it is allowed.
#[test]
fn limits_are_not_seen() {
    let script = Script::default()
        .call("pipe", &[Slot(0), Slot(1)])
        .open("f", 1, 2)
        .call("fd_filestat_set_size", &[At(2), crate::support::A::L(1 << 60)])
        .call("fd_filestat_set_size", &[At(2), crate::support::A::L(1 << 20)])
        .raw("(call $number (i64.extend_i32_u (memory.grow (i32.const 1000)))) (call $number (i64.extend_i32_u (memory.grow (i32.const 65536))))");
    let test = script.wasm();
    let view = view(&[("bin/test", &test)]);
    let usual = run(&view, &process(&["test"])).expect("runs");
    assert_eq!(usual.out, "0 0 22 0 4 4294967295 ");
    for limits in
        [Limits::UNTRUSTED, Limits::FOREGROUND, Limits { memory: 1 << 40, file_bytes: 1 << 50, ..Limits::BUILD }]
    {
        assert_eq!(run_within(limits, &view, &process(&["test"])).expect("runs"), usual);
    }
}
