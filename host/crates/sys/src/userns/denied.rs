//! Why a user namespace cannot be had here, and what would help.

use std::io;

use rustix::io::Errno;

use super::read_small;

/// The host does not let this user become root of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct Denied {
    pub reason: String,
    pub remedy: String,
}

impl Denied {
    fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }

    pub(super) fn unreadable(path: &str, source: &io::Error) -> Self {
        Self::new(format!("cannot read {path}: {source}"), "mount proc at /proc")
    }

    pub(super) fn unshare(errno: Errno) -> Self {
        if read_small("/proc/sys/user/max_user_namespaces").trim() == "0" {
            return Self::new(
                "user namespaces are switched off (user.max_user_namespaces is 0)",
                "an administrator can allow them with `sysctl -w user.max_user_namespaces=15000`, or run kiln as root",
            );
        }
        if read_small("/proc/sys/kernel/unprivileged_userns_clone").trim() == "0" {
            return Self::new(
                "user namespaces are reserved for root (kernel.unprivileged_userns_clone is 0)",
                "an administrator can allow them with `sysctl -w kernel.unprivileged_userns_clone=1`, or run kiln as root",
            );
        }
        match errno {
            Errno::PERM if apparmor() => Self::restricted_by_apparmor(),
            Errno::PERM if filtered() => Self::new(
                "the container that kiln runs in forbids user namespaces (its seccomp filter refuses unshare)",
                "start that container with `--security-opt seccomp=unconfined` or with --privileged",
            ),
            Errno::NOSPC | Errno::USERS => Self::new(
                "the limit of user namespaces is reached",
                "raise user.max_user_namespaces, or do not nest them more than 32 deep",
            ),
            Errno::INVAL => Self::new(
                "this kernel has no user namespaces (or kiln has more than one thread)",
                "use a kernel with CONFIG_USER_NS, or run kiln as root",
            ),
            _ => Self::new(format!("cannot make a user namespace: {errno}"), "run kiln as root"),
        }
    }

    pub(super) fn map(source: &io::Error) -> Self {
        Self::by_apparmor().unwrap_or_else(|| {
            Self::new(format!("cannot map ids into the user namespace: {source}"), "run kiln as root")
        })
    }

    /// The reason for any refusal in a user namespace where AppArmor takes its capabilities away, as Ubuntu's does
    /// since 23.10: the namespace can be made then, but nothing can be done in it.
    pub fn by_apparmor() -> Option<Self> {
        apparmor().then(Self::restricted_by_apparmor)
    }

    fn restricted_by_apparmor() -> Self {
        Self::new(
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "an administrator can give kiln an AppArmor profile with the line `userns,`, or set that sysctl to 0",
        )
    }
}

fn apparmor() -> bool {
    read_small("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").trim() == "1"
}

/// Whether a seccomp filter is on this process.
fn filtered() -> bool {
    read_small("/proc/self/status")
        .lines()
        .any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}
