//! Profiles of system calls: they hold the program, and need to allow no more than that does.

use std::sync::Arc;

use kiln_exec::namespaces::{Confinement, Seccomp};
use kiln_exec::{Network, Status};
use kiln_image::User;
use kiln_sys::Capabilities;
use kiln_sys::seccomp::{Action, CallRule, Profile};

use crate::Test;
use crate::containers::{Kept, finish, follow};
use crate::entered::{enter_with, sleeper};
use crate::host::{Host, process, shell_process};
use crate::life::wait_until;

pub(crate) const TESTS: &[Test] = &[
    ("a_profile_refuses_what_it_names", a_profile_refuses_what_it_names),
    ("who_enters_with_a_profile_ends_with_who_started_it", who_enters_with_a_profile_ends_with_who_started_it),
    ("who_enters_with_a_profile_is_not_worth_tracing", who_enters_with_a_profile_is_not_worth_tracing),
    ("a_profile_may_allow_more_than_the_default", a_profile_may_allow_more_than_the_default),
    ("a_profile_need_not_allow_what_starting_takes", a_profile_need_not_allow_what_starting_takes),
    ("a_program_that_its_profile_kills", a_program_that_its_profile_kills),
];

fn profile(otherwise: Action, names: &[&str], action: Action) -> Seccomp {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Seccomp::Profile(Arc::new(Profile {
        otherwise,
        rules: vec![CallRule { names, action, conditions: Vec::new() }],
        has_32_bit: true,
        is_logged: false,
        is_unspeculative: false,
    }))
}

fn a_profile_refuses_what_it_names(host: &Host) {
    let mut kept = Kept::new(host);
    let script = shell_process("mkdir /made 2> /dev/null && echo made; touch /x && chmod 600 /x && echo changed");
    kept.confinement.seccomp = profile(Action::Allow, &["mkdir", "mkdirat"], Action::Errno(1));
    assert_eq!(finish(kept.start(&script)).ok(), "changed");
    kept.confinement.privileged = true;
    assert_eq!(finish(kept.start(&script)).ok(), "changed", "privileged");
}

/// Nobody who may trace others finds one with more capabilities than the container has: installing the filter takes one only
/// where privileges may be gained.
fn who_enters_with_a_profile_is_not_worth_tracing(host: &Host) {
    let mut kept = Kept::new(host);
    kept.confinement.seccomp = profile(Action::Allow, &["mkdir", "mkdirat"], Action::Errno(1));
    let none: [&str; 0] = [];
    for (added, expected) in [(&[][..], "0"), (&["SYS_PTRACE"], "1"), (&["SYS_PTRACE", "SYS_ADMIN"], "0")] {
        kept.confinement.capabilities = Capabilities::docker(added, &none, Capabilities::ALL).expect("known");
        let container = sleeper(&kept, Network::Private);
        let look = process(&["grep", "NoNewPrivs", "/proc/2/status", "/proc/self/status"]);
        let look = enter_with(host, container.id, &look, |how| how.confinement = &kept.confinement);
        let expected = format!("/proc/2/status:NoNewPrivs:\t0\n/proc/self/status:NoNewPrivs:\t{expected}");
        assert_eq!(finish(look.expect("enters")).ok(), expected, "{added:?}");
    }
}

/// Also where capabilities could be gained by executing a program, after which the kernel forgets whose child it is.
fn who_enters_with_a_profile_ends_with_who_started_it(host: &Host) {
    let mut kept = Kept::new(host);
    kept.confinement.seccomp = profile(Action::Allow, &["mkdir", "mkdirat"], Action::Errno(1));
    for privileged in [false, true] {
        kept.confinement.privileged = privileged;
        let container = sleeper(&kept, Network::Private);
        let enter = |process| enter_with(host, container.id, &process, |how| how.confinement = &kept.confinement);
        let mut entered = enter(process(&["sleep", "1001"])).expect("enters");
        entered.go().expect("goes");
        entered.signal(9).expect("killed");
        assert_eq!(entered.wait().expect("ends"), Status::Signalled(9));
        let seen = || finish(enter(process(&["ps"])).expect("enters")).ok();
        wait_until(|| !seen().contains("sleep 1001"), "what it ran is killed, too");
    }
}

fn a_profile_may_allow_more_than_the_default(host: &Host) {
    let mut kept = Kept::new(host);
    let script = shell_process("unshare --user true 2> /dev/null && echo unshared; true");
    assert_eq!(finish(kept.start(&script)).ok(), "");
    kept.confinement.seccomp = profile(Action::Allow, &[], Action::Allow);
    assert_eq!(finish(kept.start(&script)).ok(), "unshared");
}

const NOT_THE_PROGRAMS: &str =
    "access capset chdir clone clone3 close_range faccessat fork kill mkdir pidfd_open pipe2 prctl
    rt_sigtimedwait seccomp sendmsg setgid setgroups setresgid setresuid setsid setuid unshare vfork wait4 waitid";

/// Whatever the program does not do itself is refused to it; as whom it runs, with what, and its end are as ever.
fn a_profile_need_not_allow_what_starting_takes(host: &Host) {
    let mut kept = Kept::new(host);
    let names: Vec<&str> = NOT_THE_PROGRAMS.split_whitespace().collect();
    let refusing = profile(Action::Allow, &names, Action::Errno(1));
    let own = shell_process("while read -r line; do echo \"$line\"; done < /proc/self/status; exit 3");
    let fields = |text: &str| {
        let wanted =
            ["Uid", "Groups", "CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "SigBlk", "SigIgn"];
        let is_wanted = |line: &&str| wanted.iter().any(|name| line.starts_with(&format!("{name}:")));
        text.lines().filter(is_wanted).map(str::to_owned).collect::<Vec<_>>()
    };
    for &uid in kept.users() {
        for (no_new_privileges, capabilities) in
            [(false, Capabilities::DOCKER), (true, Capabilities::DOCKER), (false, Capabilities::NONE)]
        {
            let mut process = own.clone();
            process.user = User { uid, gid: uid, ..User::default() };
            let default = Confinement { no_new_privileges, capabilities, ..Confinement::default() };
            kept.confinement = default.clone();
            let expected = fields(&finish(kept.start(&process)).out);
            assert_eq!(expected.len(), 10);
            kept.confinement.seccomp = refusing.clone();
            let ran = finish(kept.start(&process));
            assert_eq!((ran.status, fields(&ran.out)), (Status::Exited(3), expected.clone()), "{uid} {}", ran.err);

            // The same for one that enters.
            let mut reader = shell_process("read line; exit 7");
            reader.user = process.user.clone();
            let mut container = kept.start_with(&reader, |container| container.stdin = true).expect("starts");
            container.go().expect("goes");
            let entered = enter_with(host, container.id, &process, |how| how.confinement = &kept.confinement);
            let ran = finish(entered.expect("enters"));
            assert_eq!((ran.status, fields(&ran.out)), (Status::Exited(3), expected), "{uid} {}", ran.err);
            // Process 1 is held, too, and has no more than root has otherwise.
            let look = enter_with(host, container.id, &self::process(&["cat", "/proc/1/status"]), |_| {});
            let first = finish(look.expect("enters")).ok();
            assert!(first.contains("Seccomp:\t2\n") && first.contains("CapPrm:\t00000000a80425fb\n"), "{first}");
            drop(container.stdin.take());
            assert_eq!(follow(container).status, Status::Exited(7));
        }
    }
}

fn a_program_that_its_profile_kills(host: &Host) {
    let mut kept = Kept::new(host);
    kept.confinement.seccomp = profile(Action::Allow, &["mkdir", "mkdirat"], Action::KillProcess);
    let ran = finish(kept.start(&process(&["mkdir", "/made"])));
    assert_eq!(ran.status, Status::Signalled(31));
    let ran = finish(kept.start(&shell_process("mkdir /made; echo $?")));
    assert_eq!((ran.status, ran.out.as_str()), (Status::Exited(0), "159\n"));
    // It cannot even be executed.
    kept.confinement.seccomp = profile(Action::Allow, &["execve"], Action::Errno(1));
    let mut started = kept.start(&process(&["true"]));
    let error = started.go().expect_err("refused");
    assert!(error.to_string().contains("true"), "{error}");
}
