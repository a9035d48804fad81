//! What `images` shows. Reading every record takes its time where there are thousands, so the list is remembered for as
//! long as nothing changes (`remembered.rs`).

mod remembered;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::time::SystemTime;

use kiln_types::{Digest, Reference};

use crate::{Result, Store, unnamed};

#[derive(Debug, Clone, PartialEq)]
pub struct ListedImage {
    pub id: Digest,
    /// Each name with the digest of the manifest it was given with.
    pub names: Vec<(Reference, Option<Digest>)>,
    /// Indexes of several platforms that stand for it, and have no name.
    pub unnamed: Vec<Digest>,
    /// RFC 3339, from the config.
    pub created: Option<String>,
    /// Bytes of the files in all its layers; a layer that an older kiln received and never
    /// decompressed counts as it was received.
    pub size: u64,
    /// Seldom wanted: made by a step that was not the last one of its build, or the base of another image, or only one
    /// more platform's of some name.
    pub intermediate: bool,
}

/// All that there is to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Newest first.
    pub images: Vec<ListedImage>,
    /// Names that lead to no image any more, because its record was damaged.
    pub lost: Vec<Reference>,
}

/// An image of a list that is being made.
struct Found {
    id: Digest,
    created: Option<String>,
    layers: Vec<Digest>,
    parent: Option<Digest>,
    intermediate: bool,
}

impl ListedImage {
    /// Whether only those want to see it who want to see all.
    pub fn is_hidden(&self) -> bool {
        self.intermediate && self.names.is_empty() && self.unnamed.is_empty()
    }
}

impl Store {
    /// Every image, intermediate ones too, newest first.
    pub fn images(&self) -> Result<Vec<ListedImage>> {
        Ok(self.listing(true)?.images)
    }

    /// The images of lists; unless `all` are wanted, without intermediate ones that have no name.
    pub fn listing(&self, all: bool) -> Result<Listing> {
        let state = self.listing_state();
        if let Some(listing) = self.remembered_listing(&state, all) {
            return Ok(listing);
        }
        let mut listing = self.read_listing()?;
        self.remember_listing(state, &listing);
        if !all {
            listing.images.retain(|image| !image.is_hidden());
        }
        Ok(listing)
    }

    fn read_listing(&self) -> Result<Listing> {
        let mut names: HashMap<Digest, Vec<(Reference, Option<Digest>)>> = HashMap::new();
        let mut unnamed: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (name, kept) in self.all_names()? {
            if unnamed::is_unnamed(&name) {
                unnamed.entry(kept.id).or_default().extend(kept.index);
                continue;
            }
            names.entry(kept.id).or_default().push((name, kept.manifest));
        }
        let of_platforms = self.platform_images()?;
        let found = self.look_at_images(|image| Found {
            id: image.id,
            created: image.config.created.clone(),
            layers: image.config.rootfs.diff_ids.clone(),
            parent: image.parent,
            intermediate: image.intermediate,
        })?;
        let bases: HashSet<Digest> = found.iter().filter_map(|image| image.parent).collect();
        let mut images = Vec::new();
        let mut sizes = HashMap::new();
        for image in found {
            let mut size = 0;
            for diff_id in &image.layers {
                size += match sizes.get(diff_id) {
                    Some(size) => *size,
                    None => *sizes.entry(*diff_id).or_insert(self.layer_size(diff_id)?),
                };
            }
            images.push(ListedImage {
                id: image.id,
                names: names.remove(&image.id).unwrap_or_default(),
                unnamed: unnamed.remove(&image.id).unwrap_or_default(),
                created: image.created,
                size,
                intermediate: image.intermediate || bases.contains(&image.id) || of_platforms.contains(&image.id),
            });
        }
        sort(&mut images);
        let mut lost: Vec<Reference> = names.into_values().flatten().map(|(name, _)| name).collect();
        lost.sort_unstable();
        Ok(Listing { images, lost })
    }

    /// Ids of the images whose labels are `wanted`.
    pub fn labelled_images(
        &self,
        wanted: &(dyn Fn(&BTreeMap<String, String>) -> bool + Sync),
    ) -> Result<HashSet<Digest>> {
        let found = self.look_at_images(|image| wanted(&image.config.config.labels).then_some(image.id))?;
        Ok(found.into_iter().flatten().collect())
    }

    /// When the last of these names was given.
    pub fn last_tagged(&self, names: &[Reference]) -> Option<SystemTime> {
        let given = |name: &Reference| fs::metadata(self.name_path(name)).ok()?.modified().ok();
        names.iter().filter_map(given).max()
    }

    /// Bytes of the files in all layers of an image, also of one that is no more but for its containers.
    pub fn size(&self, id: &Digest) -> Result<u64> {
        let config = match self.load_record(id)?.is_none().then(|| self.kept_record(id)).flatten() {
            Some((_, config)) => config,
            None => self.existing_record(id)?.parse_config()?,
        };
        config.rootfs.diff_ids.iter().map(|diff_id| self.layer_size(diff_id)).sum()
    }

    /// Bytes of the files in a layer; of one that nobody has looked at yet, those that were received.
    pub fn layer_size(&self, diff_id: &Digest) -> Result<u64> {
        if let Some(header) = self.layer_header(diff_id) {
            return Ok(header.files_size);
        }
        if let Some(size) = self.sources(diff_id)?.files_size {
            return Ok(size);
        }
        if self.has_blob(diff_id)
            // Its index was lost. What is no tar is for those to tell who need its files, not for lists of images.
            && let Ok(layer) = self.layer(diff_id)
        {
            return Ok(layer.index.files_size());
        }
        let received = self.layer_blobs(diff_id)?;
        let size = received.first().and_then(|blob| fs::metadata(self.blob_path(blob)).ok());
        Ok(size.map_or(0, |metadata| metadata.len()))
    }
}

/// Newest first.
fn sort(images: &mut [ListedImage]) {
    let time = |image: &ListedImage| image.created.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    images.sort_by_cached_key(|image| (Reverse(time(image)), image.id));
}

#[cfg(test)]
mod tests {
    use kiln_image::ImageConfig;

    use crate::testing::{TestStore, one_file};

    #[test]
    fn what_is_no_layer_does_not_hide_the_other_images() {
        let store = TestStore::new();
        let good = store.make_image(&["1"], None, false);
        let noise = vec![b'x'; 5000];
        let diff_id = store.put_blob(&noise).expect("blob");
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids = vec![diff_id];
        let bad = store.add_image(&config, None, false).expect("image");
        let mut ids: Vec<_> = store.images().expect("images").iter().map(|image| image.id).collect();
        ids.sort_unstable();
        let mut expected = [good, bad];
        expected.sort_unstable();
        assert_eq!((ids.as_slice(), store.size(&bad).expect("size")), (&expected[..], 5000));
    }

    #[test]
    fn newest_first_with_size_and_names() {
        let store = TestStore::new();
        let layer = store.add_layer(one_file("a", "12345")).expect("layer");
        let image = |created: &str| {
            let mut config = ImageConfig { created: Some(created.to_owned()), ..ImageConfig::default() };
            config.rootfs.diff_ids = vec![layer.diff_id; 2];
            store.add_image(&config, None, false).expect("image")
        };
        let ids = ["2024-01-01T00:00:01Z", "2024-01-01T00:00:01.5Z", "2024-01-01T09:00:00+09:00"].map(image);
        store.tag(&ids[1], &"b".parse().expect("name")).expect("tag");
        store.tag(&ids[1], &"a:1".parse().expect("name")).expect("tag");
        let images = store.images().expect("images");
        assert_eq!(images.iter().map(|image| image.id).collect::<Vec<_>>(), [ids[1], ids[0], ids[2]]);
        let names: Vec<String> = images[0].names.iter().map(|(name, _)| name.familiar()).collect();
        assert_eq!((names.as_slice(), images[0].size), (&["a:1".to_owned(), "b:latest".to_owned()][..], 10));
        assert_eq!(store.size(&ids[0]).expect("size"), 10);
    }
}
