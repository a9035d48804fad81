//! Collection of what nothing refers to, and how much there is.

use crate::{Result, Store};

/// What a collection freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Another kiln uses the store: nothing was collected, a later collection will.
    pub skipped: bool,
    pub files: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    pub files: u64,
    pub bytes: u64,
}

/// Numbers for `info` and `system df`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub images: u64,
    pub intermediate_images: u64,
    pub blobs: Part,
    pub indexes: Part,
    pub unpacked: Part,
    pub steps: Part,
    pub modules: Part,
}

impl Store {
    /// Removes blobs, indexes and directories that no name, image or step record refers to, and step records whose
    /// image or layer is gone. Not while this process is building.
    pub fn collect(&self) -> Result<Collected> {
        todo!()
    }

    pub fn usage(&self) -> Result<Usage> {
        todo!()
    }
}
