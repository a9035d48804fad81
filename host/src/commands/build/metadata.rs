//! `--metadata-file`: what came of a build, for programs, with the keys that Docker's builder uses.

use std::path::Path;

use kiln_image::config::MAX_DOCUMENT;
use kiln_image::{Descriptor, ManifestList};
use kiln_store::Store;
use kiln_types::{Digest, Reference};
use serde_json::json;

use super::platforms::Results;

use crate::report::failure::Failure;

/// `pushed` is the digest under which a registry has the image, or the index of several; without one it is that which
/// the store knows: for an image, of the manifest that a docker-archive has. What is true of one of several platforms has
/// its name behind the key, as with BuildKit.
pub(super) fn write(
    path: &Path,
    results: &Results,
    names: &[Reference],
    pushed: Option<Digest>,
    store: &Store,
) -> anyhow::Result<()> {
    let mut document = json!({});
    match results.index {
        None => document["containerimage.config.digest"] = json!(results.image),
        Some(_) => {
            for (platform, id) in &results.platforms {
                document[format!("containerimage.config.digest/{platform}")] = json!(id);
            }
        }
    }
    let own = match &results.index {
        None => store.manifest(&results.image)?.0,
        Some(index) => {
            let bytes = store.read_blob(index, MAX_DOCUMENT)?;
            Descriptor::new(ManifestList::parse(&bytes)?.media_type.unwrap_or_default(), *index, bytes.len() as u64)
        }
    };
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
