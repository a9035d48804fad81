//! What a build writes besides the image in the store.

use std::path::Path;

use kiln_build::WasmArtifact;
use kiln_exec::Cancel;
use kiln_image::archive::{self, ArchiveFormat, SavedImage};
use kiln_image::write_directory;
use kiln_store::Store;
use kiln_types::{Digest, Platform, Reference};

use super::platforms::Results;
use crate::cli::output::{OutputOption, Target};
use crate::cli::save::SaveFormat;
use crate::commands::cancellable::Cancellable;
use crate::commands::save::{Destination, Form, Wanted, write_file};
use crate::commands::{arguments, export, save};
use crate::report::failure::Failure;
use crate::report::problem::Problem;

const NO_TERMINAL: &str = "name a file with dest=FILE, or redirect standard output";

/// What cannot be is said before anything is built.
pub(super) fn check(outputs: &[OutputOption], platforms: &[Platform]) -> Result<(), Failure> {
    let is_artifact = |output: &OutputOption| matches!(output, OutputOption::WasmArtifact { .. });
    if platforms.len() > 1 && !platforms.iter().any(Platform::is_wasi) && outputs.iter().any(is_artifact) {
        return Err(Failure::new("type=wasm-artifact is of no platform that is built for")
            .hint(format!("add {} to --platform", Platform::wasi())));
    }
    if outputs.iter().filter(|output| output.is_stdout()).count() > 1 {
        return Err(Failure::new("two outputs cannot both be standard output").hint("give one of them dest=FILE"));
    }
    if outputs.iter().any(OutputOption::is_stdout) {
        Destination::Stdout.not_a_terminal("an output", NO_TERMINAL)?;
    }
    Ok(())
}

/// Writes one output of what was built; `names` are those of `--tag`. Pushing is left to others.
pub(super) fn write(
    output: &OutputOption,
    results: &Results,
    names: &[Reference],
    store: &Store,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    match output {
        OutputOption::Archive { format, compression, to, names: own } => {
            let own = own.iter().map(arguments::new_name).collect::<Result<Vec<_>, _>>()?;
            let names = if own.is_empty() { names.to_vec() } else { own };
            let form = Form::new(*format, *compression);
            let destination = match (to, format) {
                (Target::Path(path), SaveFormat::OciDir) => Destination::Directory(path),
                (to, _) => destination(to),
            };
            let wanted = Wanted { id: results.image, index: results.index };
            let saved = save::saved(store, &wanted, names, form, cancel)?;
            save::write(&[saved], store, form.format, &destination, cancel)
        }
        OutputOption::Tar { to } if results.index.is_none() => {
            export::write(&view(store, &results.image)?, &destination(to), cancel)
        }
        OutputOption::Tar { to } => {
            let views = results.platforms.iter().map(|(platform, id)| Ok((folder(platform), view(store, id)?)));
            export::write_folders(&views.collect::<anyhow::Result<Vec<_>>>()?, &destination(to), cancel)
        }
        OutputOption::Local { destination } if results.index.is_none() => {
            local(destination, &results.image, store, cancel)
        }
        OutputOption::Local { destination } => results
            .platforms
            .iter()
            .try_for_each(|(platform, id)| local(&destination.join(folder(platform)), id, store, cancel)),
        OutputOption::WasmArtifact { destination } => {
            let of_wasi = results.platforms.iter().find(|(platform, _)| platform.is_wasi());
            let id = of_wasi.map_or(results.image, |(_, id)| *id);
            wasm_artifact(destination, &id, names, store, cancel)
        }
        OutputOption::Image { names, .. } => {
            let names = names.iter().map(arguments::new_name).collect::<Result<Vec<_>, _>>()?;
            results.name(&names, store)
        }
        OutputOption::CacheOnly => Ok(()),
    }
}

/// As in buildx.
fn folder(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}

fn local(destination: &Path, id: &Digest, store: &Store, cancel: &Cancel) -> anyhow::Result<()> {
    let left_out = write_directory(&view(store, id)?, destination, &|| cancel.is_cancelled())?;
    if left_out > 0 {
        let message = format!("{left_out} devices and pipes are not in {}", destination.display());
        let mut problem = Problem::warning(message);
        problem.hints.push("a tar has them: --output type=tar,dest=FILE".to_owned());
        problem.show();
    }
    Ok(())
}

fn destination(target: &Target) -> Destination<'_> {
    match target {
        Target::Stdout => Destination::Stdout,
        Target::Path(path) => Destination::File(path),
    }
}

fn view(store: &Store, id: &Digest) -> anyhow::Result<kiln_image::View> {
    let image = store.resolve(&id.to_string())?;
    export::view(store, &image.config.rootfs.diff_ids)
}

fn wasm_artifact(
    destination: &Path,
    id: &Digest,
    names: &[Reference],
    store: &Store,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let artifact = WasmArtifact::of_image(id, store)?;
    let saved = [SavedImage { names: names.to_vec(), manifest: artifact.manifest.clone(), index: None }];
    if destination.extension().is_some_and(|extension| extension == "tar") {
        write_file(destination, |out| {
            Ok(archive::save(&saved, &artifact, ArchiveFormat::Oci, Cancellable::new(out, cancel.clone()))?)
        })
    } else {
        Ok(archive::save_directory(&saved, &artifact, destination)?)
    }
}
