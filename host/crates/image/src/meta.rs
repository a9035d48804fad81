//! What a directory entry has besides its content: mode, owner, time, extended attributes.

use std::collections::BTreeMap;

/// Extended attributes, in the order in which they are written and hashed.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Permission bits with set-user-id, set-group-id and sticky: `0o7777`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970; layers keep no fractions.
    pub mtime: i64,
    pub xattrs: Xattrs,
}

impl Meta {
    /// What a directory gets that a layer implies but does not list.
    pub fn implied_directory() -> Self {
        Self { mode: 0o755, ..Self::default() }
    }
}

/// overlayfs keeps its own notes in these; in a layer they would be an attack.
pub(crate) fn is_overlays_own(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}
