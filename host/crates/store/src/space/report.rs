//! What `system df` shows: who takes how much, and what keeps it. Every byte is counted once.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use kiln_types::{Digest, Reference};

use super::choose::{self, Candidate, Kept, What};
use super::claims::Claims;
use super::containers::{ContainerUsage, VolumeUsage};
use super::facts::{Facts, Kind};
use crate::{Result, Store};

#[derive(Debug, Clone)]
pub struct DiskUsage {
    /// Those with a name, and results without one.
    pub images: Vec<ImageUsage>,
    /// Of all images together.
    pub images_bytes: u64,
    /// What would be free without those that no container has.
    pub images_reclaimable: u64,
    pub containers: Vec<ContainerUsage>,
    pub volumes: Vec<VolumeUsage>,
    pub cache: Vec<CacheUsage>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    pub id: Digest,
    pub names: Vec<Reference>,
    /// RFC 3339, from the config.
    pub created: Option<String>,
    pub bytes: u64,
    /// What other images need as well, of these bytes.
    pub shared: u64,
    /// Containers that have it, running or not.
    pub containers: Vec<String>,
    /// Names whose index leads to it.
    pub platform_of: Vec<Reference>,
    pub children: Vec<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUsage {
    /// 12 digits, or what else it is called.
    pub id: String,
    /// What it is, in words.
    pub kind: &'static str,
    /// What would be free without it, after those before it in the list.
    pub bytes: u64,
    pub used: SystemTime,
    /// Of a step: how its instruction reads in the history.
    pub created_by: Option<String>,
    /// An image that stays has it too.
    pub of_image: bool,
    /// A container that runs uses it.
    pub held: bool,
}

impl Store {
    /// Who takes how much of the disk, of all but what processes write at this moment.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let facts = Facts::read(self)?;
        let claims = Claims::new(&facts);
        let kept = Kept::new(&claims, SystemTime::UNIX_EPOCH);
        let mut rest = claims.clone();
        let mut cache = describe(&mut rest, &choose::cache(&claims, &kept));
        let unneeded = facts.bytes() - claims.bytes;
        if unneeded > 0 {
            let used = SystemTime::UNIX_EPOCH;
            let (id, kind) = (String::new(), "what nothing needs");
            cache.push(CacheUsage { id, kind, bytes: unneeded, used, created_by: None, of_image: false, held: false });
        }
        let images_bytes = rest.bytes;
        let used = facts.used_images();
        let images = image_usages(&rest, &kept);
        for (id, _) in facts.images.iter().filter(|(id, _)| !used.contains(*id)) {
            rest.remove_image(id);
        }
        let images_reclaimable = images_bytes - rest.bytes;
        Ok(DiskUsage {
            images,
            images_bytes,
            images_reclaimable,
            containers: self.container_usages()?,
            volumes: self.volume_usages()?,
            cache,
        })
    }
}

/// Drops them one after the other and looks what each frees. Images of steps come last: what belongs to them has been
/// told then.
pub(super) fn describe(claims: &mut Claims<'_>, candidates: &[Candidate]) -> Vec<CacheUsage> {
    let is_image = |candidate: &&Candidate| matches!(candidate.what, What::Image(_));
    let (images, others): (Vec<_>, Vec<_>) = candidates.iter().partition(is_image);
    let mut usages = Vec::new();
    for candidate in others.into_iter().chain(images) {
        let before = claims.bytes;
        claims.drop_candidate(candidate);
        let (id, kind, created_by) = name(claims.facts, candidate.what);
        usages.push(CacheUsage {
            id,
            kind,
            bytes: before - claims.bytes,
            used: candidate.used,
            created_by,
            of_image: candidate.of_image,
            held: candidate.held,
        });
    }
    usages
}

fn name(facts: &Facts, what: What) -> (String, &'static str, Option<String>) {
    let file_name = |path: &std::path::Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let digits = name.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits == 64 { name[..12].to_owned() } else { name.into_owned() }
    };
    match what {
        What::Image(id) => (id.short(), "step", facts.images[&id].created_by.clone()),
        What::Step(at) => (file_name(&facts.steps[at].paths[0]), "step record", None),
        What::Failure(at) => (file_name(&facts.failures[at].path), "failed step", None),
        What::Index(layer) => (layer.short(), "layer index", None),
        What::Form(blob) if facts.layers.contains_key(&blob) => (blob.short(), "decompressed layer", None),
        What::Form(blob) => (blob.short(), "compressed layer", None),
        What::Other(at) => {
            let other = &facts.others[at];
            let kind = match other.kind {
                Kind::Unpacked(_) => "unpacked layer",
                Kind::CacheMount => "cache mount",
                Kind::Module => "compiled module",
                Kind::Download => "download",
                Kind::ContextHashes => "context digests",
                Kind::ImageList => "list of images",
                Kind::Incoming => "unfinished pull",
                Kind::Stray => "what nothing needs",
            };
            (file_name(&other.path), kind, None)
        }
    }
}

fn image_usages(claims: &Claims<'_>, kept: &Kept) -> Vec<ImageUsage> {
    let facts = claims.facts;
    let mut names: HashMap<Digest, Vec<Reference>> = HashMap::new();
    let mut platform_of: HashMap<Digest, Vec<Reference>> = HashMap::new();
    for (name, named) in facts.real_names() {
        names.entry(named.id).or_default().push(name.clone());
        for image in named.index.and_then(|index| facts.indexes.get(&index)).into_iter().flat_map(|found| &found.images)
        {
            if *image != named.id {
                platform_of.entry(*image).or_default().push(name.clone());
            }
        }
    }
    let mut children: HashMap<Digest, Vec<Digest>> = HashMap::new();
    let mut users: BTreeMap<Digest, u32> = BTreeMap::new();
    for id in &kept.with_parents {
        if let Some(parent) = facts.images[id].parent {
            children.entry(parent).or_default().push(*id);
        }
    }
    let used = facts.used_images();
    let shown = || facts.images.iter().filter(|(id, image)| !image.intermediate || used.contains(*id));
    let needs: Vec<_> = shown().map(|(id, _)| claims.needs(id)).collect();
    needs.iter().flatten().for_each(|blob| *users.entry(*blob).or_default() += 1);
    let size = |blob: &Digest| facts.blobs.get(blob).map_or(0, |file| file.bytes);
    let usage = |((id, image), needs): ((&Digest, &super::facts::ImageFacts), &std::collections::BTreeSet<Digest>)| {
        let mut children = children.remove(id).unwrap_or_default();
        children.sort_unstable();
        ImageUsage {
            id: *id,
            names: names.remove(id).unwrap_or_default(),
            created: image.created.clone(),
            bytes: image.record.bytes + needs.iter().map(size).sum::<u64>(),
            shared: needs.iter().filter(|blob| users[*blob] > 1).map(size).sum(),
            containers: facts
                .users
                .iter()
                .filter(|user| user.image == *id)
                .map(|user| user.container.clone())
                .collect(),
            platform_of: platform_of.remove(id).unwrap_or_default(),
            children,
        }
    };
    shown().zip(&needs).map(usage).collect()
}
