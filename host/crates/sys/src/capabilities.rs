//! Sets of capabilities, named as Docker's `--cap-add` and `--cap-drop` take them.

use rustix::thread::CapabilitySet;

/// What root in a container may do of what root of a host may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u64);

/// In the order of their numbers, which are the kernel's.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// There is no such capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability: {0:?}")]
pub struct UnknownCapability(pub String);

impl Capabilities {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);
    /// What Docker leaves a container: `CapEff: 00000000a80425fb`.
    pub const DOCKER: Self = Self(
        CapabilitySet::CHOWN
            .union(CapabilitySet::DAC_OVERRIDE)
            .union(CapabilitySet::FSETID)
            .union(CapabilitySet::FOWNER)
            .union(CapabilitySet::MKNOD)
            .union(CapabilitySet::NET_RAW)
            .union(CapabilitySet::SETGID)
            .union(CapabilitySet::SETUID)
            .union(CapabilitySet::SETFCAP)
            .union(CapabilitySet::SETPCAP)
            .union(CapabilitySet::NET_BIND_SERVICE)
            .union(CapabilitySet::SYS_CHROOT)
            .union(CapabilitySet::KILL)
            .union(CapabilitySet::AUDIT_WRITE)
            .bits(),
    );

    /// Docker's set with some added and others dropped, by name in any case, with or without `CAP_`, or `ALL`. As in
    /// Docker the order does not matter: what is named is stronger than `ALL`, and dropping than adding.
    pub fn docker(add: &[impl AsRef<str>], drop: &[impl AsRef<str>]) -> Result<Self, UnknownCapability> {
        let (add_all, add) = named(add)?;
        let (drop_all, drop) = named(drop)?;
        Ok(Self(match (add_all, drop_all) {
            (true, _) => Self::ALL.0 & !drop,
            (false, true) => add,
            (false, false) => (Self::DOCKER.0 | add) & !drop,
        }))
    }

    /// By name, as above.
    pub fn has(self, name: &str) -> Result<bool, UnknownCapability> {
        Ok(self.0 & bit(name)? != 0)
    }

    pub(crate) fn set(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.0)
    }
}

/// Whether `ALL` is among them, and the set of the others.
fn named(names: &[impl AsRef<str>]) -> Result<(bool, u64), UnknownCapability> {
    let (mut all, mut set) = (false, 0);
    for name in names.iter().map(AsRef::as_ref) {
        if name.eq_ignore_ascii_case("all") {
            all = true;
        } else {
            set |= bit(name)?;
        }
    }
    Ok((all, set))
}

fn bit(name: &str) -> Result<u64, UnknownCapability> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let number = NAMES.iter().position(|known| *known == short);
    number.map(|number| 1 << number).ok_or_else(|| UnknownCapability(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_dockers() {
        assert_eq!(Capabilities::DOCKER.0, 0xa804_25fb);
        const NOTHING: [&str; 0] = [];
        let docker = |add: &[&str], drop: &[&str]| Capabilities::docker(add, drop).map(|set| set.0);
        let net_admin = 1 << 12;
        for (add, drop, expected) in [
            (&NOTHING[..], &NOTHING[..], 0xa804_25fb),
            (&["NET_ADMIN"], &[], 0xa804_25fb | net_admin),
            (&["cap_net_admin"], &["CHOWN"], (0xa804_25fb | net_admin) & !1),
            (&["NET_ADMIN"], &["ALL"], net_admin),
            (&["all"], &["NET_ADMIN"], Capabilities::ALL.0 & !net_admin),
            (&[], &["ALL"], 0),
            (&["CHOWN"], &["CHOWN"], 0xa804_25fb & !1),
        ] {
            assert_eq!(docker(add, drop), Ok(expected), "{add:?} {drop:?}");
        }
        assert_eq!(docker(&["NET_ADMINX"], &[]), Err(UnknownCapability("NET_ADMINX".to_owned())));
        assert_eq!(NAMES.iter().position(|name| *name == "CHECKPOINT_RESTORE"), Some(40));
    }
}
