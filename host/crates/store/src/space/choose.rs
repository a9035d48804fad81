//! Which of the things that may go are to go: oldest first, by when they were last used.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use kiln_types::{Digest, Reference};

use super::claims::{Claims, derived_forms};
use super::facts::{FileFacts, ImageFacts, Kind, Time};
use crate::names::Name;
use crate::unnamed;

/// One thing of the cache that can be removed by itself.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) used: SystemTime,
    pub(super) what: What,
    /// It serves an image that stays, which does not need it to be whole.
    pub(super) of_image: bool,
    /// A container that runs uses it.
    pub(super) held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The image of a build step.
    Image(Digest),
    /// Where it stands in the facts.
    Step(usize),
    /// A failed step.
    Failure(usize),
    Other(usize),
    /// Of the layer with that diff id.
    Index(Digest),
    Form(Digest),
}

/// Which images stay whatever becomes of the cache.
pub(super) struct Kept {
    /// With all that they were built on.
    pub(super) with_parents: HashSet<Digest>,
    /// Containers that run have these.
    held: HashSet<Digest>,
}

impl Kept {
    /// Those that have a name, are one platform's of a name, or are a container's; and those that have no name but are no steps,
    /// if they were made or used since then.
    pub(super) fn new(claims: &Claims<'_>, results_since: SystemTime) -> Self {
        let facts = claims.facts;
        let used = facts.users.iter().map(|user| user.image);
        let is_kept = |image: &ImageFacts| !image.intermediate && image.record.used >= results_since;
        let is_one_kept = |id: &Digest| facts.images.get(id).is_some_and(is_kept);
        // An index without a name is a result like an image without one: all of it stays or goes.
        let stays = |name: &Reference, kept: &Name| {
            let images = kept.index.and_then(|index| facts.indexes.get(&index)).map(|index| &index.images);
            !unnamed::is_unnamed(name) || images.into_iter().flatten().any(is_one_kept)
        };
        let names = || facts.names.iter().filter(|(name, kept)| stays(name, kept)).map(|(_, kept)| kept);
        let named = names().map(|name| name.id);
        let indexes = names().filter_map(|name| facts.indexes.get(&name.index?));
        let of_platforms = indexes.flat_map(|index| index.images.iter().copied());
        let results = facts.images.iter().filter(|(_, image)| is_kept(image)).map(|(id, _)| *id);
        let roots = named.chain(of_platforms).chain(used).chain(results);
        Self { with_parents: with_parents(claims, roots), held: facts.held_images() }
    }
}

fn with_parents(claims: &Claims<'_>, roots: impl Iterator<Item = Digest>) -> HashSet<Digest> {
    let mut all = HashSet::new();
    for root in roots {
        let mut next = Some(root);
        while let Some(id) = next.filter(|id| claims.keeps_image(id) && all.insert(*id)) {
            next = claims.facts.images[&id].parent;
        }
    }
    all
}

/// All that is cache, the longest unused first.
pub(super) fn cache(claims: &Claims<'_>, kept: &Kept) -> Vec<Candidate> {
    let facts = claims.facts;
    let layers_of = |ids: &HashSet<Digest>| -> HashSet<Digest> {
        ids.iter().filter_map(|id| facts.images.get(id)).flat_map(|image| image.layers.iter().copied()).collect()
    };
    let held = layers_of(&kept.held);
    let of_images = layers_of(&kept.with_parents);
    let times: HashSet<Time> = kept.with_parents.iter().flat_map(|id| &facts.images[id].times).copied().collect();
    let mut all = Vec::new();
    let mut add = |file: FileFacts, what, layer: Option<Digest>, of_image| {
        let held = layer.is_some_and(|layer| held.contains(&layer));
        all.push(Candidate { used: file.used, what, of_image, held });
    };
    for (at, step) in facts.steps.iter().enumerate().filter(|(at, _)| claims.keeps_step(*at)) {
        let of_image = match &step.made {
            Some(super::facts::Made::Layers(layers)) => layers.iter().all(|layer| of_images.contains(layer)),
            Some(super::facts::Made::NoLayer { created }) => created.iter().any(|created| times.contains(created)),
            None => false,
        };
        add(step.file, What::Step(at), None, of_image);
    }
    for (at, failure) in facts.failures.iter().enumerate().filter(|(at, _)| claims.keeps_failure(*at)) {
        add(failure.file, What::Failure(at), None, false);
    }
    for (at, other) in facts.others.iter().enumerate().filter(|(at, _)| claims.keeps_other(*at)) {
        match other.kind {
            Kind::Unpacked(layer) => add(other.file, What::Other(at), Some(layer), of_images.contains(&layer)),
            // Of which image a module is, its name does not say.
            Kind::Module | Kind::ContextHashes | Kind::ImageList => add(other.file, What::Other(at), None, true),
            Kind::CacheMount | Kind::Download | Kind::Incoming | Kind::Stray => {
                add(other.file, What::Other(at), None, false);
            }
        }
    }
    for (diff_id, layer) in facts.layers.iter().filter(|(id, _)| claims.keeps_layer(id)) {
        let of_image = of_images.contains(diff_id);
        if let Some(index) = layer.index.filter(|_| claims.keeps_index(diff_id)) {
            add(index, What::Index(*diff_id), Some(*diff_id), of_image);
        }
        for form in derived_forms(facts, diff_id) {
            // Whoever reads a layer reads its index first.
            let Some(blob) = facts.blobs.get(&form) else { continue };
            let used = layer.index.map_or(blob.used, |index| index.used.max(blob.used));
            add(FileFacts { used, ..*blob }, What::Form(form), Some(*diff_id), of_image);
        }
    }
    all.extend(images(claims, &kept.with_parents));
    // Those of the same age stay in order: see `images`.
    all.sort_by_key(|candidate| candidate.used);
    all
}

/// All other images. One is as recently used as those built on it, and goes after them.
pub(super) fn images(claims: &Claims<'_>, except: &HashSet<Digest>) -> Vec<Candidate> {
    let facts = claims.facts;
    let mut used: HashMap<Digest, SystemTime> = HashMap::new();
    let mut depths: HashMap<Digest, usize> = HashMap::new();
    for (id, image) in facts.images.iter().filter(|(id, _)| claims.keeps_image(id) && !except.contains(*id)) {
        let (mut next, mut depth) = (Some(*id), 0);
        // A damaged store might have them in a circle.
        while let Some(above) = next.filter(|_| depth < facts.images.len()) {
            let Some(found) = facts.images.get(&above) else { break };
            let known = used.entry(above).or_insert(found.record.used);
            *known = (*known).max(image.record.used);
            next = found.parent;
            depth += 1;
        }
        depths.insert(*id, depth);
    }
    let mut images: Vec<(Digest, usize)> = depths.into_iter().collect();
    images.sort_by_key(|(id, depth)| (used[id], std::cmp::Reverse(*depth), *id));
    let candidate = |(id, _)| Candidate { used: used[&id], what: What::Image(id), of_image: false, held: false };
    images.into_iter().map(candidate).collect()
}

impl Claims<'_> {
    pub(super) fn drop_candidate(&mut self, candidate: &Candidate) {
        match candidate.what {
            What::Image(id) => self.remove_image(&id),
            What::Step(at) => self.drop_step(at),
            What::Failure(at) => self.remove_failure(at),
            What::Other(at) => self.drop_other(at),
            What::Index(layer) => self.drop_index(&layer),
            What::Form(blob) => self.drop_form(&blob),
        }
    }
}
