//! Indexes of several platforms without a name: of a build that was given none, or whose name went to another image.
//!
//! Such an index is kept under a name that nobody can give, `kiln.invalid/unnamed@<its digest>`, so whatever holds for
//! names holds for it: it keeps its images, and they go with it. No list of names has it. As a result without a name it
//! goes by `image prune`, or when the store is too large.

use kiln_types::{Digest, Reference};

use crate::files::Durability;
use crate::names::Name;
use crate::{Result, Store};

/// Nothing will ever be found in that domain (RFC 6761).
pub(crate) const REGISTRY: &str = "kiln.invalid";

pub(crate) fn is_unnamed(name: &Reference) -> bool {
    name.registry == REGISTRY
}

/// What the index is kept as.
fn name_of(index: &Digest) -> Reference {
    Reference { registry: REGISTRY.to_owned(), repository: "unnamed".to_owned(), tag: None, digest: Some(*index) }
}

impl Store {
    /// Keeps an index of images that are in the store, though it has no name, until it gets one or is removed. It stands
    /// for the image `id`.
    pub fn keep_unnamed(&self, id: &Digest, index: &Digest) -> Result<()> {
        if self.all_names()?.values().any(|kept| kept.index == Some(*index)) {
            return Ok(());
        }
        self.give_any_name(id, &name_of(index), Some(index)).map(drop)
    }

    /// What a name stands for that is about to go to something else. While names are locked.
    pub(crate) fn keep_former(&self, name: &Reference, former: &Name) -> Result<()> {
        let Some(index) = former.index else { return Ok(()) };
        let is_named = self.all_names()?.iter().any(|(other, kept)| other != name && kept.index == Some(index));
        if is_named || self.load_record(&former.id)?.is_none() {
            return Ok(());
        }
        let name = name_of(&index);
        let kept = Name { name: name.to_string(), ..former.clone() };
        self.write_json(&self.name_path(&name), &kept, Durability::Now)
    }

    /// An index got a name.
    pub(crate) fn forget_unnamed(&self, index: &Digest) -> Result<()> {
        self.untag(&name_of(index)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use kiln_types::Platform;

    use super::*;
    use crate::testing::TestStore;
    use crate::{Error, ImageWish, RemoveOptions};

    /// Images for two platforms with these texts, and the index of both with the image that it stands for.
    fn multi(store: &TestStore, texts: [&str; 2]) -> (Digest, Digest, Digest) {
        let [host, other] = texts.map(|text| store.make_image(&[text], None, false));
        let (index, usual) =
            store.make_index(&[(Platform::host(), host), (Platform::new("plan9", "386"), other)]).expect("index");
        assert_eq!(usual, host);
        (index, host, other)
    }

    /// What a list shows: the image and its index, for those without a name.
    fn unnamed(store: &Store) -> Vec<(Digest, Vec<Digest>)> {
        let listed = store.listing(false).expect("listing").images.into_iter();
        listed.filter(|image| image.names.is_empty()).map(|image| (image.id, image.unnamed)).collect()
    }

    fn name(text: &str) -> Reference {
        text.parse().expect(text)
    }

    /// As if nobody had used these images for long.
    fn age(store: &TestStore, images: [Digest; 2]) {
        let two_hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
        for id in images {
            let record = std::fs::File::open(store.record_path(&id)).expect("record");
            record.set_modified(two_hours_ago).expect("a time");
        }
    }

    #[test]
    fn a_build_without_a_name_keeps_its_index_until_it_is_pruned() {
        let store = TestStore::new();
        let (index, host, other) = multi(&store, ["1", "2"]);
        store.keep_unnamed(&host, &index).expect("kept");
        store.collect().expect("collect");
        assert!(store.has_blob(&index));
        assert_eq!(unnamed(&store), [(host, vec![index])]);
        assert!(store.names(&host).expect("names").is_empty());
        assert_eq!(store.resolve(&index.to_string()).expect("image").id, host);
        assert!(store.check(crate::CheckOptions::default()).expect("checked").damages.is_empty());

        let wish = ImageWish::default();
        let dry = store.prune(Some(&wish), None, true).expect("dry run").images;
        let pruned = store.prune(Some(&wish), None, false).expect("pruned").images;
        assert_eq!(dry, pruned);
        assert!(pruned.iter().all(|line| matches!(line, crate::Removed::Deleted(_))), "{pruned:?}");
        assert!(store.image(&host).expect("image").is_none() && store.image(&other).expect("image").is_none());
        assert_eq!((store.files_below("images"), store.files_below("blobs")), (0, 0));
    }

    #[test]
    fn what_a_name_stood_for_before_is_kept_so() {
        let store = TestStore::new();
        let (first, host, other) = multi(&store, ["1", "2"]);
        store.name_received(&host, &name("app"), Some(&first)).expect("named");
        // Only the other platform's image is another one.
        let (second, same, newer) = multi(&store, ["1", "3"]);
        assert_eq!(same, host);
        store.name_received(&host, &name("app"), Some(&second)).expect("named");
        let listed = store.listing(false).expect("listing").images;
        assert_eq!((listed.len(), &listed[0].unnamed), (1, &vec![first]));

        // A name of its own, by its digest; then away with it again.
        store.copy_name(&first.to_string(), &name("old")).expect("copied");
        assert_eq!(store.named(&name("old")).expect("named").expect("there").index, Some(first));
        assert!(store.listing(false).expect("listing").images[0].unnamed.is_empty());
        store.remove_image("old", RemoveOptions::default()).expect("removed");
        assert!(store.image(&other).expect("image").is_none() && store.image(&newer).expect("image").is_some());

        // One that has another name with the same index is not kept twice.
        store.copy_name("app", &name("copy")).expect("copied");
        store.tag(&newer, &name("app")).expect("tag");
        assert!(unnamed(&store).is_empty());
        store.tag(&newer, &name("copy")).expect("tag");
        assert_eq!(unnamed(&store), [(host, vec![second])]);
    }

    #[test]
    fn pruning_takes_it_from_an_image_that_has_a_name() {
        let store = TestStore::new();
        let (first, host, other) = multi(&store, ["1", "2"]);
        store.keep_unnamed(&host, &first).expect("kept");
        store.tag(&host, &name("app")).expect("tag");
        store.prune(Some(&ImageWish::default()), None, false).expect("pruned");
        assert!(store.image(&host).expect("image").is_some() && store.image(&other).expect("image").is_none());
        assert!(!store.has_blob(&first));
    }

    #[test]
    fn it_can_be_removed_by_digest_or_by_the_id_of_its_image() {
        for by_digest in [true, false] {
            let store = TestStore::new();
            let (index, host, other) = multi(&store, ["1", "2"]);
            store.keep_unnamed(&host, &index).expect("kept");
            let text = if by_digest { index.to_string() } else { host.short() };
            let removed = store.remove_image(&text, RemoveOptions::default()).expect("removed");
            assert!(removed.iter().all(|line| matches!(line, crate::Removed::Deleted(_))), "{removed:?}");
            assert!([host, other].iter().all(|id| store.image(id).expect("image").is_none()));
            assert!(unnamed(&store).is_empty());
        }
    }

    #[test]
    fn a_container_whose_image_has_a_name_does_not_hold_it() {
        let store = TestStore::new();
        let (index, host, other) = multi(&store, ["1", "2"]);
        store.keep_unnamed(&host, &index).expect("kept");
        store.tag(&host, &name("app")).expect("tag");
        let (id, volumes) = (Digest::of("one").hex(), Vec::new());
        let record = crate::ContainerRecord { id, name: "one".to_owned(), image: host, created: 1, volumes };
        store.create_container(&record, &|_| Ok(())).expect("created");
        store.remove_image(&index.to_string(), RemoveOptions::default()).expect("removed");
        assert!(store.image(&host).expect("image").is_some() && store.image(&other).expect("image").is_none());
        assert_eq!(store.all_names().expect("names").len(), 1);
    }

    #[test]
    fn a_store_that_is_too_large_lets_it_go_as_a_whole() {
        let store = TestStore::new();
        let (old, host, other) = multi(&store, ["1", "2"]);
        store.keep_unnamed(&host, &old).expect("kept");
        age(&store, [host, other]);
        let (new, newer, newest) = multi(&store, ["3", "4"]);
        store.keep_unnamed(&newer, &new).expect("kept");
        store.keep_below(1).expect("reduced");
        assert_eq!(unnamed(&store), [(newer, vec![new])]);
        assert!(store.image(&newest).expect("image").is_some());
        assert!([host, other].iter().all(|id| store.image(id).expect("image").is_none()));
        assert_eq!(store.all_names().expect("names").len(), 1);
    }

    #[test]
    fn under_the_limit_it_goes_also_from_an_image_that_has_a_name() {
        let store = TestStore::new();
        let (index, host, other) = multi(&store, ["1", "2"]);
        store.keep_unnamed(&host, &index).expect("kept");
        store.tag(&host, &name("app")).expect("tag");
        age(&store, [host, other]);
        store.keep_below(1).expect("reduced");
        assert!(store.image(&host).expect("image").is_some() && store.image(&other).expect("image").is_none());
        assert_eq!(store.all_names().expect("names").len(), 1);
        assert!(!store.has_blob(&index));
    }

    #[test]
    fn nobody_can_give_such_a_name() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, false);
        let refused = store.tag(&id, &name("kiln.invalid/a"));
        assert!(matches!(refused, Err(Error::ReservedName { .. })), "{refused:?}");
    }
}
