//! The rules of the default filter that are more than "listed, therefore allowed".

use std::borrow::Cow;

use super::by_capability;
use super::rule::{Action, Case, Comparison, Condition, Rule, ranges};
use super::syscalls::{self, Abi};
use crate::Capabilities;

const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

static CLONE: [Case; 1] = [Case {
    conditions: Cow::Borrowed(&[Condition {
        argument: 0,
        mask: NEW_NAMESPACES as u64,
        comparison: Comparison::NotEqual,
        value: 0,
    }]),
    action: Action::REFUSE,
}];

const fn equal(condition: &'static [Condition; 1], action: Action) -> Case {
    Case { conditions: Cow::Borrowed(condition), action }
}

/// Vsock reaches the hypervisor, and AF_ALG the kernel's crypto code, past every network namespace.
static SOCKET: [Case; 2] = [
    equal(&[Condition::low(0, Comparison::Equal, libc::AF_ALG as u32)], Action::REFUSE),
    equal(&[Condition::low(0, Comparison::Equal, libc::AF_VSOCK as u32)], Action::REFUSE),
];

/// The execution domains that do not weaken memory protection: none, 32-bit uname, 3 GB addresses, and the query.
static PERSONALITY: [Case; 5] = [
    equal(&[Condition::low(0, Comparison::Equal, 0x0000_0000)], Action::Allow),
    equal(&[Condition::low(0, Comparison::Equal, 0x0000_0008)], Action::Allow),
    equal(&[Condition::low(0, Comparison::Equal, 0x0002_0000)], Action::Allow),
    equal(&[Condition::low(0, Comparison::Equal, 0x0002_0008)], Action::Allow),
    equal(&[Condition::low(0, Comparison::Equal, 0xFFFF_FFFF)], Action::Allow),
];

/// Docker gives a container a terminal of its own; here it may be the caller's, and these two type into it.
static IOCTL: [Case; 2] = [
    equal(&[Condition::low(1, Comparison::Equal, libc::TIOCSTI as u32)], Action::REFUSE),
    equal(&[Condition::low(1, Comparison::Equal, libc::TIOCLINUX as u32)], Action::REFUSE),
];

fn rule(name: &str, is_admin: bool) -> Rule {
    let rule = |cases: &'static [Case], otherwise| Rule { cases: Cow::Borrowed(cases), otherwise };
    match name {
        "clone" | "clone3" if is_admin => Rule::always(Action::Allow),
        "clone" => rule(&CLONE, Action::Allow),
        // Its flags are in memory, where a filter cannot look; the C libraries then use clone.
        "clone3" => Rule::always(Action::NOT_IMPLEMENTED),
        "socket" => rule(&SOCKET, Action::Allow),
        "personality" => rule(&PERSONALITY, Action::REFUSE),
        "ioctl" => rule(&IOCTL, Action::Allow),
        _ => Rule::always(Action::Allow),
    }
}

/// The rules of `abi` as ranges of call numbers.
pub(super) fn section(abi: Abi, capabilities: Capabilities) -> Vec<(u32, Rule)> {
    let is_admin = capabilities.has("SYS_ADMIN") == Ok(true);
    let calls = syscalls::of(abi).chain(by_capability::of(abi, capabilities));
    let mut calls: Vec<(u32, Rule)> = calls.map(|(name, number)| (number, rule(name, is_admin))).collect();
    calls.sort_by_key(|&(number, _)| number);
    ranges(calls, Action::REFUSE, Action::NOT_IMPLEMENTED)
}
