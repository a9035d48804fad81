//! All that is in the store at one moment: read once, in parallel, and not changed by reading.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::fs::{DirEntry, Metadata};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kiln_image::config::MAX_DOCUMENT;
use kiln_image::{FlatIndex, Manifest, ManifestList};
use kiln_types::{Digest, Reference};
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::part::{measure, occupied};
use crate::all_images::Seen;
use crate::layers::Sources;
use crate::names::Name;
use crate::steps::StepRecord;
use crate::users::User;
use crate::{Result, Store, files, images, steps, unnamed};

pub(super) struct Facts {
    pub(super) images: BTreeMap<Digest, ImageFacts>,
    pub(super) names: BTreeMap<Reference, Name>,
    /// Of one name.
    pub(super) name_bytes: u64,
    /// By the digests of manifests that images, names or indexes lead to: all that they list.
    pub(super) manifests: HashMap<Digest, Vec<Digest>>,
    /// By the digests of names' indexes.
    pub(super) indexes: HashMap<Digest, IndexFacts>,
    /// Containers, as far as they need images.
    pub(super) users: Vec<User>,
    pub(super) layers: BTreeMap<Digest, LayerFacts>,
    pub(super) blobs: BTreeMap<Digest, FileFacts>,
    pub(super) steps: Vec<StepFacts>,
    pub(super) failures: Vec<FailureFacts>,
    /// What is none of these: caches of all kinds, and what does not belong where it is.
    pub(super) others: Vec<Other>,
}

pub(super) struct ImageFacts {
    pub(super) path: PathBuf,
    pub(super) parent: Option<Digest>,
    pub(super) intermediate: bool,
    pub(super) manifest: Option<Digest>,
    pub(super) created: Option<String>,
    pub(super) created_by: Option<String>,
    /// Of a result.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) layers: Vec<Digest>,
    /// When its steps that made no layer were done.
    pub(super) times: Vec<Time>,
    pub(super) record: FileFacts,
    /// Of its file, where that is of other images too.
    identity: Option<(u64, u64)>,
}

#[derive(Default)]
pub(super) struct IndexFacts {
    pub(super) manifests: Vec<Digest>,
    /// Images that are in the store.
    pub(super) images: Vec<Digest>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct FileFacts {
    pub(super) bytes: u64,
    pub(super) used: SystemTime,
}

#[derive(Default)]
pub(super) struct LayerFacts {
    pub(super) sources: Sources,
    pub(super) forms: Vec<Digest>,
    /// Of the notes on where it comes from.
    pub(super) notes: u64,
    pub(super) index: Option<FileFacts>,
}

/// A file of records.
pub(super) struct StepFacts {
    /// Its names.
    pub(super) paths: Vec<PathBuf>,
    /// `None` where it cannot be read.
    pub(super) made: Option<Made>,
    pub(super) file: FileFacts,
}

/// A failed step, which keeps its layers as an image does.
pub(super) struct FailureFacts {
    pub(super) path: PathBuf,
    pub(super) layers: BTreeSet<Digest>,
    pub(super) file: FileFacts,
}

/// What records of steps stand or fall with.
pub(super) enum Made {
    /// All of these.
    Layers(Vec<Digest>),
    /// Any of the times at which they were done.
    NoLayer { created: Vec<Time> },
}

/// A time as it is written, told by a number: images of thousands of steps have thousands of times each. Should two be
/// taken for one, a record stays longer than it would have to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Time(u64);

impl Time {
    fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The directory form of a layer.
    Unpacked(Digest),
    CacheMount,
    Module,
    Download,
    ContextHashes,
    ImageList,
    Incoming,
    Stray,
}

pub(super) struct Other {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    pub(super) file: FileFacts,
}

/// All that matters here of a step's record.
#[derive(Deserialize)]
struct Created {
    created: Option<String>,
}

impl FileFacts {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { bytes: occupied(metadata.len()), used: modified(metadata) }
    }

    fn tree(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        Some(Self { bytes: measure(path).bytes, used: modified(&metadata) })
    }
}

/// What is used is touched now and then (files.rs): when it was read says nothing, as this here reads it too.
fn modified(metadata: &Metadata) -> SystemTime {
    metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

impl Facts {
    pub(super) fn read(store: &Store) -> Result<Self> {
        Self::without(store, &[])
    }

    /// As they would be without the containers with these ids.
    pub(super) fn without(store: &Store, containers: &[String]) -> Result<Self> {
        let mut others = Vec::new();
        let users = store.users(containers)?;
        let images = images(store, &users, &mut others)?;
        let names = store.all_names()?;
        let wanted_indexes: HashSet<Digest> = names.values().filter_map(|name| name.index).collect();
        let indexes: HashMap<Digest, IndexFacts> =
            wanted_indexes.into_iter().map(|index| (index, index_facts(store, &index, &images))).collect();
        let of_images = images.values().filter_map(|image| image.manifest);
        let of_names = names.values().filter_map(|name| name.manifest);
        let of_indexes = indexes.values().flat_map(|index| index.manifests.iter().copied());
        let manifests: HashSet<Digest> = of_images.chain(of_names).chain(of_indexes).collect();
        let manifests = manifests.into_par_iter().map(|digest| (digest, listed(store, &digest))).collect();
        let blobs = blobs(store, &mut others)?;
        let layers = layers(store, &mut others)?;
        others.extend(caches(store)?);
        let failures = failures(store, &mut others)?;
        Ok(Self {
            images,
            name_bytes: occupied(1),
            names,
            manifests,
            indexes,
            users,
            layers,
            blobs,
            steps: steps(store)?,
            failures,
            others,
        })
    }
}

impl Facts {
    /// Those that people gave.
    pub(super) fn real_names(&self) -> impl Iterator<Item = (&Reference, &Name)> {
        self.names.iter().filter(|(name, _)| !unnamed::is_unnamed(name))
    }

    /// Images that containers have.
    pub(super) fn used_images(&self) -> HashSet<Digest> {
        self.users.iter().map(|user| user.image).collect()
    }

    /// Images of containers that run: the directories of their layers are in use.
    pub(super) fn held_images(&self) -> HashSet<Digest> {
        self.users.iter().filter(|user| user.running).map(|user| user.image).collect()
    }

    /// All of it, what nobody needs too.
    pub(super) fn bytes(&self) -> u64 {
        let layer = |layer: &LayerFacts| layer.notes + layer.index.map_or(0, |index| index.bytes);
        self.names.len() as u64 * self.name_bytes
            + self.images.values().map(|image| image.record.bytes).sum::<u64>()
            + self.layers.values().map(layer).sum::<u64>()
            + self.blobs.values().map(|blob| blob.bytes).sum::<u64>()
            + self.steps.iter().map(|step| step.file.bytes).sum::<u64>()
            + self.failures.iter().map(|failure| failure.file.bytes).sum::<u64>()
            + self.others.iter().map(|other| other.file.bytes).sum::<u64>()
    }
}

/// A small blob that is what its name says. A damaged one stays: looking changes nothing.
fn document(store: &Store, digest: &Digest) -> Option<Vec<u8>> {
    let bytes = files::read_small(&store.blob_path(digest), MAX_DOCUMENT)?;
    (Digest::of(&bytes) == *digest).then_some(bytes)
}

fn manifest(store: &Store, digest: &Digest) -> Option<Manifest> {
    Manifest::parse(&document(store, digest)?).ok()
}

/// What a manifest lists; nothing where it is missing or none.
fn listed(store: &Store, digest: &Digest) -> Vec<Digest> {
    let Some(manifest) = manifest(store, digest) else { return Vec::new() };
    manifest.layers.iter().chain([&manifest.config]).map(|blob| blob.digest).collect()
}

fn index_facts(store: &Store, index: &Digest, images: &BTreeMap<Digest, ImageFacts>) -> IndexFacts {
    let parsed = |digest: &Digest| ManifestList::parse(&document(store, digest)?).ok();
    let flat = parsed(index).map(|list| FlatIndex::new(list, |entry| Ok::<_, Infallible>(parsed(&entry.digest))));
    let (entries, indexes) = match flat {
        Some(Ok(flat)) => (flat.entries, flat.indexes),
        None => (Vec::new(), Vec::new()),
    };
    let of_images = entries.iter().filter(|entry| entry.is_image());
    let ids = of_images.filter_map(|entry| Some(manifest(store, &entry.digest)?.config.digest));
    let images = ids.filter(|id| images.contains_key(id)).collect();
    IndexFacts { manifests: entries.iter().chain(&indexes).map(|entry| entry.digest).collect(), images }
}

/// With those that are no more but for containers.
fn images(store: &Store, users: &[User], others: &mut Vec<Other>) -> Result<BTreeMap<Digest, ImageFacts>> {
    let mut images: BTreeMap<Digest, ImageFacts> = store
        .look_at_images(|image| (image.id, image_facts(store.record_path(&image.id), image)))?
        .into_iter()
        .collect();
    let mut stray = |path: PathBuf| {
        // What is not there has just disappeared.
        if let Ok(metadata) = path.metadata() {
            others.push(Other { kind: Kind::Stray, path, file: FileFacts::of(&metadata) });
        }
    };
    let damaged = store.image_ids()?.into_iter().filter(|id| !images.contains_key(id));
    damaged.for_each(|id| stray(store.record_path(&id)));
    for (id, path) in store.kept_records()? {
        let needed = !images.contains_key(&id) && users.iter().any(|user| user.image == id);
        match kept_image(&id, &path).filter(|_| needed) {
            Some(facts) => drop(images.insert(id, facts)),
            None => stray(path),
        }
    }
    share(&mut images);
    Ok(images)
}

/// Images that have one file occupy a part of it each.
fn share(images: &mut BTreeMap<Digest, ImageFacts>) {
    let mut sharing: HashMap<(u64, u64), Vec<Digest>> = HashMap::new();
    for (id, image) in images.iter() {
        image.identity.into_iter().for_each(|identity| sharing.entry(identity).or_default().push(*id));
    }
    for ids in sharing.into_values() {
        let count = ids.len() as u64;
        for (at, id) in ids.iter().enumerate() {
            let Some(ImageFacts { record, .. }) = images.get_mut(id) else { continue };
            let rest = if at == 0 { record.bytes % count } else { 0 };
            record.bytes = record.bytes / count + rest;
        }
    }
}

fn kept_image(id: &Digest, path: &Path) -> Option<ImageFacts> {
    let metadata = path.metadata().ok()?;
    let (record, config) = images::read_whole(path, id)?;
    Some(image_facts(path.to_owned(), Seen::alone(*id, &record, &config, &metadata)))
}

fn image_facts(path: PathBuf, image: Seen<'_>) -> ImageFacts {
    let history = &image.config.history;
    let without_layer = history.iter().filter(|entry| entry.empty_layer);
    ImageFacts {
        path,
        parent: image.parent,
        intermediate: image.intermediate,
        manifest: image.manifest.map(|manifest| manifest.digest),
        created: image.config.created.clone(),
        created_by: history.last().and_then(|entry| entry.created_by.clone()),
        labels: if image.intermediate { BTreeMap::new() } else { image.config.config.labels.clone() },
        times: without_layer.filter_map(|entry| entry.created.as_deref().map(Time::of)).collect(),
        layers: image.config.rootfs.diff_ids.clone(),
        record: FileFacts::of(image.metadata),
        identity: files::identity(image.metadata),
    }
}

fn blobs(store: &Store, others: &mut Vec<Other>) -> Result<BTreeMap<Digest, FileFacts>> {
    let mut blobs = BTreeMap::new();
    for (entry, facts) in store.entries("blobs/sha256")?.into_iter().filter_map(with_facts) {
        match entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok()) {
            Some(digest) => drop(blobs.insert(digest, facts)),
            None => others.push(Other { kind: Kind::Stray, path: entry.path(), file: facts }),
        }
    }
    Ok(blobs)
}

fn layers(store: &Store, others: &mut Vec<Other>) -> Result<BTreeMap<Digest, LayerFacts>> {
    let mut layers: BTreeMap<Digest, LayerFacts> = BTreeMap::new();
    for (entry, facts) in store.entries("layers")?.into_iter().filter_map(with_facts) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let (hex, form) = name.split_once('.').unwrap_or((&name, ""));
        let layer = Digest::from_hex(hex).ok().map(|diff_id| (diff_id, layers.entry(diff_id).or_default()));
        match (layer, form) {
            (Some((_, layer)), "") => layer.index = Some(facts),
            (Some((diff_id, layer)), "source") => {
                layer.sources = store.sources(&diff_id)?;
                layer.notes += facts.bytes;
            }
            (Some((diff_id, layer)), form) if Store::is_form(form) => {
                layer.forms = store.known_forms(&diff_id)?;
                layer.notes += facts.bytes;
            }
            _ => others.push(Other { kind: Kind::Stray, path: entry.path(), file: facts }),
        }
    }
    Ok(layers)
}

fn steps(store: &Store) -> Result<Vec<StepFacts>> {
    let mut folders = store.entries("steps")?;
    folders.sort_by_key(DirEntry::file_name);
    let in_folder = |folder: DirEntry| {
        // What is no folder is no record either.
        let entries = files::list(&folder.path()).unwrap_or_else(|_| vec![folder]);
        let with_identity = |entry: DirEntry| Some((files::identity(&entry.metadata().ok()?), with_facts(entry)?));
        entries.into_iter().filter_map(with_identity).collect::<Vec<_>>()
    };
    let found: Vec<Vec<_>> = folders.into_par_iter().map(in_folder).collect();
    let mut steps: Vec<StepFacts> = Vec::new();
    let mut shared: HashMap<(u64, u64), usize> = HashMap::new();
    for (identity, (entry, file)) in found.into_iter().flatten() {
        let at = identity.map_or(steps.len(), |identity| *shared.entry(identity).or_insert(steps.len()));
        match steps.get_mut(at) {
            Some(step) => step.paths.push(entry.path()),
            None => steps.push(StepFacts { paths: vec![entry.path()], made: None, file }),
        }
    }
    let read = |step: &mut StepFacts| {
        let bytes = files::read_optional(&step.paths[0]).ok().flatten().unwrap_or_default();
        step.made = made(&bytes);
    };
    steps.par_iter_mut().for_each(read);
    Ok(steps)
}

fn failures(store: &Store, others: &mut Vec<Other>) -> Result<Vec<FailureFacts>> {
    let mut failures = Vec::new();
    for (entry, file) in store.entries("failures")?.into_iter().filter_map(with_facts) {
        let path = entry.path();
        let bytes = files::read_optional(&path).ok().flatten().unwrap_or_default();
        match serde_json::from_slice::<StepRecord<IgnoredAny>>(&bytes) {
            Ok(found) => failures.push(FailureFacts { path, layers: found.layers.into_iter().collect(), file }),
            Err(_) => others.push(Other { kind: Kind::Stray, path, file }),
        }
    }
    failures.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(failures)
}

/// `None` where it is no record.
fn made(bytes: &[u8]) -> Option<Made> {
    let records = steps::parse::<IgnoredAny>(bytes)?;
    let layers: Vec<Digest> = records.into_iter().flat_map(|(_, step)| step.layers).collect();
    if !layers.is_empty() {
        return Some(Made::Layers(layers));
    }
    let timed = steps::parse::<Created>(bytes).unwrap_or_default();
    Some(Made::NoLayer {
        created: timed.iter().filter_map(|(_, step)| step.record.created.as_deref().map(Time::of)).collect(),
    })
}

/// What belongs to no image.
fn caches(store: &Store) -> Result<Vec<Other>> {
    let mut places = Vec::new();
    for owners in store.entries("unpacked")? {
        let owners = owners.path();
        let Ok(entries) = files::list(&owners) else {
            places.push((Kind::Stray, owners));
            continue;
        };
        for entry in entries {
            let kind = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
            places.push((kind.map_or(Kind::Stray, Kind::Unpacked), entry.path()));
        }
    }
    for (kind, folder) in [(Kind::CacheMount, "cache-mounts"), (Kind::Module, "modules"), (Kind::Incoming, "incoming")]
    {
        places.extend(store.entries(folder)?.into_iter().map(|entry| (kind, entry.path())));
    }
    places.extend(store.entries("downloads/http")?.into_iter().map(|entry| (Kind::Download, entry.path())));
    let repositories = store.entries("downloads")?.into_iter().filter(|entry| entry.file_name() != "http");
    places.extend(repositories.map(|entry| (Kind::Download, entry.path())));
    places.push((Kind::ContextHashes, store.root().join("context-hashes")));
    places.push((Kind::ImageList, store.root().join("image-list")));
    let measured = places.into_par_iter().filter_map(|(kind, path)| {
        let mut file = FileFacts::tree(&path)?;
        match kind {
            Kind::CacheMount => file.used = store.cache_used(&path).unwrap_or(file.used),
            // Only who uses one reads it.
            Kind::Module => {
                let read = path.metadata().and_then(|metadata| metadata.accessed());
                file.used = read.map_or(file.used, |read| read.max(file.used));
            }
            _ => {}
        }
        Some(Other { kind, path, file })
    });
    Ok(measured.collect())
}

/// `None` for what has just disappeared.
fn with_facts(entry: DirEntry) -> Option<(DirEntry, FileFacts)> {
    let metadata = entry.metadata().ok()?;
    if metadata.is_dir() {
        let facts = FileFacts::tree(&entry.path())?;
        return Some((entry, facts));
    }
    Some((entry, FileFacts::of(&metadata)))
}
