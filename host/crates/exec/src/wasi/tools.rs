//! kiln's own shell and utilities, compiled to WebAssembly and embedded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kiln_image::Content;
use kiln_types::{Digest, Hasher};
use serde::Deserialize;

/// Where guests find them.
pub(crate) const DIRECTORY: &[u8] = b"/.kiln/bin";
/// The directory of the root that is not listed.
pub(crate) const HIDDEN: &[u8] = b".kiln";

macro_rules! embedded {
    ($file:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../guest-tools/modules/", $file))
    };
}

static MANIFEST: &[u8] = embedded!("manifest.json");
static MODULES: [(&str, &[u8]); 2] = [("sh.wasm", embedded!("sh.wasm")), ("tools.wasm", embedded!("tools.wasm"))];

/// One module that is several tools, told apart by `argv[0]`.
pub(crate) struct Module {
    pub(crate) digest: Digest,
    pub(crate) content: Content,
    pub(crate) names: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    modules: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sha256: String,
    tools: Vec<String>,
}

/// The embedded modules. That the manifest fits them is tested.
pub(crate) fn modules() -> &'static [Module] {
    static ALL: LazyLock<Vec<Module>> = LazyLock::new(|| {
        let mut manifest: Manifest = serde_json::from_slice(MANIFEST).expect("the manifest is ours and tested");
        let module = |(file, bytes): &(&str, &'static [u8])| {
            let listed = manifest.modules.remove(*file).expect("the manifest lists every module");
            Module {
                digest: Digest::from_hex(&listed.sha256).expect("the manifest is ours and tested"),
                content: Content::bytes(*bytes),
                names: listed.tools,
            }
        };
        MODULES.iter().map(module).collect()
    });
    &ALL
}

/// What all of them are: part of the key of every step that can see them.
pub fn guest_tools_digest() -> Digest {
    let mut hasher = Hasher::new();
    for module in modules() {
        hasher.update(module.digest.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_tells_the_truth() {
        for (module, (file, bytes)) in modules().iter().zip(MODULES) {
            assert_eq!(module.digest, Digest::of(bytes), "{file}: run guest-tools/build");
            assert!(!module.names.is_empty());
        }
    }
}
