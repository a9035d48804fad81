//! `kiln save`: images into a tar archive.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use kiln_image::Error;
use kiln_image::archive::{self, ArchiveFormat, BlobSource, SavedImage};
use kiln_store::Store;
use kiln_types::{Digest, Reference};

use crate::cli::save::{self, Save};
use crate::commands::cancellable::Cancellable;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Save, session: &Session) -> anyhow::Result<()> {
    if options.output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::new("an archive does not belong on a terminal")
            .hint("use -o FILE, or redirect standard output")
            .into());
    }
    let store = session.store()?;
    let format = match options.format {
        save::ArchiveFormat::DockerArchive => ArchiveFormat::Docker,
        save::ArchiveFormat::OciArchive => ArchiveFormat::Oci,
    };
    let images = selected(&store, &options.images, format)?;
    let cancel = session.interrupts.catch()?;
    let write = |out: &mut dyn Write| {
        archive::save(&images, &Blobs(&store), format, Cancellable::new(out, cancel))
            .map_err(|error| without_damaged_blob(&store, error))
    };
    match &options.output {
        None => write(&mut super::stdout()),
        Some(path) => write_file(path, write),
    }
}

/// Each image once, with those of its names that were asked for, in the order in which they were.
fn selected(store: &Store, wanted: &[String], format: ArchiveFormat) -> anyhow::Result<Vec<SavedImage>> {
    let mut images: Vec<(Digest, Vec<Reference>)> = Vec::new();
    let mut add = |id: Digest, name: Option<Reference>| {
        let at = images.iter().position(|(other, _)| *other == id).unwrap_or_else(|| {
            images.push((id, Vec::new()));
            images.len() - 1
        });
        let names = &mut images[at].1;
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    };
    for text in wanted {
        let reference = text.parse::<Reference>().ok();
        // As in Docker, a repository without a tag means all its tags.
        if let Some(repository) = reference.as_ref().filter(|name| name.tag.is_none() && name.digest.is_none()) {
            let tags = tags_of(store, repository)?;
            if !tags.is_empty() {
                tags.into_iter().for_each(|(id, name)| add(id, Some(name)));
                continue;
            }
        }
        let image = store.resolve(text)?;
        let named = reference.filter(|name| name.tag.is_some() && name.digest.is_none());
        add(image.id, named);
    }
    let saved = |(id, names)| {
        let manifest = match format {
            ArchiveFormat::Docker => store.manifest(&id)?.1,
            ArchiveFormat::Oci => store.compressed_manifest(&id)?,
        };
        Ok(SavedImage { names, manifest })
    };
    images.into_iter().map(saved).collect()
}

fn tags_of(store: &Store, repository: &Reference) -> anyhow::Result<Vec<(Digest, Reference)>> {
    let mut tags = Vec::new();
    for image in store.images()? {
        for (name, _) in image.names {
            let same = (&name.registry, &name.repository) == (&repository.registry, &repository.repository);
            if same && name.tag.is_some() {
                tags.push((image.id, name));
            }
        }
    }
    Ok(tags)
}

/// All or nothing: a file that was there stays until the new one is whole. Devices and pipes are written as they are.
pub(super) fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let failure = |error: io::Error| Failure::new(format!("cannot write {}", path.display())).because(error);
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let mut out = io::BufWriter::new(File::options().write(true).open(path).map_err(failure)?);
        write(&mut out)?;
        return Ok(out.flush().map_err(failure)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Should kiln be killed, its owner can tell what it was.
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    let file = tempfile::Builder::new().prefix(&prefix).suffix(".tmp").tempfile_in(folder).map_err(failure)?;
    let mut out = io::BufWriter::new(file.as_file());
    write(&mut out)?;
    out.flush().map_err(failure)?;
    drop(out);
    file.persist(path).map_err(|error| failure(error.error))?;
    Ok(())
}

/// A blob that turned out to be damaged goes, so that building or loading its image again puts a good one there.
fn without_damaged_blob(store: &Store, error: Error) -> anyhow::Error {
    match error {
        Error::DamagedBlob { digest, .. } => store.verify_blob(&digest).map_or_else(Into::into, |()| error.into()),
        other => other.into(),
    }
}

struct Blobs<'a>(&'a Store);

impl BlobSource for Blobs<'_> {
    fn open(&self, digest: &Digest) -> kiln_image::Result<Box<dyn Read + Send>> {
        match self.0.open_blob(digest) {
            Ok(blob) => Ok(Box::new(blob)),
            Err(error) => Err(Error::Store(error.into())),
        }
    }
}
