//! `kiln load`: images out of a tar archive.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};

use kiln_image::Error;
use kiln_image::archive::{self, BlobSink, LoadedImage};
use kiln_store::{Intake, Store};
use kiln_types::Digest;

use crate::cli::load::Load;
use crate::commands::cancellable::Cancellable;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Load, session: &Session) -> anyhow::Result<()> {
    let input: Box<dyn Read + Send> = match &options.input {
        Some(path) => Box::new(
            File::open(path).map_err(|error| Failure::new(format!("cannot read {}", path.display())).because(error))?,
        ),
        None if io::stdin().is_terminal() => {
            return Err(Failure::new("an archive is expected on standard input")
                .hint("use -i FILE, or redirect standard input: kiln load < FILE")
                .into());
        }
        None => Box::new(io::stdin()),
    };
    let store = session.store()?;
    let images = receive(&store, Box::new(Cancellable::new(input, session.interrupts.catch()?)))?;
    let mut out = super::stdout();
    for image in images {
        let lines = keep(&store, image)?;
        if !options.quiet {
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    Ok(out.flush()?)
}

/// Takes the blobs of an archive's images into the store.
pub(super) fn receive(store: &Store, input: Box<dyn Read + Send + '_>) -> anyhow::Result<Vec<LoadedImage>> {
    let mut blobs = Blobs(store.intake());
    let images = archive::load(input, &mut blobs)?;
    blobs.0.keep()?;
    Ok(images)
}

/// What to tell about the image, once it is in the store under its names.
fn keep(store: &Store, image: LoadedImage) -> anyhow::Result<Vec<String>> {
    let id = store.add_received(&image.manifest)?;
    if image.names.is_empty() {
        return Ok(vec![format!("Loaded image ID: {id}")]);
    }
    let mut lines = Vec::new();
    for name in image.names {
        store.tag(&id, &name)?;
        lines.push(format!("Loaded image: {}", name.familiar()));
    }
    Ok(lines)
}

struct Blobs<'a>(Intake<'a>);

impl BlobSink for Blobs<'_> {
    fn blob(&mut self, content: &mut dyn Read) -> kiln_image::Result<(Digest, u64)> {
        self.0.add(content).map_err(store_error)
    }

    fn read(&self, digest: &Digest, limit: u64) -> kiln_image::Result<Vec<u8>> {
        self.0.read(digest, limit).map_err(store_error)
    }
}

fn store_error(error: kiln_store::Error) -> Error {
    Error::Store(error.into())
}
