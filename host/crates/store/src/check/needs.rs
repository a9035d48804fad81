//! What depends on what: images that are not whole, names that lead nowhere.

use std::collections::HashSet;

use kiln_image::Manifest;
use kiln_types::Digest;

use super::look::{Look, Thing};
use crate::unnamed;

impl Look {
    /// Finds what is wrong though every file may be what it should be.
    pub(super) fn compare(&mut self) {
        let lost: HashSet<Digest> = self.layers().filter(|layer| self.forms(layer).is_empty()).collect();
        let mut lost: Vec<Digest> = lost.into_iter().collect();
        lost.sort_unstable();
        for layer in lost {
            // What is wrong with a blob that is there has been said.
            let said = self.found.iter().any(|found| found.thing == Thing::Blob(layer));
            if !said {
                self.add(format!("layer {}", layer.short()), "no blob has it", Thing::Layer(layer));
            }
        }
        let mut manifests = Vec::new();
        for (id, (record, _)) in &self.records {
            let Some(descriptor) = &record.manifest else { continue };
            let problem = match self.manifests.get(&descriptor.digest) {
                None => Some("its manifest is missing or damaged".to_owned()),
                Some(manifest) => self.missing(manifest),
            };
            manifests.extend(problem.map(|problem| (*id, problem)));
        }
        for (image, problem) in manifests {
            let shown = self.shown(&image);
            self.add(format!("image {shown}"), problem, Thing::Manifest { image });
        }
        let mut names = Vec::new();
        for (name, kept) in &self.names {
            if !self.records.contains_key(&kept.id) {
                names.push((name.clone(), "its image is missing", Thing::NameWithoutImage(name.clone())));
            } else if kept.index.is_some_and(|index| !self.indexes.contains_key(&index)) {
                let problem = "the index of its platforms is missing or damaged";
                names.push((name.clone(), problem, Thing::NameWithoutIndex(name.clone())));
            }
        }
        for (name, problem, thing) in names {
            let what = match name.digest.filter(|_| unnamed::is_unnamed(&name)) {
                Some(index) => format!("index {}", index.short()),
                None => format!("name {}", name.familiar()),
            };
            self.add(what, problem, thing);
        }
    }

    fn layers(&self) -> impl Iterator<Item = Digest> {
        self.records.values().flat_map(|(_, config)| config.rootfs.diff_ids.iter().copied())
    }

    /// Good blobs that a layer is in.
    fn forms(&self, diff_id: &Digest) -> Vec<Digest> {
        let sources = self.sources.get(diff_id).into_iter().flatten();
        let all = sources.chain([diff_id]).filter(|blob| self.blobs.contains_key(*blob));
        all.copied().collect()
    }

    /// What a manifest lists and the store does not have, as far as it cannot be made again.
    fn missing(&self, manifest: &Manifest) -> Option<String> {
        let gone = manifest.layers.iter().find(|layer| {
            let there = self.blobs.get(&layer.digest).is_some_and(|size| *size == layer.size);
            !there && !self.can_be_made(&layer.digest)
        });
        gone.map(|layer| format!("blob {} of its manifest is missing or damaged", layer.digest))
    }

    /// A tar that can be decompressed once more, or a config that its record holds.
    pub(super) fn can_be_made(&self, blob: &Digest) -> bool {
        self.records.contains_key(blob) || self.forms(blob).iter().any(|form| form != blob)
    }

    /// Shown: those that are not whole without it.
    pub(super) fn images_that_need(&self, thing: &Thing) -> Vec<String> {
        let needs = |id: &Digest, blob: &Digest| {
            let (record, config) = &self.records[id];
            let of_layer = config.rootfs.diff_ids.iter().any(|layer| {
                let said = self.sources.get(layer).is_some_and(|sources| sources.contains(blob));
                (layer == blob || said) && self.forms(layer).is_empty()
            });
            let manifest = record.manifest.as_ref().map(|manifest| manifest.digest);
            let listed = manifest.and_then(|manifest| self.manifests.get(&manifest)).is_some_and(|manifest| {
                manifest.layers.iter().any(|layer| layer.digest == *blob) && !self.can_be_made(blob)
            });
            of_layer || manifest == Some(*blob) || listed
        };
        let ids: Vec<&Digest> = match thing {
            Thing::Blob(blob) => self.records.keys().filter(|id| needs(id, blob)).collect(),
            Thing::Layer(layer) => {
                let has = |(_, (_, config)): &(&Digest, &(_, kiln_image::ImageConfig))| {
                    config.rootfs.diff_ids.contains(layer)
                };
                self.records.iter().filter(has).map(|(id, _)| id).collect()
            }
            Thing::Record(id) | Thing::Manifest { image: id } => vec![id],
            _ => Vec::new(),
        };
        let mut shown: Vec<String> = ids.into_iter().map(|id| self.shown(id)).collect();
        shown.sort_unstable();
        shown.dedup();
        shown
    }
}
