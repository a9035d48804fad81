//! Sets of capabilities, named as Docker's `--cap-add` and `--cap-drop` take them.

use std::io;

use rustix::thread::{CapabilitySet, capabilities, capability_is_in_bounding_set};

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

/// Why a capability cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    #[error("unknown capability {0:?}: see capabilities(7)")]
    Unknown(String),
    #[error("the capability {0} cannot be given, because kiln itself does not have it here")]
    NotHeld(String),
}

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

    /// What this process has, and can therefore give.
    pub fn held() -> io::Result<Self> {
        let permitted = capabilities(None)?.permitted;
        // Root's programs get what is in the bounding set, and no more.
        let is_held = |&one: &CapabilitySet| capability_is_in_bounding_set(one).unwrap_or(false);
        let held = permitted.iter().filter(is_held).fold(CapabilitySet::empty(), CapabilitySet::union);
        Ok(Self(held.bits() & Self::ALL.0))
    }

    /// Whether this process has the one that making namespaces and mounting take.
    pub fn may_administer() -> bool {
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
    }

    /// Docker's set with some added and others dropped, by name in any case, with or without `CAP_`, or `ALL`. As in
    /// Docker the order does not matter: what is named is stronger than `ALL`, and dropping than adding; and only what is
    /// named must be `held`.
    pub fn docker(add: &[impl AsRef<str>], drop: &[impl AsRef<str>], held: Self) -> Result<Self, CapabilityError> {
        let (add_all, added) = named(add)?;
        let (drop_all, dropped) = named(drop)?;
        let set = match (add_all, drop_all) {
            (true, _) => Self::ALL.0 & !dropped,
            (false, true) => added,
            (false, false) => (Self::DOCKER.0 | added) & !dropped,
        };
        if let Some(number) = (0..NAMES.len()).find(|number| set & added & !held.0 & (1 << number) != 0) {
            return Err(CapabilityError::NotHeld(NAMES[number].to_owned()));
        }
        Ok(Self(set & held.0))
    }

    /// By name, as above.
    pub fn has(self, name: &str) -> Result<bool, CapabilityError> {
        Ok(self.0 & bit(name)? != 0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn set(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.0)
    }
}

/// Whether `ALL` is among them, and the set of the others.
fn named(names: &[impl AsRef<str>]) -> Result<(bool, u64), CapabilityError> {
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

fn bit(name: &str) -> Result<u64, CapabilityError> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let number = NAMES.iter().position(|known| *known == short);
    number.map(|number| 1 << number).ok_or_else(|| CapabilityError::Unknown(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_dockers() {
        assert_eq!(Capabilities::DOCKER.0, 0xa804_25fb);
        const NOTHING: [&str; 0] = [];
        let docker = |add: &[&str], drop: &[&str]| Capabilities::docker(add, drop, Capabilities::ALL).map(|set| set.0);
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
        assert_eq!(docker(&["NET_ADMINX"], &[]), Err(CapabilityError::Unknown("NET_ADMINX".to_owned())));
        // In a container kiln has less itself.
        let held = Capabilities(Capabilities::ALL.0 & !net_admin & !1);
        let docker = |add: &[&str], drop: &[&str]| Capabilities::docker(add, drop, held).map(|set| set.0);
        let refused = Err(CapabilityError::NotHeld("NET_ADMIN".to_owned()));
        assert_eq!(docker(&[], &[]), Ok(0xa804_25fb & !1));
        assert_eq!(docker(&["ALL"], &[]), Ok(held.0));
        assert_eq!(docker(&["net_admin"], &[]), refused);
        assert_eq!(docker(&["ALL", "NET_ADMIN"], &[]), refused);
        assert_eq!(docker(&["NET_ADMIN"], &["NET_ADMIN"]), Ok(0xa804_25fb & !1));
        assert_eq!(NAMES.iter().position(|name| *name == "CHECKPOINT_RESTORE"), Some(40));
    }
}
