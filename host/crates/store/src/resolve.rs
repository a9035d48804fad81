//! From what people type to an image.

use crate::{Image, Result, Store};

impl Store {
    /// A name, a full id, or a prefix of one that no other id shares. Names win over ids, as in Docker.
    /// `Error::NoSuchImage` where there is none.
    pub fn resolve(&self, text: &str) -> Result<Image> {
        todo!()
    }
}
