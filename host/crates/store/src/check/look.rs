//! Reads everything, removes nothing, and says what is wrong with which file.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::fs::{self, DirEntry, File};
use std::io::{self, BufReader};
use std::path::Path;

use kiln_image::config::MAX_DOCUMENT;
use kiln_image::{Descriptor, FlatIndex, ImageConfig, Index, Manifest, ManifestList};
use kiln_types::{Digest, Hasher, Reference};
use rayon::prelude::*;
use serde::de::IgnoredAny;

use crate::images::Record;
use crate::names::Name;
use crate::{ContainerFolder, Result, Store, files, images, steps, volumes};

pub(super) struct Look {
    pub(super) found: Vec<Found>,
    /// Good ones only, from here on.
    pub(super) blobs: BTreeMap<Digest, u64>,
    pub(super) records: BTreeMap<Digest, (Record, ImageConfig)>,
    pub(super) names: BTreeMap<Reference, Name>,
    pub(super) manifests: BTreeMap<Digest, Manifest>,
    pub(super) indexes: BTreeMap<Digest, ManifestList>,
    /// By layer: blobs that are said to decompress to it, in notes or by the manifests of images.
    pub(super) sources: BTreeMap<Digest, Vec<Digest>>,
    /// Those of a layer that only manifests tell, or a note that is damaged.
    pub(super) unnoted: Vec<(Digest, Digest)>,
}

/// Something is wrong.
pub(super) struct Found {
    /// The file below the store's folder, or what it is about.
    pub(super) what: String,
    pub(super) problem: String,
    pub(super) thing: Thing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    Blob(Digest),
    Record(Digest),
    /// A file that is no name.
    Name(String),
    NameWithoutImage(Reference),
    NameWithoutIndex(Reference),
    /// The layer with that diff id is in no good blob.
    Layer(Digest),
    /// The manifest that the image came with is not whole.
    Manifest {
        image: Digest,
    },
    /// It can go as it is: it is made again.
    Derived,
    /// A folder that is no container.
    Container {
        runs: bool,
    },
    ContainerName(ContainerFolder),
    ContainerWithoutImage,
    ContainerWithoutVolume,
    Volume(volumes::Problem),
}

pub(super) fn look(store: &Store, quick: bool) -> Result<Look> {
    let mut look = Look {
        found: Vec::new(),
        blobs: BTreeMap::new(),
        records: BTreeMap::new(),
        names: BTreeMap::new(),
        manifests: BTreeMap::new(),
        indexes: BTreeMap::new(),
        sources: BTreeMap::new(),
        unnoted: Vec::new(),
    };
    look.look_at_blobs(store, quick)?;
    look.look_at_layers(store, quick)?;
    look.look_at_records(store)?;
    look.look_at_containers(store)?;
    look.look_at_volumes(store)?;
    look.look_at_names(store)?;
    look.look_at_steps(store)?;
    look.look_at_manifests(store);
    look.compare();
    Ok(look)
}

/// What is wrong with a file, unless it has just disappeared.
fn problem(error: &io::Error) -> Option<String> {
    (error.kind() != io::ErrorKind::NotFound).then(|| format!("cannot be read: {error}"))
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finish())
}

pub(super) fn name_of(entry: &DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}

impl Look {
    pub(super) fn add(&mut self, what: String, problem: impl Into<String>, thing: Thing) {
        self.found.push(Found { what, problem: problem.into(), thing });
    }

    fn look_at_blobs(&mut self, store: &Store, quick: bool) -> Result<()> {
        let check = |entry: DirEntry| {
            let name = name_of(&entry);
            let Ok(digest) = Digest::from_hex(&name) else {
                return Some(Err((name, "it is no blob".to_owned(), Thing::Derived)));
            };
            let bad = |problem| Some(Err((digest.hex(), problem, Thing::Blob(digest))));
            let metadata = match entry.metadata() {
                Ok(metadata) if metadata.is_file() => metadata,
                Ok(_) => return bad("it is no file".to_owned()),
                Err(error) => return problem(&error).and_then(bad),
            };
            if !quick {
                match digest_of(&entry.path()) {
                    Ok(found) if found == digest => {}
                    Ok(found) => return bad(format!("its content has the digest {found}")),
                    Err(error) => return problem(&error).and_then(bad),
                }
            }
            Some(Ok((digest, metadata.len())))
        };
        let checked: Vec<_> = store.entries("blobs/sha256")?.into_par_iter().filter_map(check).collect();
        for blob in checked {
            match blob {
                Ok((digest, size)) => drop(self.blobs.insert(digest, size)),
                Err((name, problem, thing)) => self.add(format!("blobs/sha256/{name}"), problem, thing),
            }
        }
        Ok(())
    }

    fn look_at_layers(&mut self, store: &Store, quick: bool) -> Result<()> {
        let mut indexes = Vec::new();
        for entry in store.entries("layers")? {
            let name = name_of(&entry);
            let (hex, form) = name.split_once('.').unwrap_or((&name, ""));
            let Ok(diff_id) = Digest::from_hex(hex) else {
                self.add(format!("layers/{name}"), "it belongs to no layer", Thing::Derived);
                continue;
            };
            if form.is_empty() {
                indexes.push((diff_id, entry.path()));
                continue;
            }
            let text = match fs::read_to_string(entry.path()) {
                Ok(text) => text,
                Err(error) => {
                    let found = problem(&error).into_iter();
                    found.for_each(|problem| self.add(format!("layers/{name}"), problem, Thing::Derived));
                    continue;
                }
            };
            if form == "source" {
                let digest = |line: &str| line.split(' ').next().and_then(|digest| digest.parse().ok());
                let said: Vec<Option<Digest>> = text.lines().map(digest).collect();
                // A tar that was received plain is no source beside itself.
                let known: Vec<Digest> = said.iter().copied().flatten().filter(|source| *source != diff_id).collect();
                if said.contains(&None) || !text.ends_with('\n') {
                    self.add(format!("layers/{name}"), "it names no blobs", Thing::Derived);
                    // What can be read of it may be all that there is to know.
                    self.unnoted.extend(known.iter().map(|source| (diff_id, *source)));
                }
                self.sources.insert(diff_id, known);
            } else if text.trim_end().parse::<Digest>().is_err() {
                self.add(format!("layers/{name}"), "it names no blob", Thing::Derived);
            }
        }
        let check = |(diff_id, path): (Digest, _)| {
            let problem = self.index_problem(store, &diff_id, path, quick)?;
            Some((format!("layers/{}", diff_id.hex()), problem))
        };
        let wrong: Vec<_> = indexes.into_par_iter().filter_map(check).collect();
        wrong.into_iter().for_each(|(what, problem)| self.add(what, problem, Thing::Derived));
        Ok(())
    }

    /// Compares an index with its tar, if that is there and good.
    fn index_problem(&self, store: &Store, diff_id: &Digest, path: std::path::PathBuf, quick: bool) -> Option<String> {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => return problem(&error),
        };
        let index = match Index::read(BufReader::new(&file)) {
            Ok(index) => index,
            Err(error) => return Some(error.to_string()),
        };
        let size = self.blobs.get(diff_id);
        if index.diff_id() != *diff_id || size.is_some_and(|size| *size != index.tar_size()) {
            return Some("it is that of another layer".to_owned());
        }
        if quick || size.is_none() {
            return None;
        }
        let tar = match File::open(store.blob_path(diff_id)) {
            Ok(tar) => tar,
            Err(error) => return problem(&error),
        };
        let made = Index::from_tar(BufReader::with_capacity(1 << 20, tar)).and_then(|(made, _, _)| made.to_bytes());
        let same = made.is_ok_and(|made| fs::read(&path).is_ok_and(|bytes| bytes == made));
        (!same).then(|| "it does not fit its layer".to_owned())
    }

    fn look_at_records(&mut self, store: &Store) -> Result<()> {
        for entry in store.entries("images/by-id")? {
            let name = name_of(&entry);
            let what = format!("images/by-id/{name}");
            let Some(Ok(id)) = name.strip_suffix(".json").map(Digest::from_hex) else {
                self.add(what, "it is no image", Thing::Derived);
                continue;
            };
            let bytes = match fs::read(entry.path()) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let found = problem(&error).into_iter();
                    found.for_each(|problem| self.add(what.clone(), problem, Thing::Record(id)));
                    continue;
                }
            };
            match images::whole_record(&id, &bytes) {
                Some(found) => drop(self.records.insert(id, found)),
                None => self.add(what, "it is not the image's record", Thing::Record(id)),
            }
        }
        Ok(())
    }

    fn look_at_names(&mut self, store: &Store) -> Result<()> {
        for entry in store.entries("images/names")? {
            let (name, path) = (name_of(&entry), entry.path());
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => Vec::new(),
            };
            let kept = serde_json::from_slice::<Name>(&bytes).ok();
            match kept.and_then(|kept| store.checked_name(&kept, &path).map(|name| (name, kept))) {
                Some((name, kept)) => drop(self.names.insert(name, kept)),
                None => self.add(format!("images/names/{name}"), "it is no name", Thing::Name(name)),
            }
        }
        Ok(())
    }

    /// Records without their layers are nothing to worry about: they count for nothing.
    fn look_at_steps(&mut self, store: &Store) -> Result<()> {
        for folder in store.entries("steps")? {
            let entries = match files::list(&folder.path()) {
                Ok(entries) => entries,
                Err(error) => {
                    self.add(format!("steps/{}", name_of(&folder)), format!("cannot be read: {error}"), Thing::Derived);
                    continue;
                }
            };
            let bad = |entry: &DirEntry| match fs::read(entry.path()) {
                Ok(bytes) => {
                    let records = steps::parse::<IgnoredAny>(&bytes).unwrap_or_default();
                    let key = steps::key_of(&entry.path());
                    !records.iter().any(|(known, _)| Some(*known) == key)
                }
                Err(error) => problem(&error).is_some(),
            };
            let bad: Vec<DirEntry> = entries.into_par_iter().filter(bad).collect();
            for entry in bad {
                let what = format!("steps/{}/{}", name_of(&folder), name_of(&entry));
                self.add(what, "it is no record of a step", Thing::Derived);
            }
        }
        Ok(())
    }

    /// Those that images, names and indexes lead to.
    fn look_at_manifests(&mut self, store: &Store) {
        let parsed = |digest: &Digest| {
            let size = self.blobs.get(digest).filter(|size| **size <= MAX_DOCUMENT)?;
            let bytes = fs::read(store.blob_path(digest)).ok()?;
            (bytes.len() as u64 == *size).then_some(bytes)
        };
        let wanted: HashSet<Digest> = self.names.values().filter_map(|name| name.index).collect();
        let indexes = wanted.iter().filter_map(|digest| Some((*digest, ManifestList::parse(&parsed(digest)?).ok()?)));
        let indexes: BTreeMap<Digest, ManifestList> = indexes.collect();
        let of_images = self.records.values().filter_map(|(record, _)| record.manifest.as_ref());
        let of_names = self.names.values().filter_map(|name| name.manifest);
        let within = |entry: &Descriptor| {
            Ok::<_, Infallible>(parsed(&entry.digest).and_then(|bytes| ManifestList::parse(&bytes).ok()))
        };
        let entries = indexes.values().flat_map(|list| {
            let Ok(flat) = FlatIndex::new(list.clone(), within);
            flat.entries
        });
        let of_indexes = entries.map(|entry| entry.digest);
        let wanted: HashSet<Digest> =
            of_images.map(|manifest| manifest.digest).chain(of_names).chain(of_indexes).collect();
        let manifests = wanted.iter().filter_map(|digest| Some((*digest, Manifest::parse(&parsed(digest)?).ok()?)));
        self.manifests = manifests.collect();
        self.indexes = indexes;
        for (record, config) in self.records.values() {
            let manifest = record.manifest.as_ref().and_then(|manifest| self.manifests.get(&manifest.digest));
            let layers = manifest.into_iter().flat_map(|manifest| &manifest.layers).map(|layer| layer.digest);
            for (layer, source) in config.rootfs.diff_ids.iter().zip(layers).filter(|(layer, source)| *layer != source)
            {
                let known = self.sources.entry(*layer).or_default();
                if !known.contains(&source) {
                    known.push(source);
                    self.unnoted.push((*layer, source));
                }
            }
        }
    }
}
