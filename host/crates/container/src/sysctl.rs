//! `--sysctl`: settings of the kernel that each container has for itself.

use crate::NetworkMode;
use crate::error::{Error, Result};

/// Of the namespace of System V's and POSIX' messages, semaphores and memory.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// `NAME=VALUE`. What is the whole machine's is refused, with Docker's words.
pub fn parse(text: &str) -> Result<(String, String)> {
    let wrong = |reason: &str| Error::invalid("sysctl", text, reason);
    let (name, value) = text.split_once('=').ok_or_else(|| wrong("write NAME=VALUE"))?;
    // There are two ways to write one; the first of a dot and a slash says which.
    let begins_with_slash = name.find(['.', '/']).is_some_and(|at| name[at..].starts_with('/'));
    let name = if begins_with_slash { exchanged(name) } else { name.to_owned() };
    let is_clean = name.split('.').all(|part| !part.is_empty() && !part.starts_with('/'));
    let own = IPC.contains(&name.as_str()) || name.starts_with("net.") || name.starts_with("fs.mqueue.");
    if !own || !is_clean || name.contains("..") || value.contains('\0') {
        return Err(wrong("it is not allowed: net.*, kernel.msg*, kernel.sem, kernel.shm* and fs.mqueue.* are"));
    }
    Ok((name, value.to_owned()))
}

/// A container in the host's network would change that.
pub fn check(name: &str, network: NetworkMode) -> Result<()> {
    if network == NetworkMode::Host && name.starts_with("net.") {
        return Err(Error::invalid("sysctl", name, "with --network host it would be the host's"));
    }
    Ok(())
}

/// Dots for slashes and the other way round: from a name to its file beneath `/proc/sys`, as sysctl(8) does.
pub(crate) fn exchanged(name: &str) -> String {
    let exchange = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    name.chars().map(exchange).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_containers_own_is_allowed() {
        for (text, expected) in [
            ("net.core.somaxconn=1024", Some("net/core/somaxconn")),
            ("net/core/somaxconn=1024", Some("net/core/somaxconn")),
            ("net.ipv4.conf.eth0/1.rp_filter=0", Some("net/ipv4/conf/eth0.1/rp_filter")),
            ("kernel.shmmax=1=2", Some("kernel/shmmax")),
            ("fs.mqueue.msg_max=10", Some("fs/mqueue/msg_max")),
            ("kernel.hostname=x", None),
            ("kernel.shmmaxx=1", None),
            ("vm.swappiness=1", None),
            ("net.=1", None),
            ("net..x=1", None),
            ("net.//.//.x=1", None),
            ("net.core.somaxconn", None),
            ("=1", None),
        ] {
            assert_eq!(parse(text).ok().map(|(name, _)| exchanged(&name)).as_deref(), expected, "{text}");
        }
        check("net.core.somaxconn", NetworkMode::Host).expect_err("the host's");
        check("net.core.somaxconn", NetworkMode::Private).expect("its own");
    }
}
