//! Opening a store.

use std::path::Path;

use crate::Result;

/// One process' hold on a store. While it lives, no other process collects anything. Shared between threads.
pub struct Store {}

impl Store {
    /// Opens the store in that folder and makes it where there is none.
    pub fn open(root: &Path) -> Result<Self> {
        todo!()
    }

    pub fn root(&self) -> &Path {
        todo!()
    }

    /// Where the WASI executor keeps compiled modules.
    pub fn modules(&self) -> std::path::PathBuf {
        todo!()
    }
}
