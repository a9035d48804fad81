//! `kiln load`: images out of a tar archive.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};

use kiln_image::Error;
use kiln_image::archive::{self, BlobSink, LoadedImage};
use kiln_store::Store;
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
    let input = Cancellable::new(input, session.interrupts.catch()?);
    let mut blobs = Blobs { store: &store, new: Vec::new() };
    let loaded = archive::load(input, &mut blobs).map_err(failure).and_then(|images| {
        Ok(images.into_iter().map(|image| keep(&store, image)).collect::<anyhow::Result<Vec<_>>>()?.concat())
    });
    let lines = match loaded {
        Ok(lines) => lines,
        Err(error) => {
            // What was read is of no use now; where even that fails, the first error is the one to tell.
            let _ = store.discard(&blobs.new);
            return Err(error);
        }
    };
    let mut out = super::stdout();
    if !options.quiet {
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    Ok(out.flush()?)
}

/// What is wrong with an archive is not the store's fault.
fn failure(error: Error) -> anyhow::Error {
    let failure = match error {
        Error::DigestMismatch { .. } | Error::Tar { .. } | Error::TarEntry { .. } | Error::Json { .. } => {
            Failure::new(format!("the archive is damaged: {error}"))
        }
        Error::MissingBlob { digest } => {
            Failure::new(format!("the archive lacks the blob {digest}, which an image in it needs"))
        }
        other => return other.into(),
    };
    failure.hint("get it again from where it came").into()
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

struct Blobs<'a> {
    store: &'a Store,
    /// What the store did not have before.
    new: Vec<Digest>,
}

impl BlobSink for Blobs<'_> {
    fn blob(&mut self, content: &mut dyn Read, expected: Option<&Digest>) -> kiln_image::Result<(Digest, u64)> {
        let mut writer = self.store.writer().map_err(store_error)?;
        io::copy(content, &mut writer)
            .map_err(|source| Error::Io { action: "read the archive into the store", source })?;
        let digest = writer.digest();
        let new = !self.store.has_blob(&digest);
        let kept = writer.finish(expected).map_err(store_error)?;
        self.new.extend(new.then_some(digest));
        Ok(kept)
    }

    fn read(&self, digest: &Digest, limit: u64) -> kiln_image::Result<Vec<u8>> {
        self.store.read_blob(digest, limit).map_err(store_error)
    }
}

fn store_error(error: kiln_store::Error) -> Error {
    match error {
        kiln_store::Error::DigestMismatch { expected, found } => Error::DigestMismatch { expected, found },
        kiln_store::Error::TooLarge { .. } => Error::Archive { reason: error.to_string() },
        _ => Error::Store(error.into()),
    }
}
