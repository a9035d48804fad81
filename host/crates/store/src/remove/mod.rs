//! `rmi`: what may go, and what goes with it. Docker's rules, order and messages.

mod state;

use std::collections::HashSet;

use kiln_types::{Digest, Reference};

pub(crate) use state::Removal;

use crate::users::User;
use crate::{Error, Result, Store, unnamed};

#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Remove an image by id even if several names lead to it, one that only stopped containers have, and the name of one
    /// that is running.
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
    /// Removes names and records only; call [`Store::collect`] once afterwards to free the space. Answers for each text
    /// in turn: what cannot be removed does not stop the others.
    pub fn remove_images(&self, texts: &[&str], options: RemoveOptions) -> Result<Vec<Result<Vec<Removed>>>> {
        let _lock = self.lock_images()?;
        let mut removal = Removal::new(self)?;
        Ok(texts.iter().map(|text| removal.remove(text, options)).collect())
    }

    pub fn remove_image(&self, text: &str, options: RemoveOptions) -> Result<Vec<Removed>> {
        self.remove_images(&[text], options)?.remove(0)
    }
}

impl Removal<'_> {
    fn remove(&mut self, text: &str, options: RemoveOptions) -> Result<Vec<Removed>> {
        // Of one that failed half-way.
        self.removed.clear();
        match self.resolve(text) {
            Err(Error::LostImage { name }) => self.untag(&name)?,
            Err(error) => return Err(error),
            Ok((id, Some(name))) => self.remove_name(&id, text, &name, options)?,
            Ok((id, None)) => self.remove_id(&id, options)?,
        }
        self.remove_other_platforms(options)?;
        Ok(std::mem::take(&mut self.removed))
    }

    fn remove_name(&mut self, id: &Digest, text: &str, name: &Reference, options: RemoveOptions) -> Result<()> {
        if !options.force
            && !unnamed::is_unnamed(name)
            && one_repository(&self.names_of(id))
            && let Some(user) = self.user(id)
        {
            return Err(Error::NameInUse { name: text.to_owned(), id: *id, container: user.container.clone() });
        }
        self.untag(name)?;
        let rest = self.names_of(id);
        let same = |other: &Reference| (&other.registry, &other.repository) == (&name.registry, &name.repository);
        // A digest goes with the last tag of its repository.
        if name.digest.is_none() && !rest.iter().any(|other| same(other) && other.digest.is_none()) {
            let digests: Vec<Reference> = rest.into_iter().filter(same).collect();
            self.untag_all(&digests)?;
        }
        // Children, indexes and containers keep the image; it is only its name that goes.
        let in_use = self.user(id).is_some_and(|user| user.running || !options.force);
        if self.is_referenced(id) || in_use { Ok(()) } else { self.delete_with_parents(*id, options) }
    }

    fn remove_id(&mut self, id: &Digest, options: RemoveOptions) -> Result<()> {
        let names = self.names_of(id);
        if one_repository(&names) {
            self.check_users(id, options.force, false)?;
            self.untag_all(&names)?;
        }
        self.delete_with_parents(*id, options)
    }

    /// Those that only the index of a name which went had led to.
    pub(crate) fn remove_other_platforms(&mut self, options: RemoveOptions) -> Result<()> {
        for id in self.lost_platforms() {
            if !self.is_needed(&id) {
                self.delete_with_parents(id, options)?;
            }
        }
        Ok(())
    }

    pub(crate) fn delete_with_parents(&mut self, id: Digest, options: RemoveOptions) -> Result<()> {
        self.delete(id, options.force)?;
        let mut next = self.take_parent();
        while let Some(parent) = next.filter(|_| !options.no_prune)
            && !self.is_needed(&parent)
        {
            self.delete(parent, false)?;
            next = self.take_parent();
        }
        Ok(())
    }

    /// What keeps an image, in the order in which it is told. Names count if they are not about to be removed.
    fn check_users(&self, id: &Digest, force: bool, names_count: bool) -> Result<()> {
        if self.has_children(id) {
            return Err(Error::HasChildren { id: *id });
        }
        let container = |user: &User| user.container.clone();
        match self.user(id) {
            Some(user) if user.running => Err(Error::InUse { id: *id, container: container(user) }),
            _ if force => Ok(()),
            _ if names_count && !self.names_of(id).is_empty() => Err(Error::SeveralNames { id: *id }),
            Some(user) => Err(Error::NeededByStopped { id: *id, container: container(user) }),
            None => Ok(()),
        }
    }

    fn delete(&mut self, id: Digest, force: bool) -> Result<()> {
        self.check_users(&id, force, true)?;
        self.untag_all(&self.names_of(&id))?;
        self.untag_all(&self.unnamed_of(&id))?;
        self.delete_record(&id)
    }

    /// Tags before digests.
    pub(crate) fn untag_all(&mut self, names: &[Reference]) -> Result<()> {
        let (digests, tags): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.digest.is_some());
        tags.into_iter().chain(digests).try_for_each(|name| self.untag(name))
    }
}

/// At least one name, all in one repository, at most one of them a tag.
fn one_repository(names: &[Reference]) -> bool {
    let repositories: HashSet<_> = names.iter().map(|name| (&name.registry, &name.repository)).collect();
    let tags = names.iter().filter(|name| name.digest.is_none()).count();
    repositories.len() == 1 && tags <= 1
}

#[cfg(test)]
mod tests {
    use super::state::chain_ids;
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
        let digest = Digest::of("manifest");
        tag(&store, &id, &["one", &format!("one@{digest}")]);
        assert_eq!(
            remove(&store, &id.to_string(), NO_PRUNE).expect("removed")[..3],
            [expected[0].clone(), format!("Untagged: one@{digest}"), expected[2].clone()]
        );
    }

    #[test]
    fn one_that_cannot_go_does_not_stop_the_others() {
        let store = TestStore::new();
        let ids = ["1", "2", "3"].map(|text| store.make_image(&[text], None, false));
        tag(&store, &ids[0], &["one"]);
        tag(&store, &ids[1], &["two", "too"]);
        let texts = ["one", "none", &ids[1].hex(), "two", &ids[2].short()[..8], "one"];
        let results = store.remove_images(&texts, RemoveOptions::default()).expect("removal");
        let done: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(done, [true, false, false, true, true, false]);
        assert_eq!(store.images().expect("images").len(), 1);
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
