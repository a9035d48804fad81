//! `kiln load`: images out of an archive or an image layout.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use kiln_exec::Cancel;
use kiln_image::Error;
use kiln_image::archive::{self, BlobSink, LoadedImage};
use kiln_store::{Intake, Store};
use kiln_types::Digest;

use crate::cli::load::Load;
use crate::commands::cancellable::{self, Cancellable};
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Load, session: &Session) -> anyhow::Result<()> {
    if options.input.is_none() && io::stdin().is_terminal() {
        return Err(Failure::new("an archive is expected on standard input")
            .hint("use -i FILE, or redirect standard input: kiln load < FILE")
            .into());
    }
    let store = session.store()?;
    let cancel = session.interrupts.catch()?;
    let images = receive(&store, options.input.as_deref(), &cancel)?;
    let mut out = super::stdout();
    for image in images {
        keep(&store, image)?.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    out.flush()?;
    super::limit::obey(&store, session)
}

/// Takes all that belongs to an archive's images into the store; `None` is standard input. They have no names yet.
pub(super) fn receive(store: &Store, input: Option<&Path>, cancel: &Cancel) -> anyhow::Result<Vec<LoadedImage>> {
    let blobs = Blobs { intake: store.intake(), cancel };
    let images = match input {
        None => archive::load(Cancellable::new(io::stdin(), cancel.clone()), &blobs)?,
        Some(path) if path.is_dir() => archive::load_directory(path, &blobs)?,
        Some(path) => {
            let failure = |error| Failure::new(format!("cannot read {}", path.display())).because(error);
            let file = File::open(path).map_err(failure)?;
            if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                archive::load_file(file, &blobs)?
            } else {
                archive::load(Cancellable::new(file, cancel.clone()), &blobs)?
            }
        }
    };
    images.iter().flat_map(|image| &image.names).try_for_each(Store::check_name)?;
    let others = images.iter().flat_map(|image| &image.index).flat_map(|index| &index.others);
    let manifests = images.iter().map(|image| &image.manifest).chain(others);
    blobs.intake.verify_layers(manifests.map(Vec::as_slice), &|_, _| cancellable::check(cancel))?;
    blobs.intake.keep()?;
    for image in &images {
        store.add_received(&image.manifest)?;
        for other in image.index.iter().flat_map(|index| &index.others) {
            store.add_received(other)?;
        }
    }
    Ok(images)
}

/// Gives a received image its names. Answers what to tell about it.
fn keep(store: &Store, image: LoadedImage) -> anyhow::Result<Vec<String>> {
    let id = image.config;
    if image.names.is_empty() {
        return Ok(vec![format!("Loaded image ID: {id}")]);
    }
    let mut lines = Vec::new();
    for name in image.names {
        let before = store.name_received(&id, &name, image.index.as_ref().map(|index| &index.digest))?;
        // In Docker's words.
        if let Some(before) = before {
            let name = name.familiar();
            let renamed =
                format!("The image {name} already exists, renaming the old one with ID {before} to empty string");
            lines.push(renamed);
        }
        lines.push(format!("Loaded image: {}", name.familiar()));
    }
    Ok(lines)
}

struct Blobs<'a> {
    intake: Intake<'a>,
    cancel: &'a Cancel,
}

impl BlobSink for Blobs<'_> {
    fn blob(&self, content: &mut dyn Read, size: u64, expected: Option<&Digest>) -> kiln_image::Result<(Digest, u64)> {
        let mut content = Cancellable::new(content, self.cancel.clone());
        self.intake.add(&mut content, size, expected).map_err(store_error)
    }

    fn read(&self, digest: &Digest, limit: u64) -> kiln_image::Result<Vec<u8>> {
        self.intake.read(digest, limit).map_err(store_error)
    }
}

fn store_error(error: kiln_store::Error) -> Error {
    Error::Store(error.into())
}
