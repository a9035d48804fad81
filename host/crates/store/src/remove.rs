//! `rmi`: what may go, and what goes with it. Docker's rules, order and messages.

use std::collections::{BTreeMap, HashMap, HashSet};

use kiln_image::ImageConfig;
use kiln_types::{Digest, Reference};

use crate::names::Name;
use crate::{Error, Result, Store};

#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Remove an image by id even if several names lead to it.
    pub force: bool,
    /// Leave parents that have no name and no other child.
    pub no_prune: bool,
}

/// One line of `rmi`, in the order in which they are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Untagged(Reference),
    /// An image id, or the chain id of a layer that no image has any more.
    Deleted(Digest),
}

impl Store {
    /// Removes names and records only; call [`Store::collect`] once afterwards to free the space.
    pub fn remove_image(&self, text: &str, options: RemoveOptions) -> Result<Vec<Removed>> {
        let _lock = self.lock_images()?;
        let (id, name) = match self.resolve_id(text) {
            Err(Error::LostImage { name }) => {
                self.untag(&name)?;
                return Ok(vec![Removed::Untagged(name)]);
            }
            found => found?,
        };
        let mut removal = Removal::new(self)?;
        if let Some(name) = name {
            removal.untag(&name)?;
            let rest = removal.names_of(&id);
            let same = |other: &Reference| (&other.registry, &other.repository) == (&name.registry, &name.repository);
            // A digest goes with the last tag of its repository.
            if name.digest.is_none() && !rest.iter().any(|other| same(other) && other.digest.is_none()) {
                let digests: Vec<Reference> = rest.into_iter().filter(same).collect();
                removal.untag_all(&digests)?;
            }
            // Children and indexes keep the image; it is only its name that goes.
            if !removal.is_needed(&id)? {
                removal.delete_with_parents(id, options)?;
            }
        } else {
            let names = removal.names_of(&id);
            if one_repository(&names) {
                if removal.has_children(&id) {
                    return Err(Error::HasChildren { id });
                }
                removal.untag_all(&names)?;
            }
            removal.delete_with_parents(id, options)?;
        }
        for index in std::mem::take(&mut removal.indexes) {
            for id in self.members(&index)? {
                if !removal.is_needed(&id)? {
                    removal.delete_with_parents(id, options)?;
                }
            }
        }
        Ok(removal.removed)
    }
}

/// At least one name, all in one repository, at most one of them a tag.
fn one_repository(names: &[Reference]) -> bool {
    let repositories: HashSet<_> = names.iter().map(|name| (&name.registry, &name.repository)).collect();
    let tags = names.iter().filter(|name| name.digest.is_none()).count();
    repositories.len() == 1 && tags <= 1
}

/// The state of names and images while some of them are removed.
struct Removal<'a> {
    store: &'a Store,
    names: BTreeMap<Reference, Name>,
    images: HashMap<Digest, Known>,
    removed: Vec<Removed>,
    /// Of the names that went.
    indexes: Vec<Digest>,
    /// Of the image deleted last.
    parent: Option<Digest>,
}

struct Known {
    parent: Option<Digest>,
    /// Bottom first.
    chain_ids: Vec<Digest>,
}

impl<'a> Removal<'a> {
    fn new(store: &'a Store) -> Result<Self> {
        let mut images = HashMap::new();
        for id in store.image_ids()? {
            if let Some(image) = store.image(&id)? {
                images.insert(id, Known { parent: image.parent, chain_ids: chain_ids(&image.config) });
            }
        }
        Ok(Self { store, names: store.all_names()?, images, removed: Vec::new(), indexes: Vec::new(), parent: None })
    }

    fn names_of(&self, id: &Digest) -> Vec<Reference> {
        self.names.iter().filter(|(_, kept)| kept.id == *id).map(|(name, _)| name.clone()).collect()
    }

    fn has_children(&self, id: &Digest) -> bool {
        self.images.values().any(|image| image.parent == Some(*id))
    }

    /// Whether something else leads to the image: a name, an image built on it, the index of a name.
    fn is_needed(&self, id: &Digest) -> Result<bool> {
        if !self.images.contains_key(id) || !self.names_of(id).is_empty() || self.has_children(id) {
            return Ok(true);
        }
        for index in self.names.values().filter_map(|kept| kept.index).collect::<HashSet<_>>() {
            if self.store.members(&index)?.contains(id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn untag(&mut self, name: &Reference) -> Result<()> {
        self.store.untag(name)?;
        let index = self.names.remove(name).and_then(|kept| kept.index);
        self.indexes.extend(index.filter(|index| !self.indexes.contains(index)));
        self.removed.push(Removed::Untagged(name.clone()));
        Ok(())
    }

    fn untag_all(&mut self, names: &[Reference]) -> Result<()> {
        names.iter().try_for_each(|name| self.untag(name))
    }

    fn delete_with_parents(&mut self, id: Digest, options: RemoveOptions) -> Result<()> {
        self.delete(id, options.force)?;
        let mut next = self.parent.take();
        while let Some(parent) = next.filter(|_| !options.no_prune)
            && !self.is_needed(&parent)?
        {
            self.delete(parent, false)?;
            next = self.parent.take();
        }
        Ok(())
    }

    fn delete(&mut self, id: Digest, force: bool) -> Result<()> {
        if self.has_children(&id) {
            return Err(Error::HasChildren { id });
        }
        let names = self.names_of(&id);
        if !names.is_empty() && !force {
            return Err(Error::SeveralNames { id });
        }
        self.untag_all(&names)?;
        self.store.remove_record(&id)?;
        self.removed.push(Removed::Deleted(id));
        if let Some(image) = self.images.remove(&id) {
            let kept: HashSet<&Digest> = self.images.values().flat_map(|image| &image.chain_ids).collect();
            let gone = image.chain_ids.iter().rev().filter(|chain_id| !kept.contains(chain_id));
            self.removed.extend(gone.copied().map(Removed::Deleted));
            self.parent = image.parent;
        }
        Ok(())
    }
}

/// Names of the stack of layers up to each one, as the OCI image specification makes them.
fn chain_ids(config: &ImageConfig) -> Vec<Digest> {
    let mut below: Option<Digest> = None;
    let chain = config.rootfs.diff_ids.iter().map(|diff_id| {
        let id = below.map_or(*diff_id, |below| Digest::of(format!("{below} {diff_id}")));
        below = Some(id);
        id
    });
    chain.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    const FORCE: RemoveOptions = RemoveOptions { force: true, no_prune: false };
    const NO_PRUNE: RemoveOptions = RemoveOptions { force: false, no_prune: true };

    fn remove(store: &Store, text: &str, options: RemoveOptions) -> Result<Vec<String>, String> {
        let line = |removed: Removed| match removed {
            Removed::Untagged(name) => format!("Untagged: {}", name.familiar()),
            Removed::Deleted(digest) => format!("Deleted: {digest}"),
        };
        let removed = store.remove_image(text, options).map_err(|error| error.to_string())?;
        Ok(removed.into_iter().map(line).collect())
    }

    fn tag(store: &Store, id: &Digest, names: &[&str]) {
        for name in names {
            store.tag(id, &name.parse().expect("name")).expect("tag");
        }
    }

    fn chain(store: &Store, id: &Digest) -> Vec<Digest> {
        chain_ids(&store.image(id).expect("image").expect("there").config)
    }

    #[test]
    fn by_name_the_last_one_takes_the_image() {
        let store = TestStore::new();
        let id = store.make_image(&["1", "2"], None, false);
        let chain = chain(&store, &id);
        let digest = Digest::of("manifest");
        tag(&store, &id, &["app", "app:2", &format!("app@{digest}")]);
        assert_eq!(remove(&store, "app", NO_PRUNE), Ok(vec!["Untagged: app:latest".to_owned()]));
        let expected = [
            "Untagged: app:2".to_owned(),
            format!("Untagged: app@{digest}"),
            format!("Deleted: {id}"),
            format!("Deleted: {}", chain[1]),
            format!("Deleted: {}", chain[0]),
        ];
        assert_eq!(remove(&store, "app:2", NO_PRUNE), Ok(expected.to_vec()));
        assert_eq!(remove(&store, "app:2", NO_PRUNE), Err("No such image: app:2".to_owned()));
    }

    #[test]
    fn by_id_only_if_one_repository_names_it() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, false);
        tag(&store, &id, &["one", "two"]);
        let short = id.short();
        let conflict = format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        );
        assert_eq!(remove(&store, &short, NO_PRUNE), Err(conflict));
        let expected = ["Untagged: one:latest".to_owned(), "Untagged: two:latest".to_owned(), format!("Deleted: {id}")];
        assert_eq!(remove(&store, &short, FORCE).expect("forced")[..3], expected);
        let id = store.make_image(&["1"], None, false);
        tag(&store, &id, &["one"]);
        assert_eq!(
            remove(&store, &id.to_string(), NO_PRUNE).expect("removed")[..2],
            [expected[0].clone(), expected[2].clone()]
        );
    }

    #[test]
    fn a_name_that_looks_like_the_id_is_a_name() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, false);
        let short = &id.hex()[..4];
        tag(&store, &id, &[short, "other"]);
        assert_eq!(remove(&store, short, NO_PRUNE), Ok(vec![format!("Untagged: {short}:latest")]));
        assert!(remove(&store, short, NO_PRUNE).expect("now it is the id").contains(&format!("Deleted: {id}")));
    }

    #[test]
    fn children_keep_their_parents() {
        let store = TestStore::new();
        let base = store.make_image(&["base"], None, false);
        let child = store.make_image(&["base", "child"], Some(&base), false);
        tag(&store, &base, &["base"]);
        tag(&store, &child, &["child"]);
        let short = base.short();
        let conflict =
            format!("conflict: unable to delete {short} (cannot be forced) - image has dependent child images");
        assert_eq!(remove(&store, &short, FORCE), Err(conflict));
        assert_eq!(remove(&store, "base", FORCE), Ok(vec!["Untagged: base:latest".to_owned()]));
        // Its last child takes it along now that it has no name.
        let (base_chain, child_chain) = (chain(&store, &base), chain(&store, &child));
        let expected = [child, child_chain[1], base, base_chain[0]].map(|digest| format!("Deleted: {digest}"));
        assert_eq!(remove(&store, "child", RemoveOptions::default()).expect("removed")[1..], expected);
    }

    #[test]
    fn parents_without_a_name_go_unless_told_not_to() {
        for no_prune in [true, false] {
            let store = TestStore::new();
            let base = store.make_image(&["base"], None, false);
            tag(&store, &base, &["base"]);
            let step = store.make_image(&["base", "step"], Some(&base), true);
            let other = store.make_image(&["base", "step", "other"], Some(&step), true);
            let last = store.make_image(&["base", "step", "last"], Some(&step), false);
            tag(&store, &last, &["app"]);
            store.remove_record(&other).expect("remove");
            remove(&store, "app", RemoveOptions { force: false, no_prune }).expect("removed");
            assert!(store.image(&last).expect("image").is_none() && store.image(&base).expect("image").is_some());
            assert_eq!(store.image(&step).expect("image").is_some(), no_prune);
        }
    }
}
