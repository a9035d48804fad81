//! The operations of steps. Each file holds one: what its key is made of, and how it is done.

mod archive;
pub(crate) mod copy;
mod destination;
pub(crate) mod metadata;
pub(crate) mod run;
mod tree;
pub(crate) mod workdir;
