//! The system calls that Docker's profile allows together with a capability: what it is for is refused otherwise.

use super::syscalls::{Abi, NONE};
use crate::Capabilities;

/// Those of `abi` that processes with `capabilities` may use besides [`super::syscalls::of`].
pub(super) fn of(abi: Abi, capabilities: Capabilities) -> impl Iterator<Item = (&'static str, u32)> {
    let has = move |names: &[&str]| names.iter().any(|name| capabilities.has(name) == Ok(true));
    let allowed = TABLE.iter().filter(move |(names, ..)| has(names));
    allowed.map(move |(_, name, numbers)| (*name, numbers[abi as usize])).filter(|&(_, number)| number != NONE)
}

#[rustfmt::skip]
const TABLE: &[(&[&str], &str, [u32; 4])] = &[
    // one of these capabilities, name, x86_64, x86, aarch64, arm
    (&["SYS_PACCT"], "acct", [163, 51, 89, 51]),
    (&["SYS_ADMIN", "BPF"], "bpf", [321, 357, 280, 386]),
    (&["SYS_TIME"], "clock_settime", [227, 264, 112, 262]),
    (&["SYS_TIME"], "clock_settime64", [NONE, 404, NONE, 404]),
    (&["SYS_MODULE"], "delete_module", [176, 129, 106, 129]),
    (&["SYS_ADMIN"], "fanotify_init", [300, 338, 262, 367]),
    (&["SYS_MODULE"], "finit_module", [313, 350, 273, 379]),
    (&["SYS_ADMIN"], "fsconfig", [431, 431, 431, 431]),
    (&["SYS_ADMIN"], "fsmount", [432, 432, 432, 432]),
    (&["SYS_ADMIN"], "fsopen", [430, 430, 430, 430]),
    (&["SYS_ADMIN"], "fspick", [433, 433, 433, 433]),
    (&["SYS_NICE"], "get_mempolicy", [239, 275, 236, 320]),
    (&["SYS_MODULE"], "init_module", [175, 128, 105, 128]),
    (&["SYS_RAWIO"], "ioperm", [173, 101, NONE, NONE]),
    (&["SYS_RAWIO"], "iopl", [172, 110, NONE, NONE]),
    (&["SYS_PTRACE"], "kcmp", [312, 349, 272, 378]),
    (&["SYS_ADMIN"], "lookup_dcookie", [212, 253, 18, 249]),
    (&["SYS_NICE"], "mbind", [237, 274, 235, 319]),
    (&["SYS_ADMIN"], "mount", [165, 21, 40, 21]),
    (&["SYS_ADMIN"], "mount_setattr", [442, 442, 442, 442]),
    (&["SYS_ADMIN"], "move_mount", [429, 429, 429, 429]),
    (&["DAC_READ_SEARCH"], "open_by_handle_at", [304, 342, 265, 371]),
    (&["SYS_ADMIN"], "open_tree", [428, 428, 428, 428]),
    (&["SYS_ADMIN", "PERFMON"], "perf_event_open", [298, 336, 241, 364]),
    (&["SYS_PTRACE"], "pidfd_getfd", [438, 438, 438, 438]),
    (&["SYS_PTRACE"], "process_madvise", [440, 440, 440, 440]),
    (&["SYS_ADMIN"], "quotactl", [179, 131, 60, 131]),
    (&["SYS_ADMIN"], "quotactl_fd", [443, 443, 443, 443]),
    (&["SYS_BOOT"], "reboot", [169, 88, 142, 88]),
    (&["SYS_NICE"], "set_mempolicy", [238, 276, 237, 321]),
    (&["SYS_NICE"], "set_mempolicy_home_node", [450, 450, 450, 450]),
    (&["SYS_ADMIN"], "setdomainname", [171, 121, 162, 121]),
    (&["SYS_ADMIN"], "sethostname", [170, 74, 161, 74]),
    (&["SYS_ADMIN"], "setns", [308, 346, 268, 375]),
    (&["SYS_TIME"], "settimeofday", [164, 79, 170, 79]),
    (&["SYS_TIME"], "stime", [NONE, 25, NONE, NONE]),
    (&["SYS_ADMIN", "SYSLOG"], "syslog", [103, 103, 116, 103]),
    (&["SYS_ADMIN"], "umount", [NONE, 22, NONE, NONE]),
    (&["SYS_ADMIN"], "umount2", [166, 52, 39, 52]),
    (&["SYS_ADMIN"], "unshare", [272, 310, 97, 337]),
    (&["SYS_TTY_CONFIG"], "vhangup", [153, 111, 58, 111]),
];
