//! Indexes within indexes: OCI allows them, and some tools join images of several builds so.

use std::collections::{HashMap, HashSet};

use kiln_types::Digest;

use crate::manifest::{Descriptor, ManifestList, is_manifest_list};

/// All that an index leads to, as if it were in one index.
#[derive(Debug)]
pub struct FlatIndex {
    /// What is no index, in order; and the indexes that could not be opened, or are nested too deeply.
    pub entries: Vec<Descriptor>,
    /// The indexes within.
    pub indexes: Vec<Descriptor>,
}

impl FlatIndex {
    /// Nobody needs more: they are small documents, but each may cost a request.
    pub const DEEPEST: usize = 4;
    pub const MOST: usize = 64;

    /// # Errors
    /// Those of `open`, which answers nothing for an index that cannot be had.
    pub fn new<E>(
        list: ManifestList,
        mut open: impl FnMut(&Descriptor) -> Result<Option<ManifestList>, E>,
    ) -> Result<Self, E> {
        let mut flat = Self { entries: Vec::new(), indexes: Vec::new() };
        let mut seen = HashSet::new();
        let mut waiting: Vec<(Descriptor, usize)> = list.manifests.into_iter().rev().map(|entry| (entry, 1)).collect();
        while let Some((entry, depth)) = waiting.pop() {
            if !is_manifest_list(&entry.media_type) {
                flat.entries.push(entry);
                continue;
            }
            if !seen.insert(entry.digest) {
                continue;
            }
            // Also one that cannot be had has cost a request.
            let may_open = depth < Self::DEEPEST && seen.len() <= Self::MOST;
            let Some(within) = (if may_open { open(&entry)? } else { None }) else {
                flat.entries.push(entry);
                continue;
            };
            for mut listed in within.manifests.into_iter().rev() {
                listed.platform = listed.platform.or_else(|| entry.platform.clone());
                waiting.push((listed, depth + 1));
            }
            flat.indexes.push(entry);
        }
        Ok(flat)
    }
}

/// An index and those within it, for who passes all of them on.
#[derive(Debug)]
pub struct IndexTree {
    outermost: Digest,
    documents: HashMap<Digest, (Vec<u8>, ManifestList)>,
}

impl IndexTree {
    pub fn new(index: Digest, document: Vec<u8>, list: ManifestList) -> Self {
        Self { outermost: index, documents: HashMap::from([(index, (document, list))]) }
    }

    /// One more, which was found within.
    pub fn add(&mut self, index: Digest, document: Vec<u8>, list: ManifestList) {
        self.documents.insert(index, (document, list));
    }

    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.documents.keys()
    }

    /// The documents with their media types, each after those that it lists, the outermost one last: as they are, or
    /// where something that they lead to has changed, leading to what it is now. `now` has such manifests by the digests
    /// that they had.
    pub fn leading_to(&self, now: &HashMap<Digest, &[u8]>) -> Vec<(Vec<u8>, String)> {
        let mut done = Vec::new();
        self.visit(&self.outermost, now, &mut HashMap::new(), &mut done);
        done
    }

    /// Answers where in `done` the index is.
    fn visit(
        &self,
        index: &Digest,
        now: &HashMap<Digest, &[u8]>,
        places: &mut HashMap<Digest, usize>,
        done: &mut Vec<(Vec<u8>, String)>,
    ) -> Option<usize> {
        if let Some(place) = places.get(index) {
            return Some(*place);
        }
        let (bytes, list) = self.documents.get(index)?;
        let mut changed = list.clone();
        for entry in &mut changed.manifests {
            if let Some(manifest) = now.get(&entry.digest) {
                entry.lead_to(manifest);
            } else if let Some(place) = self.visit(&entry.digest.clone(), now, places, done) {
                entry.lead_to(&done[place].0);
            }
        }
        let bytes = if changed == *list { bytes.clone() } else { changed.to_json() };
        done.push((bytes, list.media_type()));
        places.insert(*index, done.len() - 1);
        Some(done.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use kiln_types::Platform;

    use super::*;

    fn image(name: &str) -> Descriptor {
        Descriptor::new("application/vnd.oci.image.manifest.v1+json", Digest::of(name), 1)
    }

    #[derive(Default)]
    struct Documents(HashMap<Digest, ManifestList>);

    impl Documents {
        fn index(&mut self, entries: &[&Descriptor]) -> Descriptor {
            let list = ManifestList::new(entries.iter().map(|entry| (*entry).clone()).collect());
            let bytes = list.to_json();
            let digest = Digest::of(&bytes);
            let descriptor = Descriptor::new(list.media_type.clone().unwrap_or_default(), digest, bytes.len() as u64);
            self.0.insert(digest, list);
            descriptor
        }

        fn flat(&self, index: &Descriptor) -> FlatIndex {
            let open = |entry: &Descriptor| Ok::<_, Infallible>(self.0.get(&entry.digest).cloned());
            FlatIndex::new(self.0[&index.digest].clone(), open).expect("nothing fails")
        }
    }

    #[test]
    fn order_and_platforms_are_kept() {
        let mut documents = Documents::default();
        let arm = Platform::new("linux", "arm64");
        let inner = documents.index(&[&image("b"), &image("c")]);
        let inner = Descriptor { platform: Some(arm.clone()), ..inner };
        let lost = Descriptor { digest: Digest::of("lost"), ..inner.clone() };
        let outer = documents.index(&[&image("a"), &inner, &lost, &image("d"), &inner]);
        let flat = documents.flat(&outer);
        let digests: Vec<Digest> = flat.entries.iter().map(|entry| entry.digest).collect();
        assert_eq!(digests, ["a", "b", "c", "lost", "d"].map(Digest::of));
        assert_eq!(flat.entries[1].platform, Some(arm));
        assert_eq!(flat.indexes.len(), 1);
    }

    #[test]
    fn a_change_goes_up_and_nowhere_else() {
        let mut documents = Documents::default();
        let (kept, shared) = (documents.index(&[&image("a")]), documents.index(&[&image("b")]));
        let middle = documents.index(&[&shared, &image("c")]);
        // The shared one comes both before and within the middle one.
        let outer = documents.index(&[&shared, &kept, &middle, &image("lost")]);
        let mut tree =
            IndexTree::new(outer.digest, documents.0[&outer.digest].to_json(), documents.0[&outer.digest].clone());
        for index in [&kept, &shared, &middle] {
            tree.add(index.digest, documents.0[&index.digest].to_json(), documents.0[&index.digest].clone());
        }
        let digests = |now: &HashMap<Digest, &[u8]>| -> Vec<Digest> {
            tree.leading_to(now).iter().map(|(bytes, _)| Digest::of(bytes)).collect()
        };
        assert_eq!(digests(&HashMap::new()), [&shared, &kept, &middle, &outer].map(|index| index.digest));

        let new = HashMap::from([(Digest::of("b"), &b"new"[..])]);
        let changed = tree.leading_to(&new);
        let listed = |at: usize| ManifestList::parse(&changed[at].0).expect("an index").manifests;
        assert_eq!((listed(0)[0].digest, listed(0)[0].size), (Digest::of("new"), 3));
        assert_eq!(Digest::of(&changed[1].0), kept.digest);
        assert_eq!(listed(2)[0].digest, Digest::of(&changed[0].0));
        let expected = [Digest::of(&changed[0].0), kept.digest, Digest::of(&changed[2].0), Digest::of("lost")];
        assert_eq!(listed(3).iter().map(|entry| entry.digest).collect::<Vec<_>>(), expected);
        assert_eq!(changed.len(), 4);
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let mut documents = Documents::default();
        let mut index = documents.index(&[&image("deep")]);
        for _ in 0..FlatIndex::DEEPEST {
            index = documents.index(&[&index]);
        }
        let flat = documents.flat(&index);
        assert!(flat.entries.iter().all(|entry| is_manifest_list(&entry.media_type)), "{flat:?}");
        let many: Vec<_> = (0..200).map(|number: u8| documents.index(&[&image(&number.to_string())])).collect();
        let index = documents.index(&many.iter().collect::<Vec<_>>());
        let flat = documents.flat(&index);
        assert_eq!((flat.indexes.len(), flat.entries.len()), (FlatIndex::MOST, 200));
        let mut asked = 0;
        let lost = |_: &Descriptor| {
            asked += 1;
            Ok::<_, Infallible>(None)
        };
        let flat = FlatIndex::new(documents.0[&index.digest].clone(), lost).expect("nothing fails");
        assert_eq!((asked, flat.entries.len()), (FlatIndex::MOST, 200));
    }
}
