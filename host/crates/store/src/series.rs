//! Intermediate images of steps that made no layers and followed one another: one file for all of them, which keeps the
//! steps instead of what each led to. `images/by-id/<hex>.json` is its name for each of them.

use std::path::PathBuf;

use kiln_image::config::MAX_DOCUMENT;
use kiln_image::{EmptyStep, ImageConfig};
use kiln_types::Digest;
use serde::{Deserialize, Serialize};

use crate::images::{self, Record};
use crate::{Result, Store};

/// The file begins with this, that of one image with something else.
const MARK: &[u8] = br#"{"base":"#;

/// Reading one image means doing the steps before it again, and a file holds the whole configuration that they begin
/// with: neither too many steps nor too few.
const MOST: usize = 32;

#[derive(Serialize, Deserialize)]
pub(crate) struct Series {
    /// The configuration that the first step is added to, as text.
    base: String,
    /// The image of that configuration, if it is one.
    parent: Option<Digest>,
    /// With the images that they make.
    steps: Vec<(Digest, EmptyStep)>,
}

/// Shows all images of such a file in their order, each with what it is built on. Whether all of that is what was written:
/// the digest of the last one, which the others lead to, tells.
pub(crate) fn each(file: &[u8], mut see: impl FnMut(Digest, &ImageConfig, Option<Digest>)) -> bool {
    let Some((mut config, series)) = parse(file) else { return false };
    let mut image = series.parent;
    for (id, step) in &series.steps {
        step.apply(&mut config);
        see(*id, &config, image);
        image = Some(*id);
    }
    series.steps.last().is_some_and(|(id, _)| *id == config.id())
}

fn parse(file: &[u8]) -> Option<(ImageConfig, Series)> {
    let series = serde_json::from_slice::<Series>(file).ok().filter(|_| file.starts_with(MARK))?;
    Some((ImageConfig::parse(series.base.as_bytes()).ok()?, series))
}

/// The record of one image in a file of several; `None` where it is not that, or damaged.
pub(crate) fn record(id: &Digest, file: &[u8]) -> Option<(Record, ImageConfig)> {
    let (mut config, series) = parse(file)?;
    let mut parent = series.parent;
    for (step_id, step) in series.steps {
        step.apply(&mut config);
        if step_id == *id {
            let text = String::from_utf8(config.to_json()).ok().filter(|text| Digest::of(text) == *id)?;
            return Some((Record { config: text, manifest: None, parent, intermediate: true }, config));
        }
        parent = Some(step_id);
    }
    None
}

impl Store {
    /// Keeps the intermediate images that these steps lead to, one after the other, from a configuration on. Costs one
    /// small file for many of them, and nothing at all where they exist.
    pub fn add_images(&self, base: &ImageConfig, parent: Option<&Digest>, steps: &[(Digest, EmptyStep)]) -> Result<()> {
        if steps.iter().filter(|(id, _)| !self.note_use(id)).count() == 0 {
            return Ok(());
        }
        self.check_layers(base)?;
        let mut config = base.clone();
        let mut parent = parent.copied();
        let text = config.to_json();
        if ImageConfig::parse(&text)?.to_json() != text {
            // It holds a number that is another one once it was read.
            for (id, step) in steps {
                step.apply(&mut config);
                self.add_image(&config, parent.as_ref(), true)?;
                parent = Some(*id);
            }
            return Ok(());
        }
        for steps in steps.chunks(MOST) {
            self.add_series(&mut config, parent, steps)?;
            parent = steps.last().map(|(id, _)| *id);
        }
        Ok(())
    }

    fn add_series(
        &self,
        config: &mut ImageConfig,
        parent: Option<Digest>,
        steps: &[(Digest, EmptyStep)],
    ) -> Result<()> {
        let base = images::text_of(config.to_json())?;
        steps.iter().for_each(|(_, step)| step.apply(config));
        let last = config.to_json();
        if last.len() as u64 > MAX_DOCUMENT {
            // What could not be read again would be in everybody's way.
            ImageConfig::parse(&last)?;
        }
        let bytes = self.to_json(&Series { base, parent, steps: steps.to_vec() })?;
        let _lock = self.lock_images()?;
        let missing = steps.iter().filter(|(id, _)| !self.note_use(id));
        let names: Vec<PathBuf> = missing.map(|(id, _)| self.record_path(id)).collect();
        self.write_linked(&names, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use kiln_image::{Edit, History};

    use super::*;
    use crate::RemoveOptions;
    use crate::testing::TestStore;

    /// Steps upon the image with one layer, and the images that they lead to.
    fn steps(store: &TestStore, count: usize) -> (Digest, ImageConfig, Vec<(Digest, EmptyStep)>, Vec<ImageConfig>) {
        let base = store.make_image(&["1"], None, false);
        let first = store.image(&base).expect("image").expect("there").config;
        let mut config = first.clone();
        let (mut steps, mut configs) = (Vec::new(), Vec::new());
        for number in 0..count {
            let edit = match number % 3 {
                0 => Edit::Env(vec![(format!("N{}", number % 7), number.to_string())]),
                1 => Edit::Label(vec![(format!("label {number}"), "\"ä\n".to_owned())]),
                _ => Edit::Cmd(vec![number.to_string()]),
            };
            let created = Some(number.to_string());
            let history = History { created: created.clone(), empty_layer: true, ..History::default() };
            let step = EmptyStep { edit, created, history };
            step.apply(&mut config);
            steps.push((config.id(), step));
            configs.push(config.clone());
        }
        (base, first, steps, configs)
    }

    fn files(store: &TestStore) -> usize {
        let entries = store.entries("images/by-id").expect("entries");
        let metadata = entries.iter().map(|entry| entry.metadata().expect("metadata"));
        metadata
            .enumerate()
            .map(|(at, metadata)| crate::files::identity(&metadata).unwrap_or((0, at as u64)))
            .collect::<BTreeSet<_>>()
            .len()
    }

    #[test]
    fn each_image_is_what_it_would_be_in_a_file_of_its_own() {
        for count in [1, 2, MOST, MOST + 1, 3 * MOST] {
            let store = TestStore::new();
            let (base, first, steps, configs) = steps(&store, count);
            store.add_images(&first, Some(&base), &steps).expect("added");
            if cfg!(unix) {
                assert_eq!(files(&store), 1 + count.div_ceil(MOST));
            }
            let mut parent = base;
            for ((id, _), config) in steps.iter().zip(&configs) {
                let image = store.image(id).expect("image").expect("there");
                assert_eq!(
                    (image.id, &image.config, image.parent, image.intermediate),
                    (*id, config, Some(parent), true)
                );
                assert_eq!(store.manifest(id).expect("manifest").0, {
                    let alone = TestStore::new();
                    alone.make_image(&["1"], None, false);
                    alone.add_image(config, None, true).and_then(|id| alone.manifest(&id)).expect("manifest").0
                });
                parent = *id;
            }
            assert_eq!(store.images().expect("images").len(), 1 + count);
            assert!(store.check(crate::CheckOptions::default()).expect("checked").damages.is_empty());
        }
    }

    #[test]
    fn one_of_them_can_become_a_result_be_removed_and_come_back() {
        let store = TestStore::new();
        let (base, first, steps, configs) = steps(&store, 5);
        store.add_images(&first, Some(&base), &steps).expect("added");
        let id = |at: usize| steps[at].0;
        store.tag(&id(2), &"named".parse().expect("name")).expect("tag");
        store.remove_image(&id(4).to_string(), RemoveOptions::default()).expect("removed");
        let there = || steps.iter().map(|(id, _)| store.image(id).expect("image").is_some()).collect::<Vec<_>>();
        assert_eq!(there(), [true, true, true, false, false]);
        assert!(!store.image(&id(2)).expect("image").expect("there").intermediate);
        store.add_images(&first, Some(&base), &steps).expect("added");
        assert_eq!(there(), [true; 5]);
        assert_eq!(store.image(&id(4)).expect("image").expect("there").config, configs[4]);
        assert!(!store.image(&id(2)).expect("image").expect("there").intermediate);
    }

    #[test]
    fn damage_is_found_in_whatever_it_hits() {
        let store = TestStore::new();
        let (base, first, steps, _) = steps(&store, 3);
        store.add_images(&first, Some(&base), &steps).expect("added");
        let whole = fs::read_to_string(store.record_path(&steps[1].0)).expect("read");
        for damaged in
            ["", "{}", &whole[..whole.len() - 1], &whole.replace("N0", "N9"), &whole.replace("linux", "Linux")]
        {
            if damaged == whole {
                continue;
            }
            for (id, _) in &steps {
                assert!(record(id, damaged.as_bytes()).is_none(), "{damaged}");
            }
        }
        assert!(record(&base, whole.as_bytes()).is_none());
    }

    #[test]
    fn numbers_that_do_not_survive_reading_do_no_harm() {
        let store = TestStore::new();
        let (_, first, _, _) = steps(&store, 0);
        let text =
            String::from_utf8(first.to_json()).expect("text").replacen('{', r#"{"number":1.7976931348623157e+308,"#, 1);
        let mut config = ImageConfig::parse(text.as_bytes()).expect("valid");
        config.unknown.insert("another".to_owned(), serde_json::json!(5e-324_f64));
        let mut after = config.clone();
        let step = EmptyStep { edit: Edit::User("a".to_owned()), created: None, history: History::default() };
        step.apply(&mut after);
        store.add_images(&config, None, &[(after.id(), step)]).expect("added");
        assert!(store.image(&after.id()).expect("image").is_some());
    }

    #[test]
    fn without_their_layers_there_are_none() {
        let store = TestStore::new();
        let (base, mut first, steps, _) = steps(&store, 2);
        first.rootfs.diff_ids.push(Digest::of("missing"));
        assert!(matches!(store.add_images(&first, Some(&base), &steps), Err(crate::Error::MissingBlob { .. })));
    }
}
