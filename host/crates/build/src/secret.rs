//! What a build may use and must not keep: `--secret`, `--ssh`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Secrets by id.
pub type Secrets = BTreeMap<String, Secret>;

/// Sockets of ssh agents by id.
pub type Agents = BTreeMap<String, PathBuf>;

/// Bytes that are never shown.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// As BuildKit has it.
    pub const LONGEST: usize = 500 << 10;

    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.0)
    }

    /// What can be the value of a variable.
    pub(crate) fn text(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.0).ok()?;
        (!text.contains('\0')).then(|| text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
