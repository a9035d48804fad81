//! The operations of steps. Each file holds one: what its key is made of, and how it is done.

pub(crate) mod copy;
mod destination;
pub(crate) mod metadata;
mod resolve;
pub(crate) mod run;
mod tree;
pub(crate) mod workdir;
