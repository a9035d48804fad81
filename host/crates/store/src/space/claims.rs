//! What needs what. Things are taken away one by one, and with each goes what only it needed: so one can see what that
//! frees before anything is removed.

use std::collections::{BTreeSet, HashMap, HashSet};

use kiln_types::{Digest, Reference};

use super::facts::{Facts, FailureFacts, Kind, Made, Time};
use crate::names::Name;

#[derive(Clone)]
pub(super) struct Claims<'a> {
    pub(super) facts: &'a Facts,
    /// Records that stay.
    images: BTreeSet<Digest>,
    /// How many images need a blob. A derived form is needed as well, by its layer, until it is dropped.
    blobs: HashMap<Digest, u32>,
    /// How many images have a layer.
    layers: HashMap<Digest, u32>,
    /// How many images have a step without a layer that was done at that time.
    times: HashMap<Time, u32>,
    dropped_forms: HashSet<Digest>,
    dropped_indexes: HashSet<Digest>,
    steps: Vec<bool>,
    failures: Vec<bool>,
    others: Vec<bool>,
    steps_of: HashMap<Digest, Vec<usize>>,
    steps_at: HashMap<Time, Vec<usize>>,
    unpacked: HashMap<Digest, Vec<usize>>,
    names_of: HashMap<Digest, Vec<&'a Name>>,
    /// What stays occupies so much.
    pub(super) bytes: u64,
}

impl<'a> Claims<'a> {
    /// Of all that is there. What nobody needs is gone from the beginning.
    pub(super) fn new(facts: &'a Facts) -> Self {
        let mut claims = Self {
            facts,
            images: facts.images.keys().copied().collect(),
            blobs: HashMap::new(),
            layers: HashMap::new(),
            times: HashMap::new(),
            dropped_forms: HashSet::new(),
            dropped_indexes: HashSet::new(),
            steps: vec![false; facts.steps.len()],
            failures: vec![false; facts.failures.len()],
            others: vec![true; facts.others.len()],
            steps_of: HashMap::new(),
            steps_at: HashMap::new(),
            unpacked: HashMap::new(),
            names_of: HashMap::new(),
            bytes: facts.names.len() as u64 * facts.name_bytes,
        };
        for name in facts.names.values() {
            claims.names_of.entry(name.id).or_default().push(name);
        }
        for (id, image) in &facts.images {
            claims.bytes += image.record.bytes;
            for blob in claims.needs(id) {
                *claims.blobs.entry(blob).or_default() += 1;
            }
            for layer in image.layers.iter().collect::<BTreeSet<_>>() {
                *claims.layers.entry(*layer).or_default() += 1;
            }
            for time in &image.times {
                *claims.times.entry(*time).or_default() += 1;
            }
        }
        claims.add_failures();
        for (diff_id, layer) in facts.layers.iter().filter(|(diff_id, _)| claims.layers.contains_key(*diff_id)) {
            claims.bytes += layer.notes + layer.index.map_or(0, |index| index.bytes);
            for form in derived_forms(facts, diff_id) {
                *claims.blobs.entry(form).or_default() += 1;
            }
        }
        let needed = facts.blobs.iter().filter(|(digest, _)| claims.blobs.contains_key(*digest));
        claims.bytes += needed.map(|(_, file)| file.bytes).sum::<u64>();
        claims.add_steps();
        claims.add_others();
        claims
    }

    /// One that lacks a layer is good for nothing.
    fn add_failures(&mut self) {
        for (at, failure) in self.facts.failures.iter().enumerate() {
            let sources: Vec<Vec<Digest>> = failure.layers.iter().map(|layer| sources_of(self.facts, layer)).collect();
            if sources.iter().any(Vec::is_empty) {
                continue;
            }
            for blob in blobs_of(self.facts, failure) {
                *self.blobs.entry(blob).or_default() += 1;
            }
            for layer in &failure.layers {
                *self.layers.entry(*layer).or_default() += 1;
            }
            self.failures[at] = true;
            self.bytes += failure.file.bytes;
        }
    }

    fn add_steps(&mut self) {
        for (at, step) in self.facts.steps.iter().enumerate() {
            let stays = match &step.made {
                None => false,
                Some(Made::Layers(layers)) => {
                    layers.iter().for_each(|layer| self.steps_of.entry(*layer).or_default().push(at));
                    layers.iter().all(|layer| self.layers.contains_key(layer))
                }
                Some(Made::NoLayer { created }) => {
                    created.iter().for_each(|time| self.steps_at.entry(*time).or_default().push(at));
                    self.has_time(created)
                }
            };
            self.steps[at] = stays;
            self.bytes += if stays { step.file.bytes } else { 0 };
        }
    }

    fn has_time(&self, times: &[Time]) -> bool {
        times.iter().any(|time| self.times.contains_key(time))
    }

    fn add_others(&mut self) {
        for (at, other) in self.facts.others.iter().enumerate() {
            let stays = match other.kind {
                // Nobody is pulling while something is removed.
                Kind::Stray | Kind::Incoming => false,
                Kind::Unpacked(diff_id) => {
                    self.unpacked.entry(diff_id).or_default().push(at);
                    self.layers.contains_key(&diff_id)
                }
                Kind::CacheMount | Kind::Module | Kind::Download | Kind::ContextHashes | Kind::ImageList => true,
            };
            self.others[at] = stays;
            self.bytes += if stays { other.file.bytes } else { 0 };
        }
    }

    /// The blobs without which an image is not whole, and those of its names' indexes.
    pub(super) fn needs(&self, id: &Digest) -> BTreeSet<Digest> {
        let mut needed = BTreeSet::from([*id]);
        let Some(image) = self.facts.images.get(id) else { return needed };
        let mut manifests: BTreeSet<Digest> = image.manifest.into_iter().collect();
        for name in self.names_of.get(id).into_iter().flatten() {
            manifests.extend(name.manifest);
            if let Some(index) = name.index {
                needed.insert(index);
                // Attestations are of no image, and belong to it as well.
                manifests.extend(self.facts.indexes.get(&index).into_iter().flat_map(|index| &index.manifests));
            }
        }
        for manifest in manifests {
            needed.insert(manifest);
            needed.extend(self.facts.manifests.get(&manifest).into_iter().flatten());
        }
        for layer in &image.layers {
            needed.extend(sources_of(self.facts, layer));
        }
        needed
    }

    pub(super) fn remove_image(&mut self, id: &Digest) {
        if !self.images.remove(id) {
            return;
        }
        let Some(image) = self.facts.images.get(id) else { return };
        let names = self.names_of.get(id).map_or(0, Vec::len) as u64;
        self.bytes -= image.record.bytes + names * self.facts.name_bytes;
        for layer in image.layers.iter().collect::<BTreeSet<_>>() {
            if decrease(&mut self.layers, layer) {
                self.forget_layer(layer);
            }
        }
        for time in &image.times {
            if decrease(&mut self.times, time) {
                for at in self.steps_at.remove(time).unwrap_or_default() {
                    if let Some(Made::NoLayer { created }) = &self.facts.steps[at].made
                        && !self.has_time(created)
                    {
                        self.drop_step(at);
                    }
                }
            }
        }
        for blob in self.needs(id) {
            self.release(&blob);
        }
    }

    /// Of an image that stays.
    pub(super) fn remove_name(&mut self, name: &Reference) {
        let Some(kept) = self.facts.names.get(name) else { return };
        let needed = self.needs(&kept.id);
        if let Some(names) = self.names_of.get_mut(&kept.id) {
            names.retain(|other| other.name != kept.name);
        }
        self.bytes -= self.facts.name_bytes;
        for blob in needed.difference(&self.needs(&kept.id)) {
            self.release(blob);
        }
    }

    pub(super) fn remove_failure(&mut self, at: usize) {
        if !std::mem::take(&mut self.failures[at]) {
            return;
        }
        let failure = &self.facts.failures[at];
        self.bytes -= failure.file.bytes;
        for layer in &failure.layers {
            if decrease(&mut self.layers, layer) {
                self.forget_layer(layer);
            }
        }
        for blob in blobs_of(self.facts, failure) {
            self.release(&blob);
        }
    }

    fn forget_layer(&mut self, layer: &Digest) {
        for at in self.steps_of.remove(layer).unwrap_or_default() {
            self.drop_step(at);
        }
        for at in self.unpacked.remove(layer).unwrap_or_default() {
            self.drop_other(at);
        }
        self.drop_index(layer);
        if let Some(facts) = self.facts.layers.get(layer) {
            self.bytes -= facts.notes;
            for form in derived_forms(self.facts, layer) {
                self.drop_form(&form);
            }
        }
    }

    fn release(&mut self, blob: &Digest) {
        if decrease(&mut self.blobs, blob) {
            self.bytes -= self.facts.blobs.get(blob).map_or(0, |file| file.bytes);
        }
    }

    /// A blob that can be made again from another one of its layer.
    pub(super) fn drop_form(&mut self, blob: &Digest) {
        if self.dropped_forms.insert(*blob) {
            self.release(blob);
        }
    }

    pub(super) fn drop_index(&mut self, layer: &Digest) {
        if let Some(index) = self.facts.layers.get(layer).and_then(|layer| layer.index)
            && self.dropped_indexes.insert(*layer)
        {
            self.bytes -= index.bytes;
        }
    }

    pub(super) fn drop_step(&mut self, at: usize) {
        if std::mem::take(&mut self.steps[at]) {
            self.bytes -= self.facts.steps[at].file.bytes;
        }
    }

    pub(super) fn drop_other(&mut self, at: usize) {
        if std::mem::take(&mut self.others[at]) {
            self.bytes -= self.facts.others[at].file.bytes;
        }
    }

    pub(super) fn keeps_image(&self, id: &Digest) -> bool {
        self.images.contains(id)
    }

    pub(super) fn keeps_name(&self, name: &Name) -> bool {
        self.keeps_image(&name.id) && self.names_of.get(&name.id).is_some_and(|names| names.contains(&name))
    }

    pub(super) fn keeps_blob(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    pub(super) fn keeps_layer(&self, diff_id: &Digest) -> bool {
        self.layers.contains_key(diff_id)
    }

    pub(super) fn keeps_index(&self, diff_id: &Digest) -> bool {
        self.keeps_layer(diff_id) && !self.dropped_indexes.contains(diff_id)
    }

    pub(super) fn keeps_step(&self, at: usize) -> bool {
        self.steps[at]
    }

    pub(super) fn keeps_failure(&self, at: usize) -> bool {
        self.failures[at]
    }

    pub(super) fn keeps_other(&self, at: usize) -> bool {
        self.others[at]
    }
}

/// Blobs that a layer is made of. Its tar can be made again from a blob that is known to decompress to it.
fn sources_of(facts: &Facts, diff_id: &Digest) -> Vec<Digest> {
    let there = |digest: &Digest| facts.blobs.contains_key(digest);
    let sources = facts.layers.get(diff_id).map(|layer| &layer.sources);
    match sources.and_then(|sources| sources.verified.iter().copied().find(there)) {
        Some(verified) => vec![verified],
        None if there(diff_id) => vec![*diff_id],
        None => sources.map(|sources| sources.all.iter().copied().filter(there).collect()).unwrap_or_default(),
    }
}

/// The blobs without which a failed step cannot be looked into.
fn blobs_of(facts: &Facts, failure: &FailureFacts) -> BTreeSet<Digest> {
    failure.layers.iter().flat_map(|layer| sources_of(facts, layer)).collect()
}

/// Blobs that are made from those, and can be made again.
pub(super) fn derived_forms(facts: &Facts, diff_id: &Digest) -> Vec<Digest> {
    let layer = facts.layers.get(diff_id);
    let mut forms: Vec<Digest> = layer.map(|layer| layer.forms.clone()).unwrap_or_default();
    if !sources_of(facts, diff_id).contains(diff_id) {
        forms.push(*diff_id);
    }
    forms
}

/// Takes one away. Answers whether nothing is left of it.
pub(crate) fn decrease<K, Q>(counts: &mut HashMap<K, u32>, key: &Q) -> bool
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
{
    let Some(count) = counts.get_mut(key) else { return false };
    *count -= 1;
    let none = *count == 0;
    if none {
        counts.remove(key);
    }
    none
}
