//! Containers: held back, followed from outside, kept from one start to the next, and gone without a trace.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kiln_exec::namespaces::{Confinement, Container, Device, Limit, Seccomp, Size, Started, root_of};
use kiln_exec::{Error, Memory, Mount, MountKind, Network, Process, Status};
use kiln_image::{User, View};
use kiln_sys::Capabilities;
use kiln_sys::userns::Ids;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::Test;
use crate::host::{Host, process, shell_process};
use crate::life::{assert_nothing_left, wait_until};

pub(crate) const TESTS: &[Test] = &[
    ("a_container_waits_for_leave", a_container_waits_for_leave),
    ("a_container_keeps_what_it_wrote", a_container_keeps_what_it_wrote),
    ("containers_that_cannot_be_started", containers_that_cannot_be_started),
    ("a_container_reads_its_input", a_container_reads_its_input),
    ("a_container_has_a_terminal", a_container_has_a_terminal),
    ("capabilities_are_added_and_dropped", capabilities_are_added_and_dropped),
    ("confinement_is_chosen", confinement_is_chosen),
    ("a_root_that_is_read_only", a_root_that_is_read_only),
    ("limits_and_devices", limits_and_devices),
    ("files_and_directories_of_the_host", files_and_directories_of_the_host),
    ("a_private_network_is_handed_over", a_private_network_is_handed_over),
    ("signals_reach_the_container", signals_reach_the_container),
    ("a_program_is_stopped_and_goes_on", a_program_is_stopped_and_goes_on),
    ("a_stopped_container_can_be_mounted", a_stopped_container_can_be_mounted),
    ("many_starts_leave_nothing", many_starts_leave_nothing),
];

/// The kept directories of a container, and what is wanted of it.
pub(crate) struct Kept<'a> {
    host: &'a Host,
    upper: PathBuf,
    work: PathBuf,
    pub(crate) confinement: Confinement,
    pub(crate) mounts: Vec<Mount>,
}

impl<'a> Kept<'a> {
    pub(crate) fn new(host: &'a Host) -> Self {
        let directory = host.next("container");
        fs::create_dir(&directory).expect("directory");
        let [upper, work] = ["upper", "work"].map(|name| directory.join(name));
        Self { host, upper, work, confinement: Confinement::default(), mounts: Vec::new() }
    }

    pub(crate) fn start(&self, process: &Process) -> Started {
        self.start_with(process, |_| {}).expect("starts")
    }

    pub(crate) fn start_with<'b>(
        &'b self,
        process: &Process,
        change: impl FnOnce(&mut Container<'b>),
    ) -> Result<Started, Error> {
        let mut container = Container {
            upper: &self.upper,
            work: &self.work,
            volatile: false,
            read_only: false,
            confinement: &self.confinement,
            terminal: None,
            stdin: false,
            resolv_conf: None,
            shm_size: None,
            devices: &[],
            sysctls: &[],
            cgroup: None,
        };
        change(&mut container);
        let view = self.host.base_view();
        self.host.with_root(&view, &self.mounts, |root| self.host.executor.start(root, process, &container))
    }

    /// The output of a script that must succeed.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        finish(self.start(&shell_process(script))).ok()
    }

    /// Other users than root are tried where there are any.
    pub(crate) fn users(&self) -> &'static [u32] {
        if self.host.ids == Ids::Single { &[0] } else { &[0, 1000] }
    }
}

pub(crate) struct Ran {
    pub(crate) status: Status,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, Status::Exited(0), "out: {}\nerr: {}", self.out, self.err);
        self.out.trim_end().to_owned()
    }
}

/// Lets it go, and reads what it writes.
#[track_caller]
pub(crate) fn finish(mut started: Started) -> Ran {
    started.go().expect("goes");
    follow(started)
}

/// Reads what it writes until it ends.
pub(crate) fn follow(mut started: Started) -> Ran {
    let read = |stream: Option<OwnedFd>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            // A terminal's end is an error.
            if let Some(stream) = stream {
                let _ = File::from(stream).read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let terminal = started.terminal.as_ref().map(|terminal| terminal.try_clone().expect("descriptor"));
    let out = read(started.stdout.take().or(terminal));
    let err = read(started.stderr.take());
    let status = started.wait().expect("ends");
    drop(started);
    Ran { status, out: out.join().expect("read"), err: err.join().expect("read") }
}

fn a_container_waits_for_leave(host: &Host) {
    let kept = Kept::new(host);
    let mut started = kept.start(&shell_process("echo x > /ran; echo out; echo err >&2; exit 7"));
    let root = root_of(started.id).expect("root");
    let is_there = |path: &str| {
        openat2(&root, path, OFlags::PATH, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS).is_ok()
    };
    thread::sleep(Duration::from_millis(50));
    assert!(is_there("/etc/passwd") && !is_there("/ran"));
    assert!(started.id.is_alive());
    started.go().expect("goes");
    let id = started.id;
    let ran = follow(started);
    assert_eq!((ran.status, &*ran.out, &*ran.err), (Status::Exited(7), "out\n", "err\n"));
    wait_until(|| !id.is_alive(), "it is gone");
    assert!(root_of(id).is_err());
    drop(root);
    // One that never gets leave.
    drop(kept.start(&shell_process("echo x > /never")));
    assert!(!kept.upper.join("never").exists());
    assert_nothing_left(host);
}

fn a_container_keeps_what_it_wrote(host: &Host) {
    let kept = Kept::new(host);
    kept.shell("echo one > /kept; rm /d/one; chmod 711 /; touch /etc/new");
    assert_eq!(kept.shell("cat /kept; ls /d; stat -c %a /; ls /etc/new"), "one\ntwo\n711\n/etc/new");
    for volatile in [true, true, false] {
        let started = kept.start_with(&shell_process("cat /kept"), |container| container.volatile = volatile);
        assert_eq!(finish(started.expect("starts")).ok(), "one");
    }
    // What it removed and covered does not keep it from starting.
    kept.shell("rm -r /tmp; mkdir /tmp");
    assert_eq!(kept.shell("ls /tmp; cat /etc/hostname"), "builder");
}

fn containers_that_cannot_be_started(host: &Host) {
    let kept = Kept::new(host);
    let go = |program: &str| kept.start(&process(&[program])).go();
    assert!(matches!(go("no-such-program"), Err(Error::NotFound { program }) if program == "no-such-program"));
    assert!(matches!(go("/orphan-script"), Err(Error::NotFound { .. })));
    assert!(matches!(go("/not-executable"), Err(Error::NotExecutable { .. })));
    assert!(matches!(go("/plain"), Err(Error::NotExecutable { .. })));
    assert!(matches!(go("/bin"), Err(Error::NotExecutable { .. })));
    let mut elsewhere = process(&["true"]);
    elsewhere.cwd = "/plain".to_owned();
    let refused = kept.start_with(&elsewhere, |_| {}).and_then(|mut started| started.go());
    assert!(matches!(refused, Err(Error::System { action, .. }) if action.contains("/plain")));
    assert_nothing_left(host);
}

fn a_container_reads_its_input(host: &Host) {
    let kept = Kept::new(host);
    let started = kept.start_with(&process(&["cat"]), |container| container.stdin = true);
    let mut started = started.expect("starts");
    started.go().expect("goes");
    let mut input = File::from(started.stdin.take().expect("a pipe"));
    input.write_all(b"input\n").expect("written");
    drop(input);
    assert_eq!(follow(started).ok(), "input");
    assert_eq!(finish(kept.start(&process(&["cat"]))).ok(), "", "empty unless it was asked for");
}

fn a_container_has_a_terminal(host: &Host) {
    let kept = Kept::new(host);
    let size = Size { rows: 33, columns: 77 };
    for &user in kept.users() {
        let mut process = shell_process(
            "trap 'echo interrupted; exit 9' INT; trap 'stty size' WINCH; tty; stty size; cut -d' ' -f7 /proc/self/stat
             echo console > /dev/console; echo out > /dev/stdout; ls -1 /dev/pts; echo ready; while :; do sleep 0.1; done",
        );
        process.user = User { uid: user, gid: user, ..User::default() };
        let started = kept.start_with(&process, |container| container.terminal = Some(size));
        let mut started = started.expect("starts");
        assert!(started.stdin.is_none() && started.stdout.is_none() && started.stderr.is_none());
        started.go().expect("goes");
        let terminal = started.terminal.as_ref().expect("a terminal").try_clone().expect("descriptor");
        let mut keyboard = File::from(terminal.try_clone().expect("descriptor"));
        let mut screen = File::from(terminal);
        let (sender, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                let _ = sender.send(String::from_utf8_lossy(&piece[..length]).replace('\r', ""));
            }
        });
        let mut seen = String::new();
        let mut wait_for = |text: &str| {
            while !seen.contains(text) {
                seen +=
                    &pieces.recv_timeout(Duration::from_secs(10)).unwrap_or_else(|_| panic!("{text:?} not in {seen}"));
            }
            seen.clone()
        };
        // The device of the first terminal of a devpts.
        let device = 136 << 8;
        assert_eq!(wait_for("ready\n"), format!("/dev/pts/0\n33 77\n{device}\nconsole\nout\n0\nptmx\nready\n"));
        started.resize(Size { rows: 44, columns: 99 }).expect("resized");
        wait_for("44 99\n");
        keyboard.write_all(b"\x03").expect("Ctrl-C");
        wait_for("interrupted\n");
        assert_eq!(started.wait().expect("ends"), Status::Exited(9));
    }
    assert_nothing_left(host);
}

fn status(started: Started) -> impl Fn(&str) -> String {
    let text = finish(started).ok();
    move |name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("{name} not in {text}")).to_owned()
    }
}

fn capabilities_are_added_and_dropped(host: &Host) {
    let mut kept = Kept::new(host);
    let cat = process(&["cat", "/proc/self/status"]);
    let none: &[&str] = &[];
    for (add, drop, expected) in [
        (none, &["ALL"][..], "0000000000000000"),
        (&["NET_ADMIN"], &["all"], "0000000000001000"),
        (&["SYS_PTRACE"], &["CAP_CHOWN", "KILL"], "00000000a80c25da"),
        (none, none, "00000000a80425fb"),
    ] {
        kept.confinement.capabilities = Capabilities::docker(add, drop, Capabilities::ALL).expect("known");
        let status = status(kept.start(&cat));
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(status(set), expected, "{set} {add:?} {drop:?}");
        }
        assert_eq!((status("CapInh"), status("CapAmb")), ("0".repeat(16), "0".repeat(16)));
    }
    // Without any, it still can be another user, be stopped, and be in a directory that is made for it.
    kept.confinement.capabilities = Capabilities::NONE;
    for &user in kept.users() {
        let mut process = shell_process("id -u; pwd; exec sleep 100");
        process.user = User { uid: user, gid: user, ..User::default() };
        process.cwd = "/made/for/it".to_owned();
        let mut started = kept.start(&process);
        started.go().expect("goes");
        thread::sleep(Duration::from_millis(100));
        started.signal(15).expect("signalled");
        let ran = follow(started);
        assert_eq!((ran.status, ran.out), (Status::Signalled(15), format!("{user}\n/made/for/it\n")), "{}", ran.err);
    }
    // What the filter refuses without a capability it allows with it.
    let mount = "mkdir -p /m; mount -t tmpfs none /m && echo mounted";
    kept.confinement.capabilities = Capabilities::DOCKER;
    assert_eq!(finish(kept.start(&shell_process(mount))).out, "");
    kept.confinement.capabilities = Capabilities::docker(&["SYS_ADMIN"], none, Capabilities::ALL).expect("known");
    assert_eq!(kept.shell(mount), "mounted");
}

fn confinement_is_chosen(host: &Host) {
    let mut kept = Kept::new(host);
    let cat = process(&["cat", "/proc/self/status"]);
    let default = status(kept.start(&cat));
    assert_eq!((default("NoNewPrivs"), default("Seccomp")), ("0".to_owned(), "2".to_owned()));
    kept.confinement.no_new_privileges = true;
    kept.confinement.seccomp = Seccomp::Unconfined;
    let chosen = status(kept.start(&cat));
    assert_eq!((chosen("NoNewPrivs"), chosen("Seccomp")), ("1".to_owned(), "0".to_owned()));
    kept.confinement = Confinement { privileged: true, ..Confinement::default() };
    let privileged = status(kept.start(&cat));
    assert_eq!(privileged("Seccomp"), "0");
    assert_ne!(privileged("CapEff"), default("CapEff"));
    assert_eq!(kept.shell("mkdir -p /m; mount -t tmpfs none /m && echo mounted; ls /dev/kmsg"), "mounted\n/dev/kmsg");
}

fn a_root_that_is_read_only(host: &Host) {
    let mut kept = Kept::new(host);
    let owner = *kept.users().last().expect("one at least");
    let memory = MountKind::Memory(Memory { size: Some(1 << 20), mode: 0o710, uid: owner, gid: owner, no_exec: true });
    kept.mounts = vec![Mount { target: "/tmp".to_owned(), read_only: false, kind: memory }];
    let script = "for p in /x /d/one /etc/hosts /etc/resolv.conf; do echo x 2> /dev/null > $p && echo $p; done
                  echo x > /dev/shm/x; echo '#!/bin/sh' > /tmp/x; chmod 755 /tmp/x; /tmp/x 2> /dev/null || echo $?
                  stat -c '%a %u %g' /tmp";
    let mut process = shell_process(script);
    process.cwd = "/d".to_owned();
    let started = kept.start_with(&process, |container| container.read_only = true);
    assert_eq!(finish(started.expect("starts")).ok(), format!("126\n710 {owner} {owner}"));
    process.cwd = "/not/there".to_owned();
    let refused = kept.start_with(&process, |container| container.read_only = true).err();
    assert!(matches!(refused, Some(Error::System { action, .. }) if action.contains("/not/there")));
    assert_eq!(fs::read_dir(&kept.upper).expect("list").count(), 0);
}

fn limits_and_devices(host: &Host) {
    let mut kept = Kept::new(host);
    let limit = |name, soft, hard| Limit::named(name, soft, hard).expect("known");
    kept.confinement.limits = vec![limit("nofile", Some(100), Some(200)), limit("core", Some(0), Some(0))];
    let devices = [Device { host: "/dev/full".into(), target: "/dev/deep/er/full".into() }];
    let script = "ulimit -n; ulimit -Hn; ulimit -c; df -k /dev/shm | tail -1 | awk '{print $2}'
                  echo x > /dev/deep/er/full || echo full; cat /etc/resolv.conf";
    let started = kept.start_with(&shell_process(script), |container| {
        container.shm_size = Some(1 << 20);
        container.devices = &devices;
        container.resolv_conf = Some(b"nameserver 10.0.2.3\n");
    });
    assert_eq!(finish(started.expect("starts")).ok(), "100\n200\n0\n1024\nfull\nnameserver 10.0.2.3");
    for (path, target) in [
        ("/etc/passwd", "/dev/x"),
        ("/dev/no-such", "/dev/x"),
        ("/dev/null", "/etc/x"),
        ("/dev/null", "/dev/../x"),
        // Through a link.
        ("/dev/null", "/dev/fd/1"),
        ("/dev/null", "/dev/fd/3/x"),
        ("/dev/null", "/dev/stdout"),
    ] {
        let devices = [Device { host: path.into(), target: target.into() }];
        let refused = kept.start_with(&shell_process("true"), |container| container.devices = &devices);
        assert!(refused.is_err(), "{path} {target}");
    }
    assert!(Limit::named("nofiles", None, None).is_none());
}

fn files_and_directories_of_the_host(host: &Host) {
    let mut kept = Kept::new(host);
    let directory = host.next("bound");
    fs::create_dir(&directory).expect("directory");
    fs::write(directory.join("file"), "of the host\n").expect("file");
    let bound = |source: PathBuf, target: &str, read_only| Mount {
        target: target.to_owned(),
        read_only,
        kind: MountKind::Directory(source),
    };
    kept.mounts = vec![
        bound(directory.join("file"), "/etc/one-file", false),
        bound(directory.clone(), "/bound", true),
        bound(directory.clone(), "/writable", false),
        // As the host has it, with all that is mounted below.
        bound("/proc".into(), "/hosts-proc", true),
    ];
    let script = "cat /etc/one-file /bound/file; echo x 2> /dev/null > /bound/x || echo fixed
                  echo more >> /etc/one-file; echo new > /writable/new; ls /hosts-proc/1/status";
    assert_eq!(kept.shell(script), "of the host\nof the host\nfixed\n/hosts-proc/1/status");
    assert_eq!(fs::read_to_string(directory.join("file")).expect("read"), "of the host\nmore\n");
    assert_eq!(fs::read_to_string(directory.join("new")).expect("read"), "new\n");
    assert_eq!(fs::read_dir(&kept.upper).expect("list").count(), 0, "mount points are no changes");
}

fn a_private_network_is_handed_over(host: &Host) {
    let kept = Kept::new(host);
    let mut process =
        shell_process("tail -n +3 /proc/net/dev | cut -d: -f1; ip -o -4 addr show lo | grep -o 127.0.0.1/8");
    process.network = Network::Private;
    let started = kept.start(&process);
    let network = started.network.as_ref().expect("a network").try_clone().expect("descriptor");
    // What is made there before it goes is there.
    let interfaces = thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&network),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .expect("entered");
        fs::read_to_string("/proc/thread-self/net/dev").expect("devices").lines().count() - 2
    });
    assert_eq!(interfaces.join().expect("thread"), 1);
    assert_eq!(finish(started).ok().trim_start(), "lo\n127.0.0.1/8");
    process.network = Network::Host;
    assert!(kept.start(&process).network.is_none());
}

fn signals_reach_the_container(host: &Host) {
    let kept = Kept::new(host);
    let script = "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.1; done";
    for (signal, expected) in
        [(10, Status::Exited(3)), (9, Status::Signalled(9)), (15, Status::Signalled(15)), (35, Status::Signalled(35))]
    {
        let mut started = kept.start(&shell_process(script));
        started.go().expect("goes");
        let mut output = File::from(started.stdout.take().expect("a pipe"));
        output.read_exact(&mut [0; 6]).expect("read");
        started.signal(signal).expect("signalled");
        assert_eq!(started.wait().expect("ends"), expected, "{signal}");
    }
    assert_nothing_left(host);
}

/// And who passes signals on is not: it could not do so any more.
fn a_program_is_stopped_and_goes_on(host: &Host) {
    let kept = Kept::new(host);
    let container = crate::entered::sleeper(&kept, Network::Private);
    let process = shell_process("exec sleep 1000");
    let mut entered = crate::entered::enter_with(host, container.id, &process, |_| {}).expect("enters");
    entered.go().expect("goes");
    for mut started in [entered, container] {
        let first = started.id.pid;
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).expect("listed");
        let program = children.trim().parse().expect("a single child");
        let state = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("alive");
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).expect("a state")
        };
        for (signal, expected) in [(19, 'T'), (18, 'S'), (19, 'T')] {
            started.signal(signal).expect("signalled");
            wait_until(|| state(program) == expected, "it has that state");
            assert_ne!(state(first), 'T');
        }
        for signal in [15, 18] {
            started.signal(signal).expect("signalled");
        }
        assert_eq!(started.wait().expect("ends"), Status::Signalled(15));
        started.signal(10).expect("it has ended, and nobody is hurt");
    }
    assert_nothing_left(host);
}

fn a_stopped_container_can_be_mounted(host: &Host) {
    let kept = Kept::new(host);
    kept.shell("echo mine > /mine; rm /d/one");
    let view: View = host.base_view();
    let root =
        host.with_root(&view, &[], |root| host.executor.mount(root, &kept.upper, &kept.work, &[])).expect("mounted");
    let open = |path: &str, flags: OFlags| {
        let mode = Mode::from_raw_mode(if flags.contains(OFlags::CREATE) { 0o644 } else { 0 });
        openat2(&root, path, flags, mode, ResolveFlags::IN_ROOT)
    };
    let mut text = String::new();
    File::from(open("/mine", OFlags::RDONLY).expect("opened")).read_to_string(&mut text).expect("read");
    assert_eq!(text, "mine\n");
    open("/d/one", OFlags::PATH).expect_err("removed");
    open("/d/two", OFlags::PATH).expect("of the image");
    let new = open("/d/new", OFlags::WRONLY | OFlags::CREATE).expect("made");
    File::from(new).write_all(b"put in\n").expect("written");
    drop(root);
    assert_nothing_left(host);
    assert_eq!(kept.shell("cat /d/new; ls /d"), "put in\nnew\ntwo");
}

fn many_starts_leave_nothing(host: &Host) {
    let kept = Kept::new(host);
    let descriptors = || fs::read_dir("/proc/self/fd").expect("list").count();
    kept.shell("true");
    let before = descriptors();
    for number in 0..50 {
        let size = (number % 2 == 0).then_some(Size { rows: 1, columns: 1 });
        let started = kept.start_with(&shell_process("sleep 1000 & exit 0"), |container| {
            container.terminal = size;
            container.volatile = true;
        });
        let mut started = started.expect("starts");
        match number % 3 {
            0 => drop(started),
            1 => drop(finish(started)),
            _ => {
                started.go().expect("goes");
                started.signal(9).expect("killed");
                assert!(matches!(started.wait(), Ok(Status::Signalled(9) | Status::Exited(0))));
            }
        }
    }
    wait_until(|| descriptors() == before, "descriptors are closed");
    assert_nothing_left(host);
}
