//! OCI's image layout: `index.json`, and the manifests that it leads to.

use kiln_types::{Platform, Reference};

use super::load::Blobs;
use super::{LoadedImage, NAME_ANNOTATION, REF_NAME_ANNOTATION};
use crate::config::ImageConfig;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Manifest, ManifestList, is_image_config, is_manifest, is_manifest_list};

/// Indexes may hold indexes; nobody needs more than this.
const MAX_DEPTH: usize = 4;
/// Marks what describes another manifest and is no image itself.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// All images of an `index.json`; several names of one manifest become one image.
pub(super) fn load(index: &[u8], blobs: &Blobs<'_>) -> Result<Vec<LoadedImage>> {
    let mut images: Vec<LoadedImage> = Vec::new();
    for descriptor in ManifestList::parse(index)?.manifests {
        if descriptor.annotations.contains_key(REFERENCE_TYPE) {
            continue;
        }
        let Some(manifest) = manifest(&descriptor, blobs)? else { continue };
        let name = name(&descriptor);
        if let Some(known) = images.iter_mut().find(|image| image.manifest == manifest) {
            known.names.extend(name);
            continue;
        }
        images.push(image(manifest, name.into_iter().collect(), blobs)?);
    }
    Ok(images)
}

/// The bytes of the manifest that a descriptor leads to, for this host; `None` where it is something else than an image.
fn manifest(descriptor: &Descriptor, blobs: &Blobs<'_>) -> Result<Option<Vec<u8>>> {
    let mut descriptor = descriptor.clone();
    for _ in 0..MAX_DEPTH {
        if is_manifest(&descriptor.media_type) {
            return blobs.read_described("manifest", &descriptor).map(Some);
        }
        if !is_manifest_list(&descriptor.media_type) {
            return Ok(None);
        }
        let list = ManifestList::parse(&blobs.read_described("index", &descriptor)?)?;
        descriptor = choose(&list)?.clone();
    }
    Err(Error::Archive { reason: "its indexes are nested too deeply".to_owned() })
}

/// This host's platform, or WASI, or the only one there is.
fn choose(list: &ManifestList) -> Result<&Descriptor> {
    let host = Platform::host();
    if let Some(chosen) = list.choose(&host).or_else(|| list.choose(&Platform::wasi())) {
        return Ok(chosen);
    }
    let is_image = |descriptor: &&Descriptor| !descriptor.annotations.contains_key(REFERENCE_TYPE);
    let images: Vec<_> = list.manifests.iter().filter(is_image).collect();
    match images[..] {
        [only] => Ok(only),
        _ => {
            let listed: Vec<_> =
                images.iter().filter_map(|image| image.platform.as_ref().map(Platform::to_string)).collect();
            let reason = format!("it has no image for {host}, only for: {}", listed.join(", "));
            Err(Error::Archive { reason })
        }
    }
}

fn image(bytes: Vec<u8>, names: Vec<Reference>, blobs: &Blobs<'_>) -> Result<LoadedImage> {
    let manifest = Manifest::parse(&bytes)?;
    if !is_image_config(&manifest.config.media_type) {
        let reason = format!("what it holds is no image but an artifact of type `{}`", manifest.config.media_type);
        return Err(Error::Archive { reason });
    }
    let config = ImageConfig::parse(&blobs.read_described("configuration", &manifest.config)?)?;
    blobs.check_layers(&manifest, &config)?;
    Ok(LoadedImage { names, manifest: bytes, config: manifest.config.digest })
}

/// containerd's annotation, or a reference name that is more than a tag.
fn name(descriptor: &Descriptor) -> Option<Reference> {
    let full = descriptor.annotations.get(NAME_ANNOTATION);
    let short = || descriptor.annotations.get(REF_NAME_ANNOTATION).filter(|name| name.contains(['/', ':']));
    Some(full.or_else(short)?.parse::<Reference>().ok()?.with_default_tag())
}
