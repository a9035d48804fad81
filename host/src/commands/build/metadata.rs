//! `--metadata-file`: what came of a build, for programs, with the keys that Docker's builder uses.

use std::path::Path;

use kiln_image::Descriptor;
use kiln_store::Store;
use kiln_types::{Digest, Reference};
use serde_json::json;

use crate::report::failure::Failure;

/// `pushed` is the digest under which a registry has the image; without one it is that of the manifest which a
/// docker-archive of it has.
pub(super) fn write(
    path: &Path,
    id: &Digest,
    names: &[Reference],
    pushed: Option<Digest>,
    store: &Store,
) -> anyhow::Result<()> {
    let mut document = json!({ "containerimage.config.digest": id });
    let (own, _) = store.manifest(id)?;
    match pushed {
        Some(digest) if digest != own.digest => document["containerimage.digest"] = json!(digest),
        _ => {
            document["containerimage.digest"] = json!(own.digest);
            document["containerimage.descriptor"] = json!(Descriptor::new(own.media_type, own.digest, own.size));
        }
    }
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(Reference::to_string).collect();
        document["image.name"] = names.join(",").into();
    }
    let text = format!("{document:#}\n");
    let failed = |error| Failure::new(format!("cannot write the metadata to {}", path.display())).because(error);
    Ok(std::fs::write(path, text).map_err(failed)?)
}
