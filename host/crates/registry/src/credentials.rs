//! Who one is at a registry: what Docker's users keep in `config.json` and in credential helpers.

mod files;
mod helper;

use std::fmt;

pub use files::{CredentialFiles, KeptIn};

use crate::Result;

/// What one logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub user: String,
    pub secret: String,
    /// `secret` is no password: token servers exchange it for tokens.
    pub is_identity_token: bool,
}

impl Credential {
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), secret: password.into(), is_identity_token: false }
    }
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

/// The credential for one registry, as given; for others what `beside` has.
pub struct GivenCredential<C> {
    pub registry: String,
    pub credential: Credential,
    pub beside: C,
}

impl<C: Credentials> Credentials for GivenCredential<C> {
    fn of(&self, registry: &str) -> Result<Option<Credential>> {
        if registry == self.registry { Ok(Some(self.credential.clone())) } else { self.beside.of(registry) }
    }
}

/// What Docker calls its own registry in `config.json`, and gives to credential helpers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The key under which Docker keeps what is for `registry`.
fn key_of(registry: &str) -> &str {
    if registry == "docker.io" { DOCKER_HUB_KEY } else { registry }
}

/// Whether something kept under `key` is for `registry`: with or without a scheme and the version of the protocol.
/// Keys with a longer path are podman's, for some repositories only.
fn is_key_of(key: &str, registry: &str) -> bool {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    key == registry || (registry == "docker.io" && matches!(key, "index.docker.io" | "registry-1.docker.io"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_several_forms() {
        for (key, registry, is) in [
            ("https://index.docker.io/v1/", "docker.io", true),
            ("docker.io", "docker.io", true),
            ("host:5000", "host:5000", true),
            ("https://host:5000", "host:5000", true),
            ("http://host:5000/v2/", "host:5000", true),
            ("host", "host:5000", false),
            ("host:5000/team", "host:5000", false),
            ("index.docker.io", "host", false),
        ] {
            assert_eq!(is_key_of(key, registry), is, "{key}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", Credential::password("joe", "opensesame"));
        assert!(shown.contains("joe") && !shown.contains("opensesame"));
    }
}
