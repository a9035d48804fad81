//! Digests of context files, by what stat says of them.

use std::fs::Metadata;
use std::path::Path;

use kiln_types::Digest;

use crate::{Result, Store};

/// What tells one state of a file from another. Taken before the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {}

impl Stat {
    /// `path` matters only on hosts whose metadata has no inode; it is absolute there.
    pub fn of(path: &Path, metadata: &Metadata) -> Self {
        todo!()
    }
}

/// Shared between threads.
pub struct HashCache {}

impl Store {
    /// Loaded at its first use.
    pub fn context_hashes(&self) -> &HashCache {
        todo!()
    }
}

impl HashCache {
    pub fn get(&self, stat: &Stat) -> Option<Digest> {
        todo!()
    }

    pub fn insert(&self, stat: &Stat, digest: Digest) {
        todo!()
    }

    /// Merges what was inserted with what other processes saved; writes nothing where nothing was inserted.
    pub fn save(&self) -> Result<()> {
        todo!()
    }
}
