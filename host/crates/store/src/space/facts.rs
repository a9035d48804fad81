//! All that is in the store at one moment: read once, in parallel, and not changed by reading.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{DirEntry, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kiln_image::Manifest;
use kiln_image::config::MAX_DOCUMENT;
use kiln_types::{Digest, Reference};
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::part::{measure, occupied};
use crate::holds::Hold;
use crate::layers::Sources;
use crate::names::Name;
use crate::steps::StepRecord;
use crate::{Result, Store, files};

pub(super) struct Facts {
    pub(super) images: BTreeMap<Digest, ImageFacts>,
    pub(super) names: BTreeMap<Reference, Name>,
    /// Of one name.
    pub(super) name_bytes: u64,
    /// By the digests of manifests that images, names or indexes lead to: all that they list.
    pub(super) manifests: HashMap<Digest, Vec<Digest>>,
    /// By the digests of names' indexes.
    pub(super) indexes: HashMap<Digest, IndexFacts>,
    pub(super) holds: Vec<Hold>,
    pub(super) layers: BTreeMap<Digest, LayerFacts>,
    pub(super) blobs: BTreeMap<Digest, FileFacts>,
    pub(super) steps: Vec<StepFacts>,
    /// What is none of these: caches of all kinds, and what does not belong where it is.
    pub(super) others: Vec<Other>,
}

pub(super) struct ImageFacts {
    pub(super) parent: Option<Digest>,
    pub(super) intermediate: bool,
    pub(super) manifest: Option<Digest>,
    pub(super) created: Option<String>,
    pub(super) created_by: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) layers: Vec<Digest>,
    /// When its steps that made no layer were done.
    pub(super) times: Vec<String>,
    pub(super) record: FileFacts,
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

pub(super) struct StepFacts {
    pub(super) path: PathBuf,
    /// `None` where it cannot be read.
    pub(super) made: Option<Made>,
    pub(super) file: FileFacts,
}

/// What a step's record stands or falls with.
pub(super) enum Made {
    Layers(Vec<Digest>),
    NoLayer { created: Option<String> },
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
        let images = images(store)?;
        let names = store.all_names()?;
        let wanted_indexes: HashSet<Digest> = names.values().filter_map(|name| name.index).collect();
        let mut indexes = HashMap::new();
        for index in wanted_indexes {
            let manifests = store.index_entries(&index)?.iter().map(|entry| entry.digest).collect();
            indexes.insert(index, IndexFacts { manifests, images: store.members(&index)? });
        }
        let of_images = images.values().filter_map(|image| image.manifest);
        let of_names = names.values().filter_map(|name| name.manifest);
        let of_indexes = indexes.values().flat_map(|index| index.manifests.iter().copied());
        let manifests: HashSet<Digest> = of_images.chain(of_names).chain(of_indexes).collect();
        let manifests = manifests.into_par_iter().map(|digest| (digest, listed(store, &digest))).collect();
        let mut others = Vec::new();
        let blobs = blobs(store, &mut others)?;
        let layers = layers(store, &mut others)?;
        others.extend(caches(store)?);
        Ok(Self {
            images,
            name_bytes: occupied(1),
            names,
            manifests,
            indexes,
            holds: store.holds()?,
            layers,
            blobs,
            steps: steps(store)?,
            others,
        })
    }
}

impl Facts {
    /// All of it, what nobody needs too.
    pub(super) fn bytes(&self) -> u64 {
        let layer = |layer: &LayerFacts| layer.notes + layer.index.map_or(0, |index| index.bytes);
        self.names.len() as u64 * self.name_bytes
            + self.images.values().map(|image| image.record.bytes).sum::<u64>()
            + self.layers.values().map(layer).sum::<u64>()
            + self.blobs.values().map(|blob| blob.bytes).sum::<u64>()
            + self.steps.iter().map(|step| step.file.bytes).sum::<u64>()
            + self.others.iter().map(|other| other.file.bytes).sum::<u64>()
    }
}

/// What a manifest lists; nothing more than itself where it is missing or none.
fn listed(store: &Store, digest: &Digest) -> Vec<Digest> {
    let bytes = store.read_blob(digest, MAX_DOCUMENT).ok();
    let Some(Ok(manifest)) = bytes.map(|bytes| Manifest::parse(&bytes)) else { return Vec::new() };
    manifest.layers.iter().chain([&manifest.config]).map(|blob| blob.digest).collect()
}

fn images(store: &Store) -> Result<BTreeMap<Digest, ImageFacts>> {
    let read = |id: Digest| {
        let Ok(metadata) = store.record_path(&id).metadata() else { return Ok(None) };
        let Some(record) = store.load_record(&id)? else { return Ok(None) };
        let config = record.parse_config()?;
        let without_layer = config.history.iter().filter(|entry| entry.empty_layer);
        let facts = ImageFacts {
            parent: record.parent,
            intermediate: record.intermediate,
            manifest: record.manifest.map(|manifest| manifest.digest),
            created: config.created,
            created_by: config.history.last().and_then(|entry| entry.created_by.clone()),
            labels: config.config.labels,
            times: without_layer.filter_map(|entry| entry.created.clone()).collect(),
            layers: config.rootfs.diff_ids,
            record: FileFacts::of(&metadata),
        };
        Ok(Some((id, facts)))
    };
    store.image_ids()?.into_par_iter().filter_map(|id| read(id).transpose()).collect()
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
    let read = |entry: DirEntry| {
        let (entry, file) = with_facts(entry)?;
        let path = entry.path();
        let bytes = files::read_optional(&path).ok().flatten().unwrap_or_default();
        Some(StepFacts { path, made: made(&bytes), file })
    };
    let in_folder = |folder: DirEntry| match files::list(&folder.path()) {
        Ok(entries) => entries.into_iter().filter_map(read).collect::<Vec<_>>(),
        // What is no folder is no record either.
        Err(_) => read(folder).into_iter().collect(),
    };
    let found: Vec<Vec<StepFacts>> = folders.into_par_iter().map(in_folder).collect();
    Ok(found.into_iter().flatten().collect())
}

/// `None` where it is no record.
fn made(bytes: &[u8]) -> Option<Made> {
    let StepRecord { layers, .. } = serde_json::from_slice::<StepRecord<IgnoredAny>>(bytes).ok()?;
    if !layers.is_empty() {
        return Some(Made::Layers(layers));
    }
    let created = serde_json::from_slice::<StepRecord<Created>>(bytes).ok().and_then(|found| found.record.created);
    Some(Made::NoLayer { created })
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
