//! The system call filter of a sandbox: Docker's default profile, which allows more with some capabilities.
//!
//! An allow list ([`syscalls`], [`by_capability`]), argument rules for a few calls ([`profile`]), `EPERM` for the rest, and `ENOSYS` for
//! calls newer than the list, so that programs fall back to what they used before. The host's 32-bit architecture has
//! its own numbers and is filtered by the same rules; the x32 interface answers `ENOSYS`, as on kernels without it.
//!
//! Not made with `seccompiler`: its programs hold one architecture and kill the other, and test the calls one after
//! another, which costs most of a millisecond at each installation.

mod by_capability;
mod profile;
mod program;
mod syscalls;

use std::borrow::Cow;
use std::sync::OnceLock;

use syscalls::Abi;

use crate::Capabilities;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: [(u32, Abi); 2] = [(0xC000_003E, Abi::X86_64), (0x4000_0003, Abi::X86)];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: [(u32, Abi); 2] = [(0xC000_00B7, Abi::Aarch64), (0x4000_0028, Abi::Arm)];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system calls of this architecture are not known: add a column to seccomp/syscalls.rs");

/// The compiled filter for processes with those capabilities at most; that for Docker's is made once per process.
pub(crate) fn filter(capabilities: Capabilities) -> Cow<'static, [libc::sock_filter]> {
    static FILTER: OnceLock<Vec<libc::sock_filter>> = OnceLock::new();
    let compile = || program::compile(ARCHITECTURES.map(|(audit, abi)| (audit, profile::ranges(abi, capabilities))));
    if capabilities == Capabilities::DOCKER { FILTER.get_or_init(compile).into() } else { compile().into() }
}

#[cfg(test)]
mod tests {
    use super::profile::Verdict;
    use super::*;

    /// What the kernel would do: runs the filter over one call.
    fn run(program: &[libc::sock_filter], audit: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let (mut accumulator, mut at) = (0u32, 0usize);
        loop {
            let step = program[at];
            at += 1;
            match u32::from(step.code) {
                program::LOAD => {
                    accumulator = match step.k {
                        0 => number,
                        4 => audit,
                        16 => arguments[0],
                        24 => arguments[1],
                        other => panic!("load from {other}"),
                    }
                }
                program::JUMP => at += step.k as usize,
                program::IF_EQUAL => at += usize::from(if accumulator == step.k { step.jt } else { step.jf }),
                program::IF_AT_LEAST => at += usize::from(if accumulator >= step.k { step.jt } else { step.jf }),
                program::IF_ANY_BIT => at += usize::from(if accumulator & step.k != 0 { step.jt } else { step.jf }),
                program::RETURN => return step.k,
                other => panic!("instruction {other}"),
            }
        }
    }

    #[test]
    fn every_call_of_the_table_is_decided_as_the_profile_says() {
        let filter = &filter(Capabilities::DOCKER);
        assert!(filter.len() < 1000, "{} instructions", filter.len());
        for (audit, abi) in ARCHITECTURES {
            let known: Vec<_> = syscalls::of(abi).collect();
            for &(name, number) in &known {
                let expected = if name == "clone3" { Verdict::NotImplemented } else { Verdict::Allow };
                assert_eq!(run(filter, audit, number, [0, 0]), expected.code(), "{name}");
            }
            let last = known.iter().map(|&(_, number)| number).filter(|&number| number < 0xF_0000).max().expect("some");
            for number in 0..=last {
                if !known.iter().any(|&(_, listed)| listed == number) {
                    assert_eq!(run(filter, audit, number, [0, 0]), Verdict::Refuse.code(), "{number}");
                }
            }
            for newer in [last + 1, 0x4000_0000, u32::MAX] {
                assert_eq!(run(filter, audit, newer, [0, 0]), Verdict::NotImplemented.code(), "{newer}");
            }
        }
        assert_eq!(run(filter, 1, 0, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn arguments_decide_where_the_call_alone_does_not() {
        let (audit, abi) = ARCHITECTURES[0];
        let number = |wanted: &str| syscalls::of(abi).find(|(name, _)| *name == wanted).expect("listed").1;
        let (refuse, allow) = (Verdict::Refuse, Verdict::Allow);
        for (name, arguments, expected) in [
            ("clone", [libc::SIGCHLD as u32, 0], allow),
            ("clone", [libc::CLONE_NEWUSER as u32 | libc::SIGCHLD as u32, 0], refuse),
            ("clone", [libc::CLONE_NEWNET as u32, 0], refuse),
            ("socket", [libc::AF_INET as u32, 0], allow),
            ("socket", [libc::AF_ALG as u32, 0], refuse),
            ("socket", [39, 0], allow),
            ("socket", [libc::AF_VSOCK as u32, 0], refuse),
            ("socket", [44, 0], allow),
            ("personality", [0x0008, 0], allow),
            ("personality", [0xFFFF_FFFF, 0], allow),
            ("personality", [0x0040_0000, 0], refuse),
            ("ioctl", [0, libc::TCGETS as u32], allow),
            ("ioctl", [0, libc::TIOCSTI as u32], refuse),
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
            (&admin, "mount", libc::SYS_mount, 0, Verdict::Allow),
            (&admin, "setns", libc::SYS_setns, 0, Verdict::Allow),
            (&admin, "clone", libc::SYS_clone, libc::CLONE_NEWNET, Verdict::Allow),
            (&admin, "clone3", libc::SYS_clone3, 0, Verdict::Allow),
            (&admin, "clock_settime", libc::SYS_clock_settime, 0, Verdict::Refuse),
            (&admin, "kexec_load", libc::SYS_kexec_load, 0, Verdict::Refuse),
            (&time, "clock_settime", libc::SYS_clock_settime, 0, Verdict::Allow),
            (&time, "mount", libc::SYS_mount, 0, Verdict::Refuse),
            (&time, "clone", libc::SYS_clone, libc::CLONE_NEWNET, Verdict::Refuse),
        ] {
            let number = u32::try_from(number).expect("a number");
            assert_eq!(run(filter, audit, number, [arguments as u32, 0]), expected.code(), "{name}");
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
}
