//! What a build writes besides the image in the store.

use std::path::Path;

use kiln_build::WasmArtifact;
use kiln_exec::Cancel;
use kiln_image::archive::{self, ArchiveFormat, SavedImage};
use kiln_store::Store;
use kiln_types::{Digest, Reference};

use crate::cli::output::OutputOption;
use crate::commands::cancellable::Cancellable;
use crate::commands::save::write_file;

pub(super) fn write(
    output: &OutputOption,
    image: &Digest,
    names: &[Reference],
    store: &Store,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let OutputOption::WasmArtifact { destination } = output;
    let artifact = WasmArtifact::of_image(image, store)?;
    let saved = [SavedImage { names: names.to_vec(), manifest: artifact.manifest.clone(), index: None }];
    if destination.extension().is_some_and(|extension| extension == "tar") {
        write_file(destination, |out| {
            Ok(archive::save(&saved, &artifact, ArchiveFormat::Oci, Cancellable::new(out, cancel.clone()))?)
        })
    } else {
        Ok(archive::save_directory(&saved, &artifact, Path::new(destination))?)
    }
}
