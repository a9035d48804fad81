//! Filters, run as the kernel would.

use super::*;

/// What the kernel would do: runs the filter over one call.
fn run(filter: &Filter, audit: u32, number: u32, arguments: [u64; 2]) -> u32 {
    let program = &filter.program;
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let step = program[at];
        at += 1;
        match u32::from(step.code) {
            program::LOAD => {
                accumulator = match step.k {
                    0 => number,
                    4 => audit,
                    at @ (16 | 20 | 24 | 28) => {
                        let argument = arguments[(at as usize - 16) / 8];
                        if at % 8 == 0 { argument as u32 } else { (argument >> 32) as u32 }
                    }
                    other => panic!("load from {other}"),
                }
            }
            program::AND => accumulator &= step.k,
            program::JUMP => at += step.k as usize,
            program::IF_EQUAL => at += usize::from(if accumulator == step.k { step.jt } else { step.jf }),
            program::IF_AT_LEAST => at += usize::from(if accumulator >= step.k { step.jt } else { step.jf }),
            program::IF_GREATER => at += usize::from(if accumulator > step.k { step.jt } else { step.jf }),
            program::RETURN => return step.k,
            other => panic!("instruction {other}"),
        }
    }
}

#[test]
fn every_call_of_the_table_is_decided_as_the_profile_says() {
    let filter = &filter(Capabilities::DOCKER);
    assert!(filter.program.len() < 1000, "{} instructions", filter.program.len());
    for (audit, abi) in ARCHITECTURES {
        let known: Vec<_> = syscalls::of(abi).collect();
        for &(name, number) in &known {
            let expected = if name == "clone3" { Action::NOT_IMPLEMENTED } else { Action::Allow };
            assert_eq!(run(filter, audit, number, [0, 0]), expected.code(), "{name}");
        }
        let last = known.iter().map(|&(_, number)| number).filter(|&number| number < 0xF_0000).max().expect("some");
        for number in 0..=last {
            if !known.iter().any(|&(_, listed)| listed == number) {
                assert_eq!(run(filter, audit, number, [0, 0]), Action::REFUSE.code(), "{number}");
            }
        }
        for newer in [last + 1, 0x4000_0000, u32::MAX] {
            assert_eq!(run(filter, audit, newer, [0, 0]), Action::NOT_IMPLEMENTED.code(), "{newer}");
        }
    }
    assert_eq!(run(filter, 1, 0, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
}

#[test]
fn arguments_decide_where_the_call_alone_does_not() {
    let (audit, abi) = ARCHITECTURES[0];
    let number = |wanted: &str| syscalls::of(abi).find(|(name, _)| *name == wanted).expect("listed").1;
    let (refuse, allow) = (Action::REFUSE, Action::Allow);
    for (name, arguments, expected) in [
        ("clone", [libc::SIGCHLD as u64, 0], allow),
        ("clone", [libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64, 0], refuse),
        ("clone", [libc::CLONE_NEWNET as u64, 0], refuse),
        ("socket", [libc::AF_INET as u64, 0], allow),
        ("socket", [libc::AF_ALG as u64, 0], refuse),
        ("socket", [39, 0], allow),
        ("socket", [libc::AF_VSOCK as u64, 0], refuse),
        ("socket", [44, 0], allow),
        ("personality", [0x0008, 0], allow),
        ("personality", [0xFFFF_FFFF, 0], allow),
        ("personality", [0x0040_0000, 0], refuse),
        ("ioctl", [0, libc::TCGETS], allow),
        ("ioctl", [0, libc::TIOCSTI], refuse),
    ] {
        assert_eq!(
            run(&filter(Capabilities::DOCKER), audit, number(name), arguments),
            expected.code(),
            "{name} {arguments:x?}"
        );
    }
}

#[test]
fn capabilities_allow_what_they_are_for() {
    let (audit, abi) = ARCHITECTURES[0];
    let none: [&str; 0] = [];
    let with = |added: &str| filter(Capabilities::docker(&[added], &none, Capabilities::ALL).expect("known"));
    let (admin, time) = (with("SYS_ADMIN"), with("SYS_TIME"));
    for (filter, name, number, arguments, expected) in [
        (&admin, "mount", libc::SYS_mount, 0, Action::Allow),
        (&admin, "setns", libc::SYS_setns, 0, Action::Allow),
        (&admin, "clone", libc::SYS_clone, libc::CLONE_NEWNET, Action::Allow),
        (&admin, "clone3", libc::SYS_clone3, 0, Action::Allow),
        (&admin, "clock_settime", libc::SYS_clock_settime, 0, Action::REFUSE),
        (&admin, "kexec_load", libc::SYS_kexec_load, 0, Action::REFUSE),
        (&time, "clock_settime", libc::SYS_clock_settime, 0, Action::Allow),
        (&time, "mount", libc::SYS_mount, 0, Action::REFUSE),
        (&time, "clone", libc::SYS_clone, libc::CLONE_NEWNET, Action::REFUSE),
    ] {
        let number = u32::try_from(number).expect("a number");
        assert_eq!(run(filter, audit, number, [arguments as u64, 0]), expected.code(), "{name}");
    }
    let all: Vec<_> = by_capability::of(abi, Capabilities::ALL).collect();
    assert!(all.iter().all(|(_, number)| syscalls::of(abi).all(|(_, listed)| listed != *number)));
    assert_eq!(by_capability::of(abi, Capabilities::DOCKER).count(), 0);
}

#[test]
fn numbers_are_those_of_this_architecture() {
    let (_, abi) = ARCHITECTURES[0];
    let number = |wanted: &str| syscalls::of(abi).find(|(name, _)| *name == wanted).map(|(_, number)| number);
    for (name, here) in [
        ("read", libc::SYS_read),
        ("openat2", libc::SYS_openat2),
        ("execve", libc::SYS_execve),
        ("clone3", libc::SYS_clone3),
        ("statx", libc::SYS_statx),
        ("close_range", libc::SYS_close_range),
    ] {
        assert_eq!(number(name).map(i64::from), Some(here), "{name}");
    }
    for refused in ["mount", "unshare", "setns", "bpf", "keyctl", "add_key", "init_module", "reboot"] {
        assert_eq!(number(refused), None, "{refused}");
    }
}

fn only(names: &[&str], action: Action, conditions: &[Condition]) -> CallRule {
    CallRule { names: names.iter().map(|&name| name.to_owned()).collect(), action, conditions: conditions.to_vec() }
}

fn profile(otherwise: Action, rules: Vec<CallRule>) -> Profile {
    Profile { otherwise, rules, has_32_bit: true, is_logged: false, is_unspeculative: false }
}

fn call(abi: Abi, name: &str) -> u32 {
    numbers::number(abi, name).expect("a call of this architecture")
}

#[test]
fn comparisons_are_of_64_bits() {
    let (audit, abi) = ARCHITECTURES[0];
    let big = 0x0000_0005_0000_0007;
    for (comparison, mask, value, arguments, holds) in [
        (Comparison::Equal, u64::MAX, big, big, true),
        (Comparison::Equal, u64::MAX, big, 7, false),
        (Comparison::Equal, u64::MAX, 7, big, false),
        (Comparison::Equal, 0xFF, 7, 0xFFFF_FFFF_FFFF_FF07, true),
        (Comparison::Equal, 0xFF_0000_0000, 5 << 32, big, true),
        (Comparison::Equal, 0xFF, 0x1_0000_0007, 7, false),
        (Comparison::NotEqual, u64::MAX, big, 7, true),
        (Comparison::NotEqual, u64::MAX, big, big, false),
        (Comparison::Greater, u64::MAX, big, big, false),
        (Comparison::Greater, u64::MAX, big, big + 1, true),
        (Comparison::Greater, u64::MAX, big, 6 << 32, true),
        (Comparison::Greater, u64::MAX, big, u64::from(u32::MAX), false),
        (Comparison::GreaterOrEqual, u64::MAX, big, big, true),
        (Comparison::GreaterOrEqual, u64::MAX, big, big - 1, false),
        (Comparison::Less, u64::MAX, big, big, false),
        (Comparison::Less, u64::MAX, big, 5 << 32, true),
        (Comparison::Less, u64::MAX, big, 6 << 32, false),
        (Comparison::LessOrEqual, u64::MAX, big, big, true),
        (Comparison::LessOrEqual, u64::MAX, big, big + 1, false),
    ] {
        let condition = Condition { argument: 1, mask, comparison, value };
        let filter = of_profile(&profile(Action::Allow, vec![only(&["read"], Action::Errno(5), &[condition])]));
        let expected = if holds { Action::Errno(5) } else { Action::Allow };
        let found = run(&filter.expect("short"), audit, call(abi, "read"), [0, arguments]);
        assert_eq!(found, expected.code(), "{condition:x?} {arguments:x}");
    }
}

#[test]
fn rules_of_one_call_are_put_together_as_libseccomp_and_runc_do() {
    let (audit, abi) = ARCHITECTURES[0];
    let equal = |argument, value| Condition { argument, mask: u64::MAX, comparison: Comparison::Equal, value };
    let refused = Action::Errno(1);
    for (rules, arguments, expected) in [
        // All of different arguments, any of one.
        (vec![only(&["read"], Action::Allow, &[equal(0, 1), equal(1, 2)])], [1, 2], Action::Allow),
        (vec![only(&["read"], Action::Allow, &[equal(0, 1), equal(1, 2)])], [1, 3], refused),
        (vec![only(&["read"], Action::Allow, &[equal(0, 1), equal(0, 2)])], [2, 0], Action::Allow),
        (vec![only(&["read"], Action::Allow, &[equal(0, 1), equal(0, 2)])], [3, 0], refused),
        // Without conditions it is the stronger one, whichever comes first.
        (
            vec![only(&["read"], Action::Trap, &[equal(0, 1)]), only(&["read"], Action::Allow, &[])],
            [1, 0],
            Action::Allow,
        ),
        (
            vec![only(&["read"], Action::Allow, &[]), only(&["read"], Action::Trap, &[equal(0, 1)])],
            [1, 0],
            Action::Allow,
        ),
        (vec![only(&["read"], Action::Allow, &[]), only(&["read"], Action::Trap, &[])], [1, 0], Action::Allow),
        // What says the same as the profile says of all calls, says nothing.
        (vec![only(&["read"], refused, &[]), only(&["read"], Action::Allow, &[])], [1, 0], Action::Allow),
    ] {
        let filter = of_profile(&profile(refused, rules.clone())).expect("short");
        assert_eq!(run(&filter, audit, call(abi, "read"), arguments), expected.code(), "{rules:?}");
    }
}

#[test]
fn what_a_profile_does_not_name() {
    let (audit, abi) = ARCHITECTURES[0];
    let rules = vec![only(&["read", "openat", "no_such_call"], Action::Allow, &[])];
    let newest = call(abi, "openat");
    for (otherwise, newer) in [
        (Action::Errno(1), Action::NOT_IMPLEMENTED),
        (Action::KillProcess, Action::NOT_IMPLEMENTED),
        (Action::Log, Action::Log),
    ] {
        let filter = of_profile(&profile(otherwise, rules.clone())).expect("short");
        assert_eq!(run(&filter, audit, call(abi, "read"), [0, 0]), Action::Allow.code());
        assert_eq!(run(&filter, audit, newest - 1, [0, 0]), otherwise.code());
        assert_eq!(run(&filter, audit, newest + 1, [0, 0]), newer.code());
        assert_eq!(run(&filter, 1, 0, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
    }
    let native = Profile { has_32_bit: false, ..profile(Action::Allow, Vec::new()) };
    let filter = of_profile(&native).expect("short");
    assert_eq!(run(&filter, audit, 0, [0, 0]), Action::Allow.code());
    assert_eq!(run(&filter, ARCHITECTURES[1].0, 0, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
}

#[test]
fn a_profile_that_is_too_long_is_refused() {
    let equal = |value| Condition { argument: 0, mask: u64::MAX, comparison: Comparison::Equal, value };
    let separate = (0..2000).map(|value| only(&["read"], Action::Errno(1), &[equal(value)])).collect();
    // A million names with as many conditions would not fit in memory.
    let conditions: Vec<Condition> = (0..2000).map(equal).collect();
    let repeated = vec![only(&["read"; 1_000_000], Action::Errno(1), &conditions)];
    for rules in [separate, repeated] {
        let error = of_profile(&profile(Action::Allow, rules)).expect_err("long");
        assert!(error.to_string().contains("the kernel takes 4096"), "{error}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x32_does_not_exist_whatever_a_profile_says() {
    let filter = of_profile(&profile(Action::Allow, Vec::new())).expect("short");
    for number in [0x4000_0000, 0x4000_0001, u32::MAX] {
        assert_eq!(run(&filter, ARCHITECTURES[0].0, number, [0, 0]), Action::NOT_IMPLEMENTED.code());
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn sockets_of_32_bit_programs_are_held_in_both_their_calls() {
    let (audit, abi) = ARCHITECTURES[1];
    let unix = Condition::low(0, Comparison::Equal, 1);
    let refused = Action::Errno(1);
    let (socket, bind) = ([1, 0], [2, 0]);
    for (otherwise, rules, expected) in [
        (Action::Allow, vec![only(&["socket"], refused, &[])], [refused, Action::Allow]),
        (refused, vec![only(&["socket"], Action::Allow, &[])], [Action::Allow, refused]),
        // In memory nobody can look.
        (Action::Allow, vec![only(&["socket"], refused, &[unix])], [refused, Action::Allow]),
        (refused, vec![only(&["socket"], Action::Allow, &[unix])], [refused, refused]),
        (refused, vec![only(&["socketcall"], Action::Allow, &[])], [Action::Allow, Action::Allow]),
    ] {
        let filter = of_profile(&profile(otherwise, rules.clone())).expect("short");
        let found = [socket, bind].map(|arguments| run(&filter, audit, call(abi, "socketcall"), arguments));
        assert_eq!(found, expected.map(Action::code), "{rules:?}");
    }
    let ipc = vec![only(&["shmget"], refused, &[])];
    let filter = of_profile(&profile(Action::Allow, ipc)).expect("short");
    assert_eq!(run(&filter, audit, call(abi, "ipc"), [0x1_0017, 0]), refused.code());
    assert_eq!(run(&filter, audit, call(abi, "ipc"), [21, 0]), Action::Allow.code());
}
