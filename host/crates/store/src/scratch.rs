//! Private temporary directories.

use std::path::Path;

use crate::{Result, Store};

impl Store {
    /// A new empty directory on the store's filesystem. It removes itself; if the process dies, a later one does.
    pub fn scratch(&self) -> Result<Scratch> {
        todo!()
    }
}

pub struct Scratch {}

impl Scratch {
    pub fn path(&self) -> &Path {
        todo!()
    }
}
