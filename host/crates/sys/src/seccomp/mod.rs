//! The system call filter of a sandbox: Docker's default profile, which allows more with some capabilities, or one that was
//! asked for ([`Profile`]).
//!
//! The default is an allow list ([`syscalls`], [`by_capability`]), argument rules for a few calls ([`default`]), `EPERM` for
//! the rest, and `ENOSYS` for calls newer than the list, so that programs fall back to what they used before. The host's
//! 32-bit architecture has its own numbers and is filtered by the same rules; the x32 interface answers `ENOSYS`, as on
//! kernels without it.
//!
//! Not made with `seccompiler`: its programs hold one architecture and kill the other, and test the calls one after
//! another, which costs most of a millisecond at each installation.

mod by_capability;
mod default;
mod numbers;
mod profile;
mod program;
mod rule;
mod syscalls;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::{Error, ErrorKind, Result};
use std::sync::OnceLock;

use syscalls::Abi;

use crate::Capabilities;

pub use profile::{CallRule, Profile};
pub use rule::{Action, Comparison, Condition};

/// This machine's own comes first.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: [(u32, Abi); 2] = [(0xC000_003E, Abi::X86_64), (0x4000_0003, Abi::X86)];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: [(u32, Abi); 2] = [(0xC000_00B7, Abi::Aarch64), (0x4000_0028, Abi::Arm)];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system calls of this architecture are not known: add a column to seccomp/syscalls.rs");

/// As the kernel takes it.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) program: Cow<'static, [libc::sock_filter]>,
    pub(crate) flags: libc::c_ulong,
}

/// That for processes with those capabilities at most; that for Docker's is made once per process.
pub(crate) fn filter(capabilities: Capabilities) -> Filter {
    static FILTER: OnceLock<Vec<libc::sock_filter>> = OnceLock::new();
    let compile = || program::compile(ARCHITECTURES.map(|(audit, abi)| (audit, default::section(abi, capabilities))));
    let program =
        if capabilities == Capabilities::DOCKER { FILTER.get_or_init(compile).into() } else { compile().into() };
    Filter { program, flags: libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW }
}

/// That of a profile. Fails if it is longer than the kernel takes.
pub(crate) fn of_profile(profile: &Profile) -> Result<Filter> {
    let architectures = &ARCHITECTURES[..if profile.has_32_bit { 2 } else { 1 }];
    let sections = architectures.iter().map(|&(audit, abi)| (audit, profile::section(abi, profile)));
    let program = program::compile(sections);
    if program.len() > MOST_INSTRUCTIONS {
        let message = format!(
            "the profile becomes {} instructions, and the kernel takes {MOST_INSTRUCTIONS}: name fewer conditions",
            program.len()
        );
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let flag = |is_wanted: bool, flag| if is_wanted { flag } else { 0 };
    let flags = flag(!profile.is_unspeculative, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW)
        | flag(profile.is_logged, libc::SECCOMP_FILTER_FLAG_LOG);
    Ok(Filter { program: program.into(), flags })
}

/// `BPF_MAXINSNS`
const MOST_INSTRUCTIONS: usize = 4096;

/// For kiln's own process 1 beside a program that has a profile: what [`crate::sandbox`] does there once it has started that.
pub(crate) fn of_init() -> Filter {
    static FILTER: OnceLock<Vec<libc::sock_filter>> = OnceLock::new();
    let compile = || {
        let (audit, abi) = ARCHITECTURES[0];
        let profile = Profile {
            otherwise: Action::REFUSE,
            rules: vec![CallRule {
                names: INITS.map(str::to_owned).to_vec(),
                action: Action::Allow,
                conditions: Vec::new(),
            }],
            has_32_bit: false,
            is_logged: false,
            is_unspeculative: false,
        };
        program::compile([(audit, profile::section(abi, &profile))])
    };
    Filter { program: FILTER.get_or_init(compile).into(), flags: libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW }
}

const INITS: [&str; 14] = [
    "capget",
    "capset",
    "close",
    "exit",
    "exit_group",
    "kill",
    "pidfd_open",
    "read",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sendmsg",
    "sendto",
    "wait4",
    "write",
];
