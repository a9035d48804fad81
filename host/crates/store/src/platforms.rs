//! Images of several platforms under one name.
//!
//! A name keeps the index that it came with: a blob, exactly as received. Which of the index's images are in the store
//! is not written down anywhere: those whose manifest and record are there.

use std::collections::HashSet;

use kiln_image::config::MAX_DOCUMENT;
use kiln_image::{Descriptor, FlatIndex, IndexTree, Manifest, ManifestList};
use kiln_types::{Digest, Platform, Reference};

use crate::{Error, Image, Result, Store};

impl Store {
    /// The images of an index, in its order, each with its id if it is in the store. What is no image but tells of one
    /// (an attestation) is left out.
    pub fn index_images(&self, index: &Digest) -> Result<Vec<(Descriptor, Option<Digest>)>> {
        let manifests = self.index_entries(index)?.into_iter().filter(Descriptor::is_image);
        manifests
            .map(|entry| Ok((self.image_of(&entry.digest)?, entry)))
            .map(|pair| pair.map(|(id, entry)| (entry, id)))
            .collect()
    }

    /// The image that serves a platform best of those that a name stands for; `None` where none of them does, or not in
    /// this store.
    pub fn for_platform(&self, name: &Reference, platform: &Platform) -> Result<Option<Image>> {
        let Some(named) = self.named(name)? else { return Ok(None) };
        let mut ids = vec![named.id];
        if let Some(index) = &named.index {
            ids.extend(self.members(index)?);
        }
        let mut best: Option<(usize, Image)> = None;
        for id in ids {
            let Some(image) = self.image(&id)? else { continue };
            // Where two serve it equally well, the one that came first was preferred by whoever made the name.
            if let Some(rank) = platform.rank(&image.config.platform())
                && best.as_ref().is_none_or(|(known, _)| rank < *known)
            {
                best = Some((rank, image));
            }
        }
        Ok(best.map(|(_, image)| image))
    }

    /// An index of images that are in the store, each for its platform, in that order; and which of them a name stands
    /// for: this machine's, else the one for WASI, else the first. The index goes again unless a name is given
    /// to it, or it is kept without one.
    ///
    /// # Errors
    /// There are none, or they are not here.
    pub fn make_index(&self, images: &[(Platform, Digest)]) -> Result<(Digest, Digest)> {
        let mut entries = Vec::new();
        for (platform, id) in images {
            let (manifest, _) = self.manifest(id)?;
            let plain = Descriptor::new(manifest.media_type, manifest.digest, manifest.size);
            entries.push(Descriptor { platform: Some(platform.clone()), ..plain });
        }
        let list = ManifestList::new(entries);
        let chosen = list.choose(&Platform::host()).or_else(|| list.choose(&Platform::wasi()));
        let at = chosen.and_then(|chosen| list.manifests.iter().position(|entry| entry == chosen)).unwrap_or(0);
        let none = || Error::NoSuchImage { name: "an index of none".to_owned() };
        let (_, usual) = images.get(at).ok_or_else(none)?;
        Ok((self.put_blob(&list.to_json())?, *usual))
    }

    /// Images that are in the store as one platform's of some name, and have none of their own.
    pub fn platform_images(&self) -> Result<HashSet<Digest>> {
        let names = self.all_names()?;
        let indexes: HashSet<Digest> = names.values().filter_map(|kept| kept.index).collect();
        let mut images = HashSet::new();
        for index in indexes {
            images.extend(self.members(&index)?);
        }
        names.values().for_each(|kept| {
            images.remove(&kept.id);
        });
        Ok(images)
    }

    /// An index and those within it, and all that they list, for who passes it on whole: what is no index, in order, and
    /// the indexes that are not here, or are nested too deeply.
    pub fn index_tree(&self, index: &Digest) -> Result<(IndexTree, Vec<Descriptor>)> {
        let bytes = self.read_blob(index, MAX_DOCUMENT)?;
        let list = ManifestList::parse(&bytes)?;
        let mut tree = IndexTree::new(*index, bytes, list.clone());
        let flat = FlatIndex::new(list, |entry| {
            let Some((bytes, list)) = self.index_document(&entry.digest)? else { return Ok::<_, Error>(None) };
            tree.add(entry.digest, bytes, list.clone());
            Ok(Some(list))
        })?;
        Ok((tree, flat.entries))
    }

    /// Ids of those images of an index that are in the store.
    pub(crate) fn members(&self, index: &Digest) -> Result<Vec<Digest>> {
        Ok(self.index_images(index)?.into_iter().filter_map(|(_, id)| id).collect())
    }

    /// All that an index lists, also in indexes within it; nothing where it is lost or damaged.
    pub(crate) fn index_entries(&self, index: &Digest) -> Result<Vec<Descriptor>> {
        let open = |index: &Digest| Ok::<_, Error>(self.index_document(index)?.map(|(_, list)| list));
        let Some(list) = open(index)? else { return Ok(Vec::new()) };
        Ok(FlatIndex::new(list, |entry| open(&entry.digest))?.entries)
    }

    fn index_document(&self, index: &Digest) -> Result<Option<(Vec<u8>, ManifestList)>> {
        let Some(_) = self.find_blob(index)? else { return Ok(None) };
        let bytes = self.read_blob(index, MAX_DOCUMENT).unwrap_or_default();
        Ok(ManifestList::parse(&bytes).ok().map(|list| (bytes, list)))
    }

    /// The image with that manifest, if both are in the store.
    fn image_of(&self, manifest: &Digest) -> Result<Option<Digest>> {
        if !self.has_blob(manifest) {
            return Ok(None);
        }
        let parsed = self.read_blob(manifest, MAX_DOCUMENT).ok().and_then(|bytes| Manifest::parse(&bytes).ok());
        let Some(parsed) = parsed else { return Ok(None) };
        Ok(self.load_record(&parsed.config.digest)?.map(|_| parsed.config.digest))
    }
}

#[cfg(test)]
mod tests {
    use kiln_image::ImageConfig;

    use super::*;
    use crate::testing::{TestStore, one_file};
    use crate::{RemoveOptions, Removed};

    fn name(text: &str) -> Reference {
        text.parse().expect(text)
    }

    /// An image of one platform as a pull brings it, and its entry in an index.
    fn receive(store: &TestStore, platform: &str) -> (Digest, Descriptor) {
        let platform: Platform = platform.parse().expect("platform");
        let mut config = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = vec![store.add_layer(one_file("file", &platform.to_string())).expect("layer").diff_id];
        let id = store.add_image(&config, None, false).expect("image");
        let (mut descriptor, bytes) = store.manifest(&id).expect("manifest");
        assert_eq!(store.add_received(&bytes).expect("received"), id);
        descriptor.platform = Some(platform);
        (id, descriptor)
    }

    struct Multi {
        ids: [Digest; 2],
        index: Digest,
        attestation: Digest,
    }

    /// An index of three platforms, two of which are here, with an attestation, named `multi`.
    fn multi(store: &TestStore) -> Multi {
        let [(amd64, first), (arm64, second)] = ["linux/amd64", "linux/arm64"].map(|platform| receive(store, platform));
        let missing = Descriptor {
            digest: Digest::of("missing"),
            platform: Some(Platform::new("linux", "s390x")),
            ..first.clone()
        };
        let statement = store.put_blob(b"statement").expect("put");
        let empty = Descriptor::new("config", store.put_blob(b"{}").expect("put"), 2);
        let manifest = Manifest::new(empty, vec![Descriptor::new("statement", statement, 9)]).to_json();
        let mut attestation =
            Descriptor::new(&first.media_type, store.put_blob(&manifest).expect("put"), manifest.len() as u64);
        attestation.platform = Some(Platform::new("unknown", "unknown"));
        let index =
            store.put_blob(&ManifestList::new(vec![first, attestation, second, missing]).to_json()).expect("put");
        store.name_received(&amd64, &name("multi"), Some(&index)).expect("named");
        Multi { ids: [amd64, arm64], index, attestation: statement }
    }

    #[test]
    fn images_of_an_index() {
        let store = TestStore::new();
        let Multi { ids, index, .. } = multi(&store);
        let images = store.index_images(&index).expect("images");
        let here: Vec<Option<Digest>> = images.iter().map(|(_, id)| *id).collect();
        assert_eq!(here, [Some(ids[0]), Some(ids[1]), None]);
        assert_eq!(store.platform_images().expect("images"), HashSet::from([ids[1]]));
        let named = store.named(&name("multi")).expect("named").expect("there");
        assert_eq!((named.id, named.index, named.digest()), (ids[0], Some(index), Some(index)));
        for (platform, expected) in
            [("linux/amd64", Some(ids[0])), ("linux/arm64", Some(ids[1])), ("linux/s390x", None)]
        {
            let found = store.for_platform(&name("multi"), &platform.parse().expect("platform")).expect("image");
            assert_eq!(found.map(|image| image.id), expected, "{platform}");
        }
        assert!(store.for_platform(&name("other"), &Platform::host()).expect("none").is_none());
    }

    #[test]
    fn an_index_of_images_that_were_made_here() {
        let store = TestStore::new();
        let image = |platform: &Platform| {
            let mut config = ImageConfig {
                os: platform.os.clone(),
                architecture: platform.architecture.clone(),
                ..ImageConfig::default()
            };
            config.rootfs.diff_ids = vec![store.add_layer(one_file("file", &platform.os)).expect("layer").diff_id];
            store.add_image(&config, None, false).expect("image")
        };
        let [other, wasi, host] = [Platform::new("plan9", "386"), Platform::wasi(), Platform::host()].map(|platform| {
            let id = image(&platform);
            (platform, id)
        });
        for (images, usual) in [
            (vec![other.clone(), wasi.clone(), host.clone()], host.1),
            (vec![other.clone(), wasi.clone()], wasi.1),
            (vec![other.clone()], other.1),
        ] {
            let (index, chosen) = store.make_index(&images).expect("index");
            assert_eq!((chosen, store.make_index(&images).expect("index").0), (usual, index));
            let listed = store.index_images(&index).expect("images");
            let listed: Vec<_> = listed.into_iter().map(|(entry, id)| (entry.platform, id)).collect();
            assert_eq!(listed, images.iter().map(|(of, id)| (Some(of.clone()), Some(*id))).collect::<Vec<_>>());
            store.name_received(&chosen, &name("app"), Some(&index)).expect("named");
            store.collect().expect("collect");
            assert!(store.has_blob(&index));
        }
        assert!(store.make_index(&[]).is_err());
    }

    #[test]
    fn a_copied_name_has_all_platforms_too() {
        let store = TestStore::new();
        let Multi { ids, index, .. } = multi(&store);
        store.copy_name("multi", &name("other:1")).expect("copied");
        store.copy_name(&ids[0].to_string(), &name("single")).expect("copied");
        let index_of = |text: &str| store.named(&name(text)).expect("named").expect("there").index;
        assert_eq!((index_of("other:1"), index_of("single")), (Some(index), None));
        // A name that an image has already stays what it is; one that came without an index has none.
        store.tag(&ids[0], &name("other:1")).expect("tag");
        assert_eq!(index_of("other:1"), Some(index));
        store.name_received(&ids[0], &name("other:1"), None).expect("named");
        assert_eq!(index_of("other:1"), None);
    }

    #[test]
    fn an_index_keeps_its_images_and_they_go_with_its_last_name() {
        let store = TestStore::new();
        let Multi { ids, index, attestation } = multi(&store);
        store.copy_name("multi", &name("again")).expect("copied");
        store.name_received(&ids[0], &name(&format!("multi@{index}")), Some(&index)).expect("named");
        store.collect().expect("collect");
        assert!([index, attestation].iter().all(|blob| store.has_blob(blob)));
        let removed = store.remove_image("again", RemoveOptions::default()).expect("removed");
        assert_eq!(removed, [Removed::Untagged(name("again:latest"))]);
        let removed = store.remove_image("multi", RemoveOptions::default()).expect("removed");
        let names = [name("multi:latest"), name(&format!("multi@{index}"))].map(Removed::Untagged);
        assert_eq!(removed[..2], names);
        assert!(ids.iter().all(|id| removed.contains(&Removed::Deleted(*id))), "{removed:?}");
        store.collect().expect("collect");
        assert_eq!((store.files_below("blobs"), store.files_below("images")), (0, 0));
    }

    #[test]
    fn what_has_another_name_or_index_stays() {
        let store = TestStore::new();
        let Multi { ids, index, .. } = multi(&store);
        store.tag(&ids[1], &name("arm")).expect("tag");
        store.remove_image("multi", RemoveOptions::default()).expect("removed");
        store.collect().expect("collect");
        assert!(store.image(&ids[0]).expect("image").is_none() && store.image(&ids[1]).expect("image").is_some());
        assert!(!store.has_blob(&index));
    }

    #[test]
    fn a_damaged_index_is_none() {
        let store = TestStore::new();
        let Multi { ids, index, .. } = multi(&store);
        crate::files::remove_tree(&store.blob_path(&index)).expect("remove");
        for damaged in ["", "{", "[1]"] {
            std::fs::write(store.blob_path(&index), damaged).expect("write");
            assert!(store.index_images(&index).expect("none").is_empty());
            assert_eq!(store.resolve("multi").expect("default").id, ids[0]);
        }
        store.collect().expect("collect");
        store.remove_image("multi", RemoveOptions::default()).expect("removed");
    }
}
