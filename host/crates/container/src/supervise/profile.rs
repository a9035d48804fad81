//! From a profile of system calls to the rules that count for one container on this machine.

use kiln_sys::Capabilities;
use kiln_sys::seccomp::{self, CallRule, Comparison, Condition};

use crate::security::profile::{Action, Argument, Calls, Errno, Kernel, Operator, Place, Profile};

#[cfg(target_arch = "x86_64")]
const OWN: (&str, &str, &str) = ("amd64", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86");
#[cfg(target_arch = "aarch64")]
const OWN: (&str, &str, &str) = ("arm64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM");

pub(super) fn resolve(profile: &Profile, capabilities: Capabilities) -> seccomp::Profile {
    let (architecture, own, narrow) = OWN;
    let uname = rustix::system::uname();
    let place = Place {
        has_capability: &|name| capabilities.has(name) == Ok(true),
        architecture,
        kernel: Kernel::of_release(&uname.release().to_string_lossy()).unwrap_or(Kernel(0, 0)),
    };
    let rule = |calls: &Calls| CallRule {
        names: calls.names().cloned().collect(),
        action: action(calls.action, calls.errno()),
        conditions: calls.arguments().iter().map(condition).collect(),
    };
    let (otherwise, errno) = profile.default_action();
    seccomp::Profile {
        otherwise: action(otherwise, errno),
        rules: profile.rules(place).map(rule).collect(),
        has_32_bit: profile.has_architecture(own, narrow),
        is_logged: profile.is_logged(),
        is_unspeculative: profile.is_unspeculative(),
    }
}

fn action(action: Action, errno: Option<Errno>) -> seccomp::Action {
    let errno = errno.map_or(rustix::io::Errno::PERM.raw_os_error() as u16, |errno| errno.0);
    match action {
        Action::Allow => seccomp::Action::Allow,
        Action::Log => seccomp::Action::Log,
        Action::Errno => seccomp::Action::Errno(errno),
        Action::Trap => seccomp::Action::Trap,
        Action::Trace => seccomp::Action::Trace(errno),
        Action::KillThread => seccomp::Action::KillThread,
        Action::KillProcess => seccomp::Action::KillProcess,
    }
}

fn condition(argument: &Argument) -> Condition {
    let of_all = |comparison| (u64::MAX, comparison, argument.value);
    let (mask, comparison, value) = match argument.op {
        Operator::NotEqual => of_all(Comparison::NotEqual),
        Operator::Less => of_all(Comparison::Less),
        Operator::LessOrEqual => of_all(Comparison::LessOrEqual),
        Operator::Equal => of_all(Comparison::Equal),
        Operator::GreaterOrEqual => of_all(Comparison::GreaterOrEqual),
        Operator::Greater => of_all(Comparison::Greater),
        Operator::MaskedEqual => (argument.value, Comparison::Equal, argument.value_two),
    };
    Condition { argument: argument.index, mask, comparison, value }
}
