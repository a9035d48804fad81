//! Starting, output, ending, and that nothing is left.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use kiln_exec::{Cancel, Error, Output, Process, Status, Stdin, Stream};

use crate::Test;
use crate::host::{Host, process, shell_process, with_host};

/// More than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const TESTS: &[Test] = &[
    ("exit_codes_and_signals_are_passed_on", exit_codes_and_signals_are_passed_on),
    ("programs_that_cannot_be_started", programs_that_cannot_be_started),
    ("output_comes_live_and_complete", output_comes_live_and_complete),
    ("what_is_left_running_does_not_hold_the_step", what_is_left_running_does_not_hold_the_step),
    ("orphans_are_reaped", orphans_are_reaped),
    ("a_process_starts_clean", a_process_starts_clean),
    ("cancelling_kills_everything_at_once", cancelling_kills_everything_at_once),
    ("many_run_at_once", many_run_at_once),
    ("killing_the_parent_leaves_nothing", killing_the_parent_leaves_nothing),
    ("streams_can_be_inherited", streams_can_be_inherited),
    ("ignored_ends_of_children_are_noticed", ignored_ends_of_children_are_noticed),
    ("a_terminal_stays_one", a_terminal_stays_one),
];

fn exit_codes_and_signals_are_passed_on(host: &Host) {
    for (script, expected) in [
        ("exit 0", Status::Exited(0)),
        ("exit 42", Status::Exited(42)),
        ("exit 255", Status::Exited(255)),
        ("kill -9 $$", Status::Signalled(9)),
        ("kill -TERM $$", Status::Signalled(15)),
        ("kill -SEGV $$", Status::Signalled(11)),
        ("kill -9 1; kill -TERM 1; sleep 9", Status::Signalled(15)),
    ] {
        assert_eq!(host.shell(script).status, expected, "{script}");
    }
    assert_nothing_left(host);
}

fn programs_that_cannot_be_started(host: &Host) {
    let run = |program: &str| host.run(&host.base_view(), &process(&[program, "x"]));
    assert!(matches!(run("no-such-program"), Err(Error::NotFound { program }) if program == "no-such-program"));
    assert!(matches!(run("/no/such"), Err(Error::NotFound { .. })));
    assert!(matches!(run("/orphan-script"), Err(Error::NotFound { program }) if program.contains("interpreter")));
    assert!(
        matches!(run("/not-executable"), Err(Error::NotExecutable { reason, .. }) if reason == "permission denied")
    );
    assert!(matches!(run("/plain"), Err(Error::NotExecutable { reason, .. }) if reason.starts_with("exec format")));
    assert!(matches!(run("/bin"), Err(Error::NotExecutable { .. })));
    assert!(matches!(run("a\0b"), Err(Error::System { .. })));
    for spoil in [
        |process: &mut Process| process.argv.push("\0".to_owned()),
        |process: &mut Process| process.env.push(("A".to_owned(), "\0".to_owned())),
        |process: &mut Process| process.cwd.push('\0'),
        |process: &mut Process| process.hostname = "h".repeat(65),
    ] {
        let mut process = process(&["true"]);
        spoil(&mut process);
        assert!(matches!(host.run(&host.base_view(), &process), Err(Error::System { .. })), "{process:?}");
    }
    let long = "x".repeat(200_000);
    let result = host.run(&host.base_view(), &process(&["true", &long]));
    assert!(matches!(result, Err(Error::NotExecutable { reason, .. }) if reason.contains("too long")));
    assert_eq!(run("/script").expect("runs").ok(), "script x");
    assert_eq!(run("echo").expect("is found in PATH").ok(), "x");
    assert_nothing_left(host);
}

fn output_comes_live_and_complete(host: &Host) {
    let pieces = Mutex::new(Vec::new());
    let each = |stream: Stream, bytes: &[u8]| {
        pieces.lock().expect("lock").push((Instant::now(), stream, bytes.to_vec()));
    };
    let script = shell_process("echo first; sleep 1; echo second >&2");
    host.run_with(&host.base_view(), &script, Output::Each(&each), Stdin::Empty, &Cancel::new()).expect("runs");
    let pieces = pieces.into_inner().expect("lock");
    let [(early, Stream::Out, first), (late, Stream::Err, second)] = &pieces[..] else { panic!("{pieces:?}") };
    assert_eq!((&first[..], &second[..]), (&b"first\n"[..], &b"second\n"[..]));
    assert!(*late - *early > Duration::from_millis(200));

    let large = host.shell("head -c 5000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2");
    assert_eq!((large.ok().len(), large.err.len()), (5_000_000, 3_000_000));
}

fn what_is_left_running_does_not_hold_the_step(host: &Host) {
    let start = Instant::now();
    let ran = host.shell("(trap '' TERM HUP INT; sleep 100) & setsid sleep 100 & echo done");
    assert_eq!(ran.ok(), "done");
    assert!(start.elapsed() < PATIENCE);
    // What the kernel takes apart is waited for with the directory.
    drop(ran);
    assert_nothing_left(host);
}

fn orphans_are_reaped(host: &Host) {
    let ran = host.shell(
        "(sleep 0.1 & sleep 0.1 &); sleep 0.4; tries=0; while grep -qs ') Z ' /proc/[0-9]*/stat; do \
         tries=$((tries + 1)); [ $tries -lt 200 ] || exit 1; sleep 0.1; done; echo none",
    );
    assert_eq!(ran.ok(), "none");
}

fn a_process_starts_clean(host: &Host) {
    let run = |argv: &[&str]| host.run(&host.base_view(), &process(argv)).expect("runs").ok().to_owned();
    let status = run(&["cat", "/proc/self/status"]);
    for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "Umask:\t0022", "NoNewPrivs:\t0"] {
        assert!(status.contains(line), "{line} not in\n{status}");
    }
    assert_eq!(run(&["env"]), format!("PATH={}", crate::host::PATH));
    assert_eq!(run(&["cat"]), "", "standard input is empty");
    // The fourth is the directory that ls itself reads.
    assert_eq!(run(&["ls", "/proc/self/fd"]), "0\n1\n2\n3");
    assert_eq!(run(&["hostname"]), "builder");
    assert_eq!(run(&["sh", "-c", "echo $$; tr '\\0' . < /proc/1/cmdline | tr -d .; cat /proc/1/comm"]), "2\nkiln-init");
    // Its own session and process group: signals to "the group" stay inside.
    assert_eq!(run(&["sh", "-c", "cut -d' ' -f5,6 /proc/self/stat"]), "2 2");
}

fn cancelling_kills_everything_at_once(host: &Host) {
    let cancel = Cancel::new();
    let each = |_: Stream, _: &[u8]| cancel.cancel();
    let started = Instant::now();
    let script = shell_process("trap '' TERM INT; sleep 1000 & echo started; wait");
    let result = host.run_with(&host.base_view(), &script, Output::Each(&each), Stdin::Empty, &cancel);
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    assert_nothing_left(host);

    // Output that never stops must not keep anyone from looking.
    let cancel = Cancel::new();
    let started = Instant::now();
    let each = |_: Stream, _: &[u8]| {
        if started.elapsed() > Duration::from_millis(100) {
            cancel.cancel();
        }
    };
    let result = host.run_with(&host.base_view(), &process(&["yes"]), Output::Each(&each), Stdin::Empty, &cancel);
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

fn many_run_at_once(host: &Host) {
    thread::scope(|scope| {
        for number in 0..16 {
            scope.spawn(move || {
                let ran = host.shell(&format!("echo {number} > /out; sleep 0.1; cat /out"));
                assert_eq!(ran.ok(), number.to_string());
            });
        }
    });
    assert_nothing_left(host);
}

const LONG: &str = "1234567";

/// The parent of the test below.
pub(crate) fn hold() {
    with_host(|host| drop(host.shell(&format!("sleep {LONG} & sleep {LONG}"))));
}

fn killing_the_parent_leaves_nothing(_: &Host) {
    let this = std::env::current_exe().expect("this program");
    let mut parent = Command::new(this).arg("hold").spawn().expect("start");
    wait_until(|| sleepers() >= 2, "the sandbox runs");
    parent.kill().expect("kill -9");
    parent.wait().expect("wait");
    wait_until(|| sleepers() == 0, "the sandbox is gone");
}

fn sleepers() -> usize {
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.starts_with(format!("sleep\0{LONG}\0").as_bytes())).count()
}

pub(crate) fn wait_until(mut condition: impl FnMut() -> bool, what: &str) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a script that exits with 3, with the streams of this process.
pub(crate) fn inherit(script: &str) {
    with_host(|host| {
        let script = shell_process(script);
        let cancel = Cancel::new();
        let finished =
            host.run_with(&host.base_view(), &script, Output::Inherit, Stdin::Inherit, &cancel).expect("runs");
        assert_eq!(finished.status, Status::Exited(3));
    });
}

fn streams_can_be_inherited(_: &Host) {
    let this = std::env::current_exe().expect("this program");
    let mut command = Command::new(this);
    let pipes = command
        .args(["inherit", "cat; echo error >&2; exit 3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("start");
    child.stdin.take().expect("a pipe").write_all(b"input\n").expect("write");
    let output = child.wait_with_output().expect("output");
    assert!(output.status.success(), "{output:?}");
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"input\n"[..], &b"error\n"[..]));
}

/// As a program finds it that was started by one that never waits.
fn ignored_ends_of_children_are_noticed(_: &Host) {
    let this = std::env::current_exe().expect("this program");
    let script = format!("trap '' CHLD; exec {} inherit 'true; exit 3'", this.display());
    let mut child = Command::new("sh").args(["-c", &script]).spawn().expect("start");
    let mut status = None;
    wait_until(
        || {
            status = child.try_wait().expect("wait");
            status.is_some()
        },
        "the step ends",
    );
    assert!(status.is_some_and(|status| status.success()));
}

/// Runs with a terminal, and tells whether it is back in its foreground afterwards.
pub(crate) fn terminal() {
    use rustix::{process::getpgrp, stdio::stdin, termios::tcgetpgrp};
    with_host(|host| {
        // Fields 5 and 8 are the process group and the one in the terminal's foreground.
        let script =
            "trap 'echo interrupted; exit 7' INT; tty && cut -d' ' -f5,8 /proc/$$/stat; echo ready; sleep 9 & wait";
        let finished = host
            .run_with(&host.base_view(), &shell_process(script), Output::Inherit, Stdin::Inherit, &Cancel::new())
            .expect("runs");
        let foreground = tcgetpgrp(stdin()) == Ok(getpgrp());
        println!("{:?}, foreground {foreground}", finished.status);
    });
}

fn a_terminal_stays_one(_: &Host) {
    let this = std::env::current_exe().expect("this program");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{} terminal", this.display()), "/dev/null"]);
    let Ok(mut child) = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        return println!("skipped: no `script` to make a terminal with");
    };
    let mut keyboard = child.stdin.take().expect("a pipe");
    let mut screen = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    while lines.read_line(&mut screen).expect("a line") > 0 {
        if screen.ends_with("ready\r\n") {
            keyboard.write_all(b"\x03").expect("Ctrl-C");
        }
    }
    child.wait().expect("wait");
    let screen = screen.replace("\r", "").replace("^C", "");
    assert_eq!(screen, "/dev/console\n2 2\nready\ninterrupted\nExited(7), foreground true\n");
}

/// No child of this process, dead or alive, and no mount of ours.
#[track_caller]
pub(crate) fn assert_nothing_left(host: &Host) {
    for thread in fs::read_dir("/proc/self/task").expect("proc").flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        assert_eq!(children, "", "children left");
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let here = host.temporary.path().to_str().expect("a name");
    assert!(!mounts.contains(here), "a mount is left:\n{mounts}");
}
