//! What the filter decides for each call: the rules that are more than "listed, therefore allowed".

use super::by_capability;
use super::syscalls::{self, Abi};
use crate::Capabilities;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    Refuse,
    NotImplemented,
}

impl Verdict {
    /// The value that a filter returns.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Refuse => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            Self::NotImplemented => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        }
    }
}

/// A test of the low 32 bits of an argument. All arguments that are tested here are 32 bits wide in the kernel, so
/// what stands in the high half must not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equals(u32),
    HasAny(u32),
}

/// The first test that holds decides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) index: u32,
    pub(super) tests: &'static [(Test, Verdict)],
    pub(super) otherwise: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Always(Verdict),
    By(&'static Arguments),
}

const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

const CLONE: Arguments =
    Arguments { index: 0, tests: &[(Test::HasAny(NEW_NAMESPACES), Verdict::Refuse)], otherwise: Verdict::Allow };

/// Vsock reaches the hypervisor, and AF_ALG the kernel's crypto code, past every network namespace.
const SOCKET: Arguments = Arguments {
    index: 0,
    tests: &[
        (Test::Equals(libc::AF_ALG as u32), Verdict::Refuse),
        (Test::Equals(libc::AF_VSOCK as u32), Verdict::Refuse),
    ],
    otherwise: Verdict::Allow,
};

/// The execution domains that do not weaken memory protection: none, 32-bit uname, 3 GB addresses, and the query.
const PERSONALITY: Arguments = Arguments {
    index: 0,
    tests: &[
        (Test::Equals(0x0000_0000), Verdict::Allow),
        (Test::Equals(0x0000_0008), Verdict::Allow),
        (Test::Equals(0x0002_0000), Verdict::Allow),
        (Test::Equals(0x0002_0008), Verdict::Allow),
        (Test::Equals(0xFFFF_FFFF), Verdict::Allow),
    ],
    otherwise: Verdict::Refuse,
};

/// Docker gives a container a terminal of its own; here it may be the caller's, and these two type into it.
const IOCTL: Arguments = Arguments {
    index: 1,
    tests: &[
        (Test::Equals(libc::TIOCSTI as u32), Verdict::Refuse),
        (Test::Equals(libc::TIOCLINUX as u32), Verdict::Refuse),
    ],
    otherwise: Verdict::Allow,
};

fn rule(name: &str, is_admin: bool) -> Rule {
    match name {
        "clone" | "clone3" if is_admin => Rule::Always(Verdict::Allow),
        "clone" => Rule::By(&CLONE),
        // Its flags are in memory, where a filter cannot look; the C libraries then use clone.
        "clone3" => Rule::Always(Verdict::NotImplemented),
        "socket" => Rule::By(&SOCKET),
        "personality" => Rule::By(&PERSONALITY),
        "ioctl" => Rule::By(&IOCTL),
        _ => Rule::Always(Verdict::Allow),
    }
}

/// ARM's private calls lie far above the others and say nothing about how new the list is.
const ARM_PRIVATE: u32 = 0xF_0000;

/// The rules of `abi` as ranges of call numbers: each holds from its number up to the next range's.
pub(super) fn ranges(abi: Abi, capabilities: Capabilities) -> Vec<(u32, Rule)> {
    let is_admin = capabilities.has("SYS_ADMIN") == Ok(true);
    let calls = syscalls::of(abi).chain(by_capability::of(abi, capabilities));
    let mut calls: Vec<(u32, Rule)> = calls.map(|(name, number)| (number, rule(name, is_admin))).collect();
    calls.sort_by_key(|&(number, _)| number);
    let newest = calls.iter().map(|&(number, _)| number).filter(|&number| number < ARM_PRIVATE).max().unwrap_or(0);

    let mut ranges: Vec<(u32, Rule)> = Vec::new();
    let mut push = |number: u32, rule: Rule| {
        if ranges.last().is_none_or(|&(_, last)| last != rule) {
            ranges.push((number, rule));
        }
    };
    let unlisted = |number: u32| Rule::Always(if number > newest { Verdict::NotImplemented } else { Verdict::Refuse });
    let mut next = 0;
    for (number, rule) in calls {
        if number > next {
            push(next, unlisted(next));
        }
        push(number, rule);
        next = number + 1;
    }
    push(next, unlisted(next));
    ranges
}
