//! Other processes in a container that runs: what they share with it, and that nothing of the host comes with them.

use std::fs::{self, File};
use std::io::{Read, Write, pipe};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use kiln_exec::namespaces::{Confinement, Enter, Size, Started};
use kiln_exec::{Error, Network, Process, Status};
use kiln_image::User;
use kiln_sys::Capabilities;
use kiln_sys::process::{Identity, spawn_detached};
use kiln_sys::userns::Ids;

use crate::Test;
use crate::containers::{Kept, finish, follow};
use crate::host::{Host, process, shell_process};
use crate::life::{assert_nothing_left, wait_until};

pub(crate) const TESTS: &[Test] = &[
    ("who_enters_is_in_the_container", who_enters_is_in_the_container),
    ("who_enters_is_confined", who_enters_is_confined),
    ("who_enters_brings_nothing_of_the_host", who_enters_brings_nothing_of_the_host),
    ("programs_that_cannot_enter", programs_that_cannot_enter),
    ("who_enters_may_have_a_terminal", who_enters_may_have_a_terminal),
    ("who_enters_may_use_the_callers_pipes", who_enters_may_use_the_callers_pipes),
    ("who_entered_ends_with_the_container", who_entered_ends_with_the_container),
    ("a_container_sees_nothing_of_those_who_enter", a_container_sees_nothing_of_those_who_enter),
    ("a_supervisor_is_alone", a_supervisor_is_alone),
];

static DOCKERS: LazyLock<Confinement> = LazyLock::new(Confinement::default);

pub(crate) fn enter_with<'a>(
    host: &Host,
    of: Identity,
    process: &Process,
    change: impl FnOnce(&mut Enter<'a>),
) -> Result<Started, Error> {
    let mut how = Enter { confinement: &DOCKERS, terminal: None, stdin: false, given: [None; 3], cgroup: None };
    change(&mut how);
    host.executor.enter(of, process, &how)
}

fn enter(host: &Host, of: &Started, script: &str) -> String {
    finish(enter_with(host, of.id, &shell_process(script), |_| {}).expect("enters")).ok()
}

/// Has written a file, and sleeps until it is killed.
pub(crate) fn sleeper(kept: &Kept<'_>, network: Network) -> Started {
    let mut process = shell_process("echo of the container > /tmp/file; echo ready; exec sleep 1000");
    process.network = network;
    process.hostname = "inside".to_owned();
    let mut started = kept.start(&process);
    started.go().expect("goes");
    let mut ready = [0; 6];
    let mut output = File::from(started.stdout.as_ref().expect("a pipe").try_clone().expect("descriptor"));
    output.read_exact(&mut ready).expect("it is ready");
    started
}

fn who_enters_is_in_the_container(host: &Host) {
    let kept = Kept::new(host);
    for network in [Network::Private, Network::Host] {
        let container = sleeper(&kept, network);
        assert_eq!(enter(host, &container, "cat /tmp/file"), "of the container");
        let namespaces = "cd /proc/self/ns; for n in cgroup ipc mnt net pid user uts; do readlink $n; done";
        let mine = enter(host, &container, namespaces);
        let of_the_first = |name: &str| {
            fs::read_link(format!("/proc/{}/ns/{name}", container.id.pid)).expect("link").display().to_string()
        };
        let expected = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"].map(of_the_first);
        assert_eq!(mine.lines().collect::<Vec<_>>(), expected);
        assert_eq!(enter(host, &container, "hostname; pwd; cat /proc/1/comm; cat"), "inside\n/\nkiln-init");
        // In the middle of its exec it has no arguments.
        wait_until(|| enter(host, &container, "ps").contains("sleep 1000"), "it sleeps");
        let mut process = shell_process("pwd; id -u; id -g; echo $COLOUR; echo x > /tmp/mine; exit 5");
        process.cwd = "/tmp".to_owned();
        process.env.push(("COLOUR".to_owned(), "blue".to_owned()));
        let user = if host.ids == Ids::Single { 0 } else { 1000 };
        process.user = User { uid: user, gid: user, ..User::default() };
        let ran = finish(enter_with(host, container.id, &process, |_| {}).expect("enters"));
        assert_eq!((ran.status, ran.out), (Status::Exited(5), format!("/tmp\n{user}\n{user}\nblue\n")));
        assert_eq!(enter(host, &container, "cat /tmp/file; rm /tmp/file; ls /tmp"), "of the container\nmine");
        // Orphans that it leaves are the container's.
        enter(host, &container, "(sleep 0.1 &)");
        wait_until(|| !enter(host, &container, "ps").contains("sleep 0.1"), "the orphan is reaped");
    }
    assert_nothing_left(host);
}

fn who_enters_is_confined(host: &Host) {
    let kept = Kept::new(host);
    let container = sleeper(&kept, Network::Private);
    let of = |confinement: &Confinement| {
        let how = Enter { confinement, terminal: None, stdin: false, given: [None; 3], cgroup: None };
        let started = host.executor.enter(container.id, &process(&["cat", "/proc/self/status"]), &how);
        let text = finish(started.expect("enters")).ok();
        let fields = ["CapEff", "CapBnd", "CapInh", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn"];
        let field = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches(":\t")));
        fields.map(|name| field(name).expect("listed").to_owned()).join(" ")
    };
    let (set, none) = ("00000000a80425fb", "0000000000000000");
    let default = Confinement::default();
    assert_eq!(of(&default), format!("{set} {set} {none} 0 2 {none} {none}"));
    let less = Confinement { capabilities: Capabilities::NONE, no_new_privileges: true, ..default.clone() };
    assert_eq!(of(&less), format!("{none} {none} {none} 1 2 {none} {none}"));
    let privileged = Confinement { privileged: true, ..default };
    assert!(of(&privileged).ends_with(&format!(" 0 0 {none} {none}")), "{}", of(&privileged));
}

fn who_enters_brings_nothing_of_the_host(host: &Host) {
    let kept = Kept::new(host);
    let container = sleeper(&kept, Network::Private);
    // One that is not closed when a program is executed.
    let leak = rustix::io::dup(File::open("/").expect("open")).expect("descriptor");
    assert_eq!(enter(host, &container, "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3");
    assert_eq!(enter(host, &container, "for f in fd/0 cwd root; do readlink /proc/self/$f; done"), "/dev/null\n/\n/");
    for number in 3..24 {
        let mut process = process(&["true"]);
        process.cwd = format!("/proc/self/fd/{number}");
        let entered = enter_with(host, container.id, &process, |_| {}).and_then(|mut started| started.go());
        assert!(matches!(entered, Err(Error::System { .. })), "{number}");
    }
    drop(leak);
    // A directory as standard input would be a way out.
    let directory = File::open(host.temporary.path()).expect("open");
    let entered =
        enter_with(host, container.id, &shell_process("cd /proc/self/fd/0 && ls; readlink /proc/self/fd/0"), |how| {
            how.given[0] = Some(directory.as_fd());
            how.given[1] = Some(directory.as_fd());
        });
    let ran = follow({
        let mut entered = entered.expect("enters");
        entered.go().expect("goes");
        entered
    });
    assert_eq!(ran.out, "/dev/null\n");
    assert_eq!(
        enter(host, &container, "tr '\\0' ' ' < /proc/1/cmdline; readlink /proc/1/exe; cat /proc/1/environ; true"),
        ""
    );
}

fn programs_that_cannot_enter(host: &Host) {
    let kept = Kept::new(host);
    let container = sleeper(&kept, Network::Host);
    let go = |process: &Process| enter_with(host, container.id, process, |_| {}).and_then(|mut started| started.go());
    assert!(matches!(go(&process(&["no-such-program"])), Err(Error::NotFound { .. })));
    assert!(matches!(go(&process(&["/not-executable"])), Err(Error::NotExecutable { .. })));
    let mut elsewhere = process(&["true"]);
    elsewhere.cwd = "/no/such".to_owned();
    assert!(matches!(go(&elsewhere), Err(Error::System { action, .. }) if action.contains("/no/such")));
    let other = Identity { started: container.id.started + 1, ..container.id };
    assert!(enter_with(host, other, &process(&["true"]), |_| {}).is_err(), "its id was used again");
    drop(container);
    assert_nothing_left(host);
}

fn who_enters_may_have_a_terminal(host: &Host) {
    let kept = Kept::new(host);
    let container = sleeper(&kept, Network::Private);
    let enter = || {
        let script = shell_process("tty; stty size; read line; echo got $line; test -t 0 -a -t 1 -a -t 2 && exit 4");
        let started =
            enter_with(host, container.id, &script, |how| how.terminal = Some(Size { rows: 20, columns: 60 }));
        let mut started = started.expect("enters");
        started.go().expect("goes");
        let mut keyboard = File::from(started.terminal.as_ref().expect("a terminal").try_clone().expect("descriptor"));
        keyboard.write_all(b"typed\n").expect("written");
        started
    };
    let (first, second) = (enter(), enter());
    for (started, name) in [(first, "/dev/pts/0"), (second, "/dev/pts/1")] {
        let ran = follow(started);
        assert_eq!(ran.status, Status::Exited(4));
        let screen = ran.out.replace('\r', "").replacen("typed\n", "", 1);
        assert_eq!(screen, format!("{name}\n20 60\ngot typed\n"));
    }
}

fn who_enters_may_use_the_callers_pipes(host: &Host) {
    let kept = Kept::new(host);
    let container = sleeper(&kept, Network::Private);
    let (stdin, mut input) = pipe().expect("pipe");
    let (mut output, stdout) = pipe().expect("pipe");
    let script = shell_process("cat; echo out > /dev/stdout; echo err >&2");
    let started = enter_with(host, container.id, &script, |how| {
        how.given = [Some(stdin.as_fd()), Some(stdout.as_fd()), None];
    });
    drop((stdin, stdout));
    let mut started = started.expect("enters");
    assert!(started.stdin.is_none() && started.stdout.is_none() && started.stderr.is_some());
    started.go().expect("goes");
    input.write_all(b"from the caller\n").expect("written");
    drop(input);
    let mut text = String::new();
    output.read_to_string(&mut text).expect("read");
    assert_eq!((text.as_str(), follow(started).err.as_str()), ("from the caller\nout\n", "err\n"));
}

fn who_entered_ends_with_the_container(host: &Host) {
    let kept = Kept::new(host);
    let container = sleeper(&kept, Network::Private);
    let mut first = enter_with(host, container.id, &process(&["sleep", "1000"]), |_| {}).expect("enters");
    first.go().expect("goes");
    // One that is not let go, and one that is killed: the container stays.
    drop(enter_with(host, container.id, &process(&["sleep", "1000"]), |_| {}).expect("enters"));
    let mut second = enter_with(host, container.id, &process(&["sleep", "1000"]), |_| {}).expect("enters");
    second.go().expect("goes");
    second.signal(15).expect("signalled");
    assert_eq!(second.wait().expect("ends"), Status::Signalled(15));
    let mut third = enter_with(host, container.id, &process(&["sleep", "1001"]), |_| {}).expect("enters");
    third.go().expect("goes");
    assert!(enter(host, &container, "ps").contains("sleep 1001"));
    third.signal(9).expect("killed");
    assert_eq!(third.wait().expect("ends"), Status::Signalled(9));
    wait_until(|| !enter(host, &container, "ps").contains("sleep 1001"), "what it ran is killed, too");
    assert!(container.id.is_alive());
    drop(container);
    assert_eq!(first.wait().expect("ends"), Status::Signalled(9));
    drop((first, second, third));
    assert_nothing_left(host);
}

/// Looks at every process that appears, with the capability to trace it, while others enter.
fn a_container_sees_nothing_of_those_who_enter(host: &Host) {
    let mut kept = Kept::new(host);
    let none: [&str; 0] = [];
    // What it sees counts if that process was not the program yet when it has seen it.
    let spy = "entering() { test -r $1/comm && read c < $1/comm && test \"$c\" = kiln-exec; }
               while :; do for p in /proc/[0-9]*; do test ${p#/proc/} -gt 2 && entering $p && {
                 seen=$(for f in $p/fd/*; do readlink $f; done; readlink $p/cwd; readlink $p/root; cat $p/cmdline)
                 entering $p && echo seen $seen; }; done; done 2> /dev/null";
    for (capabilities, most) in [
        (Capabilities::DOCKER, 0),
        (Capabilities::docker(&["SYS_PTRACE"], &none, Capabilities::ALL).expect("known"), 1),
    ] {
        kept.confinement.capabilities = capabilities;
        let mut container = kept.start(&shell_process(spy));
        container.go().expect("goes");
        let output = File::from(container.stdout.take().expect("a pipe"));
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            let started =
                enter_with(host, container.id, &process(&["true"]), |how| how.confinement = &kept.confinement);
            assert_eq!(finish(started.expect("enters")).status, Status::Exited(0));
        }
        container.signal(9).expect("killed");
        container.wait().expect("ends");
        let mut seen = String::new();
        { output }.read_to_string(&mut seen).expect("read");
        for line in seen.split_whitespace().filter(|word| *word != "seen") {
            let harmless = ["pipe:[", "socket:[", "/dev/null"].iter().any(|prefix| line.starts_with(prefix));
            assert!(most == 1 && (harmless || line == "/"), "{line:?} was seen");
        }
    }
}

/// Answers what it has from its parent, and whether its own program can be written to.
pub(crate) fn detached() {
    let mut descriptors: Vec<String> = fs::read_dir("/proc/self/fd")
        .expect("list")
        .flatten()
        .map(|entry| entry.file_name().into_string().expect("a number"))
        .collect();
    descriptors.sort();
    // The last one lists them.
    println!("{}", descriptors[..descriptors.len() - 1].join(" "));
    println!("{:?}", std::env::current_dir().expect("directory"));
    let mount = rustix::fs::statvfs("/proc/self/exe").expect("statvfs");
    println!("read-only {}", mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
}

fn a_supervisor_is_alone(_: &Host) {
    let leak = rustix::io::dup(File::open("/").expect("open")).expect("descriptor");
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("flag");
    let child = spawn_detached(["detached"], [Stdio::null(), Stdio::piped(), Stdio::inherit()]).expect("starts");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 1 2\n\"/\"\nread-only true\n");
    // Other programs are none the wiser.
    let open = Command::new("sh").args(["-c", "ls /proc/self/fd | wc -l"]).output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&open.stdout).trim(), "4");
}
