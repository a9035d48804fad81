//! The number of each system call that Linux has, by its name.

use ::syscalls::{aarch64, arm, x86, x86_64};

use super::syscalls::{self, Abi};

/// `None` if `abi` has no such call, or nobody knows it.
pub(super) fn number(abi: Abi, name: &str) -> Option<u32> {
    let number = match abi {
        Abi::X86_64 => name.parse().map(|call: x86_64::Sysno| call.id()),
        Abi::X86 => name.parse().map(|call: x86::Sysno| call.id()),
        Abi::Aarch64 => name.parse().map(|call: aarch64::Sysno| call.id()),
        Abi::Arm => name.parse().map(|call: arm::Sysno| call.id()),
    };
    match number {
        Ok(number) => u32::try_from(number).ok(),
        // ARM's private ones.
        Err(()) => syscalls::of(abi).find(|(known, _)| *known == name).map(|(_, number)| number),
    }
}

/// 32-bit x86 has one call for all that is done with sockets and one for all of System V's IPC. Answers the name of that
/// call, the test of its first argument for `name`, and nothing for what is only a call of its own.
pub(super) fn multiplexed(name: &str) -> Option<(&'static str, u32)> {
    let at = |list: &[&str]| list.iter().position(|&known| known == name).and_then(|at| u32::try_from(at).ok());
    let socket = at(&SOCKETCALL).map(|at| ("socketcall", at + 1));
    socket.or_else(|| IPC.iter().find(|(known, _)| *known == name).map(|&(_, selector)| ("ipc", selector)))
}

/// From 1 on.
const SOCKETCALL: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

const IPC: [(&str, u32); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capabilities;
    use crate::seccomp::by_capability;

    #[test]
    fn both_tables_say_the_same() {
        for abi in [Abi::X86_64, Abi::X86, Abi::Aarch64, Abi::Arm] {
            for (name, expected) in syscalls::of(abi).chain(by_capability::of(abi, Capabilities::ALL)) {
                assert_eq!(number(abi, name), Some(expected), "{name} of {abi:?}");
            }
        }
        assert_eq!(number(Abi::X86_64, "swapon"), Some(167));
        assert_eq!(number(Abi::X86_64, "no_such_call"), None);
    }
}
