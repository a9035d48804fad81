//! All images, looked at one after the other. Where several have one file (series.rs), each is what the one before was and
//! one step more: reading each by itself would read and check that file once for each of them.

use std::collections::HashMap;
use std::fs::Metadata;

use kiln_image::{Descriptor, ImageConfig};
use kiln_types::Digest;
use rayon::prelude::*;

use crate::images::Record;
use crate::{Result, Store, files, images, series};

/// An image, and the file that it is in.
pub(crate) struct Seen<'a> {
    pub(crate) id: Digest,
    pub(crate) config: &'a ImageConfig,
    pub(crate) parent: Option<Digest>,
    pub(crate) manifest: Option<&'a Descriptor>,
    pub(crate) intermediate: bool,
    pub(crate) metadata: &'a Metadata,
}

impl<'a> Seen<'a> {
    pub(crate) fn alone(id: Digest, record: &'a Record, config: &'a ImageConfig, metadata: &'a Metadata) -> Self {
        let (parent, manifest, intermediate) = (record.parent, record.manifest.as_ref(), record.intermediate);
        Self { id, config, parent, manifest, intermediate, metadata }
    }
}

/// A file of `images/by-id`, with the images that have a name there.
struct File {
    ids: Vec<Digest>,
    metadata: Metadata,
}

impl Store {
    /// What `look` makes of each image, in no order. What is damaged is left out, and stays for a check to tell of.
    pub(crate) fn look_at_images<T: Send>(&self, look: impl Fn(Seen<'_>) -> T + Sync) -> Result<Vec<T>> {
        let mut known: HashMap<(u64, u64), usize> = HashMap::new();
        let mut files: Vec<File> = Vec::new();
        for entry in self.entries("images/by-id")? {
            let id = entry.file_name().to_str().and_then(images::id_of);
            // One that has no metadata has been removed meanwhile.
            let (Some(id), Ok(metadata)) = (id, entry.metadata()) else { continue };
            let new = files.len();
            let at = files::identity(&metadata).map_or(new, |identity| *known.entry(identity).or_insert(new));
            match files.get_mut(at) {
                Some(file) => file.ids.push(id),
                None => files.push(File { ids: vec![id], metadata }),
            }
        }
        let seen: Result<Vec<Vec<T>>> = files.into_par_iter().map(|file| self.look_at_file(file, &look)).collect();
        Ok(seen?.into_iter().flatten().collect())
    }

    fn look_at_file<T>(&self, file: File, look: &impl Fn(Seen<'_>) -> T) -> Result<Vec<T>> {
        let File { mut ids, metadata } = file;
        if ids.len() > 1 {
            ids.sort_unstable();
            // Any of its names may be removed meanwhile.
            let bytes = ids.iter().find_map(|id| self.record_bytes(id).transpose()).transpose()?;
            let mut seen = Vec::new();
            let see = |id, config: &ImageConfig, parent| {
                if ids.binary_search(&id).is_ok() {
                    let (manifest, intermediate, metadata) = (None, true, &metadata);
                    seen.push(look(Seen { id, config, parent, manifest, intermediate, metadata }));
                }
            };
            if bytes.is_some_and(|bytes| series::each(&bytes, see)) {
                return Ok(seen);
            }
        }
        // It is alone in its file, or that is damaged, or a name of it leads to another file by now.
        let alone = |id: Digest| {
            let found = self.record_bytes(&id)?.and_then(|bytes| images::whole_record(&id, &bytes));
            Ok(found.map(|(record, config)| look(Seen::alone(id, &record, &config, &metadata))))
        };
        ids.into_iter().filter_map(|id| alone(id).transpose()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;

    use kiln_image::{Edit, EmptyStep, History};

    use super::*;
    use crate::testing::TestStore;

    #[test]
    fn they_are_what_each_is_by_itself() {
        let store = TestStore::new();
        let base = store.make_image(&["1"], None, false);
        let first = store.image(&base).expect("image").expect("there").config;
        let mut config = first.clone();
        let step = |number: usize| {
            let edit = Edit::Label(vec![(number.to_string(), "x".to_owned())]);
            let step = EmptyStep { edit, created: Some(number.to_string()), history: History::default() };
            step.apply(&mut config);
            (config.id(), step)
        };
        let steps: Vec<(Digest, EmptyStep)> = (0..5).map(step).collect();
        store.add_images(&first, Some(&base), &steps).expect("added");
        let seen = || {
            let look = |image: Seen<'_>| (image.id, image.config.clone(), image.parent, image.intermediate);
            let mut seen = store.look_at_images(look).expect("images");
            seen.sort_by_key(|(id, ..)| *id);
            seen
        };
        let read = || {
            let mut ids = store.image_ids().expect("ids");
            ids.sort_unstable();
            let found = ids.iter().filter_map(|id| store.image(id).expect("image"));
            found.map(|image| (image.id, image.config, image.parent, image.intermediate)).collect::<Vec<_>>()
        };
        assert_eq!((seen().len(), seen()), (6, read()));
        let labelled = store.labelled_images(&|labels| labels.contains_key("3")).expect("images");
        assert_eq!(labelled, HashSet::from([steps[3].0, steps[4].0]));

        // One that is no more is not seen, though others' file tells of it.
        store.remove_record(&steps[1].0).expect("removed");
        assert_eq!((seen().len(), seen()), (5, read()));

        // What the damage is behind is whole, and seen.
        let path = store.record_path(&steps[0].0);
        let whole = fs::read_to_string(&path).expect("read");
        let damaged = whole.replace(r#"["3","x"]"#, r#"["3","y"]"#);
        assert_ne!(damaged, whole);
        fs::write(&path, damaged).expect("write");
        let seen = seen();
        if cfg!(unix) {
            assert_eq!(seen.len(), 3);
        }
        // Reading removes what is damaged, looking does not.
        assert_eq!((store.image_ids().expect("ids").len(), seen), (5, read()));
    }
}
