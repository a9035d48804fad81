//! `kiln save`: images into an archive or a directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use kiln_exec::Cancel;
use kiln_image::archive::{self, ArchiveFormat, BlobSource, SavedImage, SavedIndex};
use kiln_image::config::MAX_DOCUMENT;
use kiln_image::manifest::is_manifest_list;
use kiln_image::{Compression, Error, Manifest};
use kiln_store::Store;
use kiln_types::{Digest, Platform, Reference};

use crate::cli::save::{LayerCompression, Save, SaveFormat};
use crate::commands::cancellable::Cancellable;
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::session::Session;

pub(super) fn run(options: &Save, session: &Session) -> anyhow::Result<()> {
    let destination = match (&options.output, options.format) {
        (Some(path), SaveFormat::OciDir) => Destination::Directory(path),
        (Some(path), _) if path.is_dir() => {
            return Err(Failure::new(format!("{} is a directory", path.display()))
                .hint("name a file, or write an image layout there with --format oci-dir")
                .into());
        }
        (Some(path), _) if path.as_os_str() == "-" => Destination::Stdout,
        (Some(path), _) => Destination::File(path),
        (None, SaveFormat::OciDir) => {
            return Err(Failure::new("a directory cannot be written to standard output").hint("use -o DIR").into());
        }
        (None, _) => Destination::Stdout,
    };
    let destination = destination.not_a_terminal("an archive", "use -o FILE, or redirect standard output")?;
    let store = session.store_to_read()?;
    let cancel = session.interrupts.catch()?;
    let form = Form::new(options.format, options.compression);
    let images = selected(&store, &options.images, form, &cancel)?;
    write(&images, &store, form.format, &destination, &cancel)
}

/// What an archive is and how its layers are compressed, as far as that is ours to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) format: ArchiveFormat,
    compression: Compression,
}

impl Form {
    pub(super) fn new(format: SaveFormat, compression: Option<LayerCompression>) -> Self {
        let (format, usual) = match format {
            SaveFormat::DockerArchive => (ArchiveFormat::Docker, Compression::None),
            SaveFormat::OciArchive | SaveFormat::OciDir => (ArchiveFormat::Oci, Compression::Gzip),
        };
        let compression = match compression {
            None => usual,
            Some(LayerCompression::None) => Compression::None,
            Some(LayerCompression::Gzip) => Compression::Gzip,
            Some(LayerCompression::Zstd) => Compression::Zstd,
        };
        Self { format, compression }
    }
}

/// Where an archive goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Destination<'a> {
    Stdout,
    File(&'a Path),
    Directory(&'a Path),
}

impl Destination<'_> {
    pub(super) fn not_a_terminal(self, what: &str, hint: &str) -> Result<Self, Failure> {
        if matches!(self, Self::Stdout) && io::stdout().is_terminal() {
            return Err(Failure::new(format!("{what} does not belong on a terminal")).hint(hint));
        }
        Ok(self)
    }
}

/// Writes images with their blobs out of the store.
pub(super) fn write(
    images: &[SavedImage],
    store: &Store,
    format: ArchiveFormat,
    destination: &Destination<'_>,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let blobs = Blobs { store, cancel };
    let save = |out: &mut dyn Write| {
        archive::save(images, &blobs, format, out).map_err(|error| without_damaged_blob(store, error))
    };
    match destination {
        Destination::Stdout => save(&mut super::stdout()),
        Destination::File(path) => write_file(path, save),
        Destination::Directory(path) => {
            archive::save_directory(images, &blobs, path).map_err(|error| without_damaged_blob(store, error))
        }
    }
}

/// What is to be saved under some names.
#[derive(PartialEq)]
pub(super) struct Wanted {
    pub(super) id: Digest,
    pub(super) index: Option<Digest>,
}

/// Each image once, with those of its names that were asked for, in the order in which they were.
fn selected(store: &Store, wanted: &[String], form: Form, cancel: &Cancel) -> anyhow::Result<Vec<SavedImage>> {
    let mut images: Vec<(Wanted, Vec<Reference>)> = Vec::new();
    let mut add = |id: Digest, name: Option<Reference>, own_index: Option<Digest>| -> anyhow::Result<()> {
        let index = name.as_ref().map(|name| store.named(name)).transpose()?.flatten().and_then(|named| named.index);
        let wanted = Wanted { id, index: index.or(own_index) };
        let at = images.iter().position(|(other, _)| *other == wanted).unwrap_or_else(|| {
            images.push((wanted, Vec::new()));
            images.len() - 1
        });
        let names = &mut images[at].1;
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
        Ok(())
    };
    for text in wanted {
        let reference = text.parse::<Reference>().ok();
        // As in Docker, a repository without a tag means all its tags.
        if let Some(repository) = reference.as_ref().filter(|name| name.tag.is_none() && name.digest.is_none()) {
            let tags = tags_of(store, repository)?;
            if !tags.is_empty() {
                tags.into_iter().try_for_each(|(id, name)| add(id, Some(name), None))?;
                continue;
            }
        }
        let image = store.resolve(text)?;
        let named = reference.filter(|name| name.tag.is_some() || name.digest.is_some());
        // What was given may as well be the beginning of an id.
        let named = named.filter(|name| store.named(name).is_ok_and(|named| named.is_some()));
        // The digest of an index stands for all its images, as it does where it is tagged.
        let digest = text.parse::<Digest>().ok().filter(|digest| *digest != image.id && named.is_none());
        add(image.id, named, digest)?;
    }
    images.into_iter().map(|(wanted, names)| saved(store, &wanted, names, form, cancel)).collect()
}

/// An image, or those of all platforms where its names stand for them.
pub(super) fn saved(
    store: &Store,
    wanted: &Wanted,
    names: Vec<Reference>,
    form: Form,
    cancel: &Cancel,
) -> anyhow::Result<SavedImage> {
    let index = match &wanted.index {
        Some(index) => whole_index(store, index, wanted, &names, form, cancel)?,
        None => None,
    };
    Ok(SavedImage { index, ..single(store, &wanted.id, names, form, cancel)? })
}

/// One image, its layers in the wanted form where it was made here.
fn single(
    store: &Store,
    id: &Digest,
    names: Vec<Reference>,
    form: Form,
    cancel: &Cancel,
) -> anyhow::Result<SavedImage> {
    let manifest = in_form(store, store.manifest(id)?.1, form, cancel)?;
    Ok(SavedImage { names, manifest, index: None })
}

fn in_form(store: &Store, manifest: Vec<u8>, form: Form, cancel: &Cancel) -> anyhow::Result<Vec<u8>> {
    let going_on = |_: u64, _: u64| if cancel.is_cancelled() { Err(io::Error::other("cancelled")) } else { Ok(()) };
    match form.compression {
        Compression::None => Ok(manifest),
        compression => Ok(store.compressed(manifest, compression, &going_on)?),
    }
}

/// The index with all that it leads to; `None`, and a word about it, where only one image can be saved.
fn whole_index(
    store: &Store,
    index: &Digest,
    wanted: &Wanted,
    names: &[Reference],
    form: Form,
    cancel: &Cancel,
) -> anyhow::Result<Option<SavedIndex>> {
    let images = store.index_images(index)?;
    let here = images.iter().filter(|(_, id)| id.is_some()).count();
    let whole = here > 0 && here == images.len();
    let platform = || Ok::<_, anyhow::Error>(store.image(&wanted.id)?.map(|image| image.config.platform()));
    let name = names.first().map_or_else(|| "the build".to_owned(), Reference::familiar);
    let tell = |why: &str, platform: Option<Platform>, hint: &str| {
        let platform = platform.map_or_else(String::new, |platform| format!(" for {platform}"));
        let mut problem = Problem::warning(format!("{name}: only its image{platform} is saved: {why}"));
        problem.hints.push(hint.to_owned());
        problem.show();
    };
    if form.format == ArchiveFormat::Docker {
        if here > 1 {
            let hint = "--format oci-archive or oci-dir keeps all platforms";
            tell("a docker-archive has one platform of each", platform()?, hint);
        }
        return Ok(None);
    }
    if !whole {
        let hint = "get all of them first: kiln pull --all-platforms";
        tell(&format!("{} of its {} platforms are not here", images.len() - here, images.len()), platform()?, hint);
        return Ok(None);
    }
    let (tree, entries) = store.index_tree(index)?;
    if entries.iter().any(|entry| is_manifest_list(&entry.media_type)) {
        let hint = "get them first, if the registry has them: kiln pull --all-platforms";
        tell("indexes within its index are not here, or nested too deeply", platform()?, hint);
        return Ok(None);
    }
    let mut manifests = BTreeMap::new();
    for digest in entries.iter().map(|entry| entry.digest) {
        if images.iter().any(|(image, _)| image.digest == digest) {
            manifests.insert(digest, in_form(store, store.read_blob(&digest, MAX_DOCUMENT)?, form, cancel)?);
        } else if let Some(attached) = complete_manifest(store, &digest) {
            manifests.insert(digest, attached);
        }
    }
    let now = manifests.iter().map(|(digest, manifest)| (*digest, manifest.as_slice())).collect();
    let mut within: Vec<Vec<u8>> = tree.leading_to(&now).into_iter().map(|(bytes, _)| bytes).collect();
    let bytes = within.pop().expect("the outermost one comes last");
    Ok(Some(SavedIndex { bytes, within, manifests: manifests.into_values().collect() }))
}

/// A manifest that comes along with images if it is here with all its blobs.
fn complete_manifest(store: &Store, digest: &Digest) -> Option<Vec<u8>> {
    let bytes = store.read_blob(digest, MAX_DOCUMENT).ok()?;
    let manifest = Manifest::parse(&bytes).ok()?;
    let here = manifest.layers.iter().chain([&manifest.config]).all(|blob| store.has_blob(&blob.digest));
    here.then_some(bytes)
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

struct Blobs<'a> {
    store: &'a Store,
    cancel: &'a Cancel,
}

impl BlobSource for Blobs<'_> {
    fn open(&self, digest: &Digest) -> kiln_image::Result<Box<dyn Read + Send>> {
        match self.store.open_blob(digest) {
            Ok(blob) => Ok(Box::new(Cancellable::new(blob, self.cancel.clone()))),
            Err(error) => Err(Error::Store(error.into())),
        }
    }

    fn vouches_for(&self, digest: &Digest, size: u64) -> bool {
        self.store.open_blob(digest).is_ok_and(|blob| self.store.is_sealed(&blob, size))
    }
}
