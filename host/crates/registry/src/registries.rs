//! The way in: registries as they are configured, and what can be wanted of them.

use std::sync::Arc;

use kiln_fetch::Url;
use kiln_image::{Compression, Descriptor};
use kiln_store::Store;
use kiln_types::{Digest, Platform, Reference};

use crate::{Credential, Credentials, Hosts, Progress, Result};

pub struct Settings {
    pub fetch: kiln_fetch::Settings,
    pub hosts: Hosts,
    pub credentials: Arc<dyn Credentials>,
    /// How many blobs come or go at once.
    pub parallel: usize,
}

/// All registries. Connections and logins are kept, so one value serves a whole command.
pub struct Registries {
    #[expect(dead_code)]
    settings: Settings,
}

pub struct PullOptions {
    /// `None`: this host's, else WASI's, else the only one.
    pub platform: Option<Platform>,
    pub all_platforms: bool,
    /// Whether the reference becomes a name of the image.
    pub name: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image that was asked for; of all platforms' the one that is taken where none is asked for.
    pub id: Digest,
    /// What the registry knows the reference by: the digest of an index or a manifest.
    pub digest: Digest,
    /// `false`: it was all here already.
    pub news: bool,
}

pub struct PushOptions {
    /// Of layers that were made here. Others go as they came.
    pub compression: Compression,
    /// Only the image for this platform, instead of all.
    pub platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Of the index or manifest, and its size in bytes.
    pub digest: Digest,
    pub size: u64,
    /// Platforms of the name's index that are not in the store: then only the default image was pushed.
    pub missing: Vec<Platform>,
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub descriptor: Descriptor,
    /// Who said so: a registry's name or a mirror's URL.
    pub endpoint: String,
}

impl Registries {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Whether the registry accepts the credential.
    pub fn check_login(&self, _registry: &str, _credential: &Credential) -> Result<()> {
        Ok(())
    }

    /// All tags of a repository, as the registry orders them.
    pub fn tags(&self, _name: &Reference) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// What the reference leads to, without fetching it.
    pub fn resolve(&self, name: &Reference) -> Result<Resolved> {
        Err(crate::Error::NoSuchName { name: name.familiar() })
    }

    pub fn pull(&self, _: &Store, name: &Reference, _: &PullOptions, _: &dyn Progress) -> Result<Pulled> {
        Err(crate::Error::NoSuchName { name: name.familiar() })
    }

    /// Pushes what the name stands for in the store to where the name says.
    pub fn push(&self, _: &Store, name: &Reference, _: &PushOptions, _: &dyn Progress) -> Result<Pushed> {
        Err(crate::Error::NoSuchName { name: name.familiar() })
    }

    /// A document that is no part of the protocol (search), at most `limit` bytes long.
    pub fn get(&self, url: &Url, _limit: u64) -> Result<Vec<u8>> {
        Err(kiln_fetch::Error::Status { url: url.to_string(), status: 404 }.into())
    }
}
