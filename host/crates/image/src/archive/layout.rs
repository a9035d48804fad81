//! OCI's image layout: `index.json`, and the manifests and indexes that it leads to.

use std::collections::HashSet;

use kiln_types::{Digest, Platform, Reference};

use super::blobs::Blobs;
use super::load::{Entry, Image, Index};
use super::{NAME_ANNOTATION, REF_NAME_ANNOTATION};
use crate::config::ImageConfig;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Manifest, ManifestList, is_image_config, is_manifest, is_manifest_list};

/// Indexes may hold indexes; nobody needs more than this.
const MAX_DEPTH: usize = 4;
/// Marks what describes another manifest and is no image itself.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What an `index.json` names; several names of one manifest or index become one entry.
pub(super) fn load(index: &[u8], blobs: &mut Blobs<'_>) -> Result<Vec<Entry>> {
    let mut entries: Vec<(Digest, Entry)> = Vec::new();
    let mut unknown = None;
    for descriptor in ManifestList::parse(index)?.manifests {
        if descriptor.annotations.contains_key(REFERENCE_TYPE) {
            continue;
        }
        let (names, tags) = names(&descriptor);
        if let Some((_, known)) = entries.iter_mut().find(|(digest, _)| *digest == descriptor.digest) {
            known.names.extend(names);
            known.tags.extend(tags);
        } else if is_manifest(&descriptor.media_type) {
            let image = match manifest(&descriptor, blobs)? {
                Described::Image(image) => image,
                Described::Artifact(manifest) => {
                    let kind = manifest.config.media_type;
                    let reason = format!("what it holds is no image but an artifact of type `{kind}`");
                    return Err(Error::Archive { reason });
                }
            };
            entries.push((descriptor.digest, Entry { names, tags, image, index: None }));
        } else if is_manifest_list(&descriptor.media_type) {
            let mut listed = Listed::default();
            listed.collect(&descriptor, blobs, MAX_DEPTH)?;
            let (index, image) = listed.entry(descriptor.digest)?;
            entries.push((descriptor.digest, Entry { names, tags, image, index: Some(index) }));
        } else {
            unknown = Some(descriptor.media_type);
        }
    }
    if let Some(media_type) = unknown.filter(|_| entries.is_empty()) {
        let reason = format!("what it holds is no image but a document of the unknown type `{media_type}`");
        return Err(Error::Archive { reason });
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

enum Described {
    Image(Image),
    Artifact(Manifest),
}

fn manifest(descriptor: &Descriptor, blobs: &mut Blobs<'_>) -> Result<Described> {
    let bytes = blobs.document("manifest", descriptor)?;
    let manifest = Manifest::parse(&bytes)?;
    if !is_image_config(&manifest.config.media_type) {
        return Ok(Described::Artifact(manifest));
    }
    let config = ImageConfig::parse(&blobs.document("configuration", &manifest.config)?)?;
    Ok(Described::Image(Image { bytes, manifest, diff_ids: config.rootfs.diff_ids }))
}

/// What an index leads to.
#[derive(Default)]
struct Listed {
    /// With the descriptors that the index has for them.
    images: Vec<(Descriptor, Image)>,
    /// Of manifests that are no images.
    blobs: Vec<Digest>,
    /// Images that the archive has not.
    absent: Vec<Descriptor>,
    seen: HashSet<Digest>,
}

impl Listed {
    fn collect(&mut self, index: &Descriptor, blobs: &mut Blobs<'_>, depth: usize) -> Result<()> {
        if depth == 0 {
            return Err(Error::Archive { reason: "its indexes are nested too deeply".to_owned() });
        }
        for descriptor in ManifestList::parse(&blobs.document("index", index)?)?.manifests {
            if !self.seen.insert(descriptor.digest) {
                continue;
            }
            let unknown = descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
            let is_image = !unknown && !descriptor.annotations.contains_key(REFERENCE_TYPE);
            if !blobs.has(&descriptor.digest) {
                // Archives of some platforms of an image keep its index as it was.
                self.absent.extend(is_image.then_some(descriptor));
            } else if is_manifest_list(&descriptor.media_type) {
                self.collect(&descriptor, blobs, depth - 1)?;
            } else if is_manifest(&descriptor.media_type) {
                match manifest(&descriptor, blobs)? {
                    Described::Image(image) if is_image => self.images.push((descriptor, image)),
                    Described::Image(Image { manifest, .. }) | Described::Artifact(manifest) => {
                        self.blobs.push(manifest.config.digest);
                        self.blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
                    }
                }
            }
        }
        Ok(())
    }

    /// The names stand for the image of this host's platform, or of WASI, or the first there is.
    fn entry(mut self, digest: Digest) -> Result<(Index, Image)> {
        if self.images.is_empty() {
            return Err(match self.absent.first() {
                Some(absent) => Error::IncompleteArchive { what: "manifest", digest: absent.digest },
                None => Error::Archive { reason: format!("its index {digest} has no image") },
            });
        }
        let list = ManifestList::new(self.images.iter().map(|(descriptor, _)| descriptor.clone()).collect());
        let chosen = list.choose(&Platform::host()).or_else(|| list.choose(&Platform::wasi()));
        let at = chosen.and_then(|chosen| list.manifests.iter().position(|listed| listed == chosen)).unwrap_or(0);
        let (_, image) = self.images.remove(at);
        let others = self.images.into_iter().map(|(_, image)| image).collect();
        Ok((Index { digest, others, blobs: self.blobs }, image))
    }
}

/// containerd's annotation, or a reference name that is more than a tag; else the tag. Tools that derive an image may
/// leave the name and change the tag beside it: that is the newer one.
fn names(descriptor: &Descriptor) -> (Vec<Reference>, Vec<String>) {
    let short = descriptor.annotations.get(REF_NAME_ANNOTATION);
    let (whole, tag) = match short {
        Some(name) if name.contains(['/', ':']) => (Some(name), None),
        short => (None, short),
    };
    let full = descriptor.annotations.get(NAME_ANNOTATION).or(whole);
    let Some(name) = full.and_then(|full| full.parse::<Reference>().ok()) else {
        return (Vec::new(), tag.into_iter().cloned().collect());
    };
    let renamed = tag.and_then(|tag| format!("{}/{}:{tag}", name.registry, name.repository).parse().ok());
    (vec![renamed.unwrap_or_else(|| name.with_default_tag())], Vec::new())
}
