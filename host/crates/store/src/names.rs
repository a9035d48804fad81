//! Names of images.

use kiln_types::{Digest, Reference};

use crate::{Result, Store};

impl Store {
    /// Gives an image a name and makes all that it needs durable first. Answers which other image had the name before.
    /// A reference with a digest is kept as `repository@digest` beside the tags, as after a pull or push.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<Option<Digest>> {
        todo!()
    }

    /// Takes a name away; `false` where nothing had it. The image stays.
    pub fn untag(&self, name: &Reference) -> Result<bool> {
        todo!()
    }

    /// All names of an image, sorted: tags and `repository@digest`.
    pub fn names(&self, id: &Digest) -> Result<Vec<Reference>> {
        todo!()
    }
}
