//! Names and images while some of them are removed: read once, and kept as the removals leave them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kiln_image::ImageConfig;
use kiln_types::{Digest, Reference};

use super::Removed;
use crate::names::Name;
use crate::space::decrease;
use crate::users::User;
use crate::{Result, Store, unnamed};

pub(crate) struct Removal<'a> {
    store: &'a Store,
    /// To see only what would be removed.
    dry: bool,
    names: BTreeMap<Reference, Name>,
    names_of: HashMap<Digest, BTreeSet<Reference>>,
    images: BTreeMap<Digest, Known>,
    /// How many images were built on one.
    children: HashMap<Digest, u32>,
    /// How many images have a stack of layers.
    chains: HashMap<Digest, u32>,
    /// How many names have an index, and its images that are in the store.
    indexes: HashMap<Digest, (u32, Vec<Digest>)>,
    /// How many such indexes list an image.
    listed: HashMap<Digest, u32>,
    /// Of indexes that have no name any more.
    lost_platforms: Vec<Digest>,
    /// By image: a container that has it, one that runs if there is one.
    users: HashMap<Digest, User>,
    pub(super) removed: Vec<Removed>,
    /// What kept indexes without a name, and went.
    unnamed: Vec<Reference>,
    /// Of the image deleted last.
    parent: Option<Digest>,
}

struct Known {
    parent: Option<Digest>,
    /// Bottom first.
    chain_ids: Vec<Digest>,
}

impl<'a> Removal<'a> {
    /// While names and records are locked.
    pub(crate) fn new(store: &'a Store) -> Result<Self> {
        Self::without(store, &[])
    }

    /// The same as if there were no containers with these ids.
    pub(crate) fn without(store: &'a Store, containers: &[String]) -> Result<Self> {
        let images = store
            .look_at_images(|image| (image.id, Known { parent: image.parent, chain_ids: chain_ids(image.config) }))?;
        let mut removal = Self {
            store,
            dry: false,
            names: store.all_names()?,
            names_of: HashMap::new(),
            images: images.into_iter().collect(),
            children: HashMap::new(),
            chains: HashMap::new(),
            indexes: HashMap::new(),
            listed: HashMap::new(),
            lost_platforms: Vec::new(),
            users: HashMap::new(),
            removed: Vec::new(),
            unnamed: Vec::new(),
            parent: None,
        };
        for user in store.users(containers)? {
            removal.users.entry(user.image).or_insert(user);
        }
        for (name, kept) in &removal.names {
            removal.names_of.entry(kept.id).or_default().insert(name.clone());
            if let Some(index) = kept.index {
                match removal.indexes.get_mut(&index) {
                    Some((names, _)) => *names += 1,
                    None => drop(removal.indexes.insert(index, (1, store.members(&index)?))),
                }
            }
        }
        for (_, images) in removal.indexes.values() {
            images.iter().for_each(|image| *removal.listed.entry(*image).or_default() += 1);
        }
        for image in removal.images.values() {
            image.parent.into_iter().for_each(|parent| *removal.children.entry(parent).or_default() += 1);
            image.chain_ids.iter().for_each(|chain| *removal.chains.entry(*chain).or_default() += 1);
        }
        for (id, _) in store.kept_records()? {
            if removal.users.contains_key(&id)
                && !removal.images.contains_key(&id)
                && let Some((_, config)) = store.kept_record(&id)
            {
                chain_ids(&config).into_iter().for_each(|chain| *removal.chains.entry(chain).or_default() += 1);
            }
        }
        Ok(removal)
    }

    /// Everything is worked out, and nothing removed.
    pub(crate) fn dry(mut self) -> Self {
        self.dry = true;
        self
    }

    /// With the name, if that is what was given.
    pub(super) fn resolve(&self, text: &str) -> Result<(Digest, Option<Reference>)> {
        self.store.resolve_among(text, |prefix| {
            let first = Digest::from_hex(&format!("{prefix:0<64}"));
            let from = first.ok().into_iter().flat_map(|first| self.images.range(first..));
            Ok(from.map(|(id, _)| *id).take_while(|id| id.hex().starts_with(prefix)).collect())
        })
    }

    pub(crate) fn names_of(&self, id: &Digest) -> Vec<Reference> {
        self.all_names_of(id).filter(|name| !unnamed::is_unnamed(name)).cloned().collect()
    }

    /// What keeps its indexes that have no name.
    pub(crate) fn unnamed_of(&self, id: &Digest) -> Vec<Reference> {
        self.all_names_of(id).filter(|name| unnamed::is_unnamed(name)).cloned().collect()
    }

    fn all_names_of(&self, id: &Digest) -> impl Iterator<Item = &Reference> {
        self.names_of.get(id).into_iter().flatten()
    }

    pub(super) fn has_children(&self, id: &Digest) -> bool {
        self.children.contains_key(id)
    }

    pub(super) fn user(&self, id: &Digest) -> Option<&User> {
        self.users.get(id)
    }

    /// Whether something else leads to the image: a name, an image built on it, the index of a name, a container.
    pub(crate) fn is_needed(&self, id: &Digest) -> bool {
        self.is_referenced(id) || self.users.contains_key(id)
    }

    /// The same without containers.
    pub(super) fn is_referenced(&self, id: &Digest) -> bool {
        !self.images.contains_key(id)
            || self.names_of.contains_key(id)
            || self.has_children(id)
            || self.listed.contains_key(id)
    }

    pub(super) fn untag(&mut self, name: &Reference) -> Result<()> {
        if !self.dry {
            self.store.untag(name)?;
        }
        match unnamed::is_unnamed(name) {
            true => self.unnamed.push(name.clone()),
            false => self.removed.push(Removed::Untagged(name.clone())),
        }
        let Some(kept) = self.names.remove(name) else { return Ok(()) };
        if let Some(names) = self.names_of.get_mut(&kept.id) {
            names.remove(name);
            if names.is_empty() {
                self.names_of.remove(&kept.id);
            }
        }
        if let Some(index) = kept.index
            && let Some((names, _)) = self.indexes.get_mut(&index)
        {
            *names -= 1;
            if *names == 0 {
                let images = self.indexes.remove(&index).map(|(_, images)| images).unwrap_or_default();
                for image in &images {
                    decrease(&mut self.listed, image);
                }
                self.lost_platforms.extend(images);
            }
        }
        Ok(())
    }

    pub(super) fn lost_platforms(&mut self) -> Vec<Digest> {
        std::mem::take(&mut self.lost_platforms)
    }

    pub(super) fn take_parent(&mut self) -> Option<Digest> {
        self.parent.take()
    }

    pub(crate) fn take_unnamed(&mut self) -> Vec<Reference> {
        std::mem::take(&mut self.unnamed)
    }

    pub(crate) fn take_removed(&mut self) -> Vec<Removed> {
        std::mem::take(&mut self.removed)
    }

    pub(super) fn delete_record(&mut self, id: &Digest) -> Result<()> {
        // A container that could run again keeps the layers.
        let in_use = self.users.contains_key(id);
        match (self.dry, in_use) {
            (true, _) => {}
            (false, true) => self.store.keep_record_for_containers(id)?,
            (false, false) => self.store.remove_record(id)?,
        }
        self.removed.push(Removed::Deleted(*id));
        let Some(image) = self.images.remove(id) else { return Ok(()) };
        if let Some(parent) = image.parent {
            decrease(&mut self.children, &parent);
        }
        for chain in image.chain_ids.iter().rev().filter(|_| !in_use) {
            if decrease(&mut self.chains, chain) {
                self.removed.push(Removed::Deleted(*chain));
            }
        }
        self.parent = image.parent;
        Ok(())
    }
}

/// Names of the stack of layers up to each one, as the OCI image specification makes them.
pub(super) fn chain_ids(config: &ImageConfig) -> Vec<Digest> {
    let mut below: Option<Digest> = None;
    let chain = config.rootfs.diff_ids.iter().map(|diff_id| {
        let id = below.map_or(*diff_id, |below| Digest::of(format!("{below} {diff_id}")));
        below = Some(id);
        id
    });
    chain.collect()
}
