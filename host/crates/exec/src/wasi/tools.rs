//! kiln's own shell and utilities, compiled to WebAssembly and embedded.

use std::sync::OnceLock;

use kiln_image::Content;
use kiln_types::Digest;

/// Where guests find them.
pub(crate) const DIRECTORY: &[u8] = b"/.kiln/bin";
/// The directory of the root that is not listed.
pub(crate) const HIDDEN: &[u8] = b".kiln";

/// One module that is several tools, told apart by `argv[0]`.
pub(crate) struct Module {
    digest: Digest,
    content: Content,
    names: Vec<String>,
}

impl Module {
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn content(&self) -> Content {
        self.content.clone()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

pub(crate) fn modules() -> &'static [Module] {
    static MODULES: OnceLock<Vec<Module>> = OnceLock::new();
    MODULES.get_or_init(Vec::new)
}
