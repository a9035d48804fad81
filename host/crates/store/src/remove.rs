//! `rmi`: what may go, and what goes with it.

use kiln_types::{Digest, Reference};

use crate::{Result, Store};

#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Remove an image by id even if several repositories name it.
    pub force: bool,
    /// Leave parents that have no name and no other child.
    pub no_prune: bool,
}

/// One line of `rmi`, in the order in which they are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Untagged(Reference),
    /// An image id, or the chain id of a layer that no image has any more.
    Deleted(Digest),
}

impl Store {
    /// Removes names and records only; call [`Store::collect`] once afterwards to free the space.
    pub fn remove_image(&self, text: &str, options: RemoveOptions) -> Result<Vec<Removed>> {
        todo!()
    }
}
