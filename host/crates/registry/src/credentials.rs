//! Who one is at a registry.

use std::fmt;

use crate::Result;

/// What one logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub user: String,
    pub secret: String,
    /// `secret` is no password: token servers exchange it for tokens.
    pub is_identity_token: bool,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential {{ user: {:?}, .. }}", self.user)
    }
}

/// Where credentials are kept.
pub trait Credentials: Send + Sync {
    /// Those for a registry as names of images have it: `docker.io`, `host:5000`.
    fn of(&self, registry: &str) -> Result<Option<Credential>>;
}
