//! Makes again what can be made, removes what cannot. Nobody else is at work.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use kiln_types::Digest;

use super::Damage;
use super::look::{Found, Look, Thing};
use crate::files::{self, Durability};
use crate::{Error, Result, Store, volumes};

/// Tells what was done about each damage.
pub(super) fn repair(store: &Store, look: &Look) -> Result<Vec<Damage>> {
    if look.found.is_empty() {
        return Ok(Vec::new());
    }
    // What was read before may be what is removed now.
    store.layers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for found in &look.found {
        remove(store, found)?;
    }
    for (layer, source) in &look.unnoted {
        store.add_source(layer, source)?;
    }
    let lost = lost_images(store, look)?;
    for id in &lost {
        store.remove_record(id)?;
        store.remove_kept_record(id)?;
    }
    for found in &look.found {
        match &found.thing {
            Thing::Manifest { image } if !lost.contains(image) => forget_manifest(store, look, image)?,
            Thing::NameWithoutIndex(name) => store.forget_index(name)?,
            _ => {}
        }
    }
    for (name, kept) in &look.names {
        if lost.contains(&kept.id) || !look.records.contains_key(&kept.id) {
            store.untag(name)?;
        }
    }
    let damages = look.found.iter().map(|found| done(look, found, &lost)).collect();
    store.sync()?;
    store.sweep_unpacked()?;
    Ok(damages)
}

fn remove(store: &Store, found: &Found) -> Result<()> {
    let path = match &found.thing {
        Thing::Blob(digest) => store.blob_path(digest),
        Thing::Record(_) | Thing::Name(_) | Thing::Derived => store.root().join(&found.what),
        Thing::Container { runs: false } => store.root().join(&found.what),
        Thing::ContainerName(container) => return store.repair_container_name(container),
        Thing::Volume(problem) => return store.repair_volume(problem),
        _ => return Ok(()),
    };
    files::remove_tree(&path).map_err(|source| store.io("remove the damaged", &path, source))
}

/// Makes layers again whose tar or index was removed. Answers which images cannot be made whole.
fn lost_images(store: &Store, look: &Look) -> Result<BTreeSet<Digest>> {
    let damaged: BTreeSet<Digest> = look.found.iter().flat_map(|found| layers_of(look, found)).collect();
    let mut lost_layers = BTreeSet::new();
    for layer in damaged {
        match store.layer(&layer) {
            Ok(_) => {}
            Err(error @ (Error::Full { .. } | Error::Io { .. })) => return Err(error),
            Err(_) => drop(lost_layers.insert(layer)),
        }
    }
    let has_lost = |layers: &[Digest]| layers.iter().any(|layer| lost_layers.contains(layer));
    let lost = look.records.iter().filter(|(_, (_, config))| has_lost(&config.rootfs.diff_ids));
    Ok(lost.map(|(id, _)| *id).collect())
}

/// Layers of images that have to be looked at again.
fn layers_of(look: &Look, found: &Found) -> Vec<Digest> {
    let layers: Vec<Digest> = match &found.thing {
        Thing::Blob(blob) => {
            let from = look.sources.iter().filter(|(_, sources)| sources.contains(blob));
            from.map(|(layer, _)| *layer).chain([*blob]).collect()
        }
        Thing::Layer(layer) => vec![*layer],
        Thing::Derived => {
            let hex = found.what.strip_prefix("layers/").and_then(|name| name.get(..64));
            hex.and_then(|hex| Digest::from_hex(hex).ok()).into_iter().collect()
        }
        _ => Vec::new(),
    };
    let has = |layer: &Digest| look.records.values().any(|(_, config)| config.rootfs.diff_ids.contains(layer));
    layers.into_iter().filter(has).collect()
}

/// The image is one that was made here from now on.
fn forget_manifest(store: &Store, look: &Look, image: &Digest) -> Result<()> {
    let Some((record, _)) = look.records.get(image) else { return Ok(()) };
    let mut record = record.clone();
    record.manifest = None;
    store.write_json(&store.record_path(image), &record, Durability::Now)?;
    store.manifest(image).map(drop)
}

fn done(look: &Look, found: &Found, lost: &BTreeSet<Digest>) -> Damage {
    let mut damage = look.damage(found);
    let lost: Vec<String> =
        lost.iter().map(|id| look.shown(id)).filter(|shown| damage.images.contains(shown)).collect();
    damage.repair = match &found.thing {
        _ if !lost.is_empty() => format!("removed, with {}", lost.join(", ")),
        Thing::Blob(digest) if look.can_be_made(digest) => "made again".to_owned(),
        Thing::Derived => "removed: it is made again when it is needed".to_owned(),
        Thing::Manifest { .. } => "the image has a manifest of its own now".to_owned(),
        Thing::NameWithoutIndex(_) => "the name keeps the image of one platform".to_owned(),
        Thing::ContainerName(_) => "it has a name again".to_owned(),
        Thing::Volume(volumes::Problem::Record(_)) => "written anew, without labels".to_owned(),
        Thing::Volume(volumes::Problem::Data(_)) => "made anew, empty".to_owned(),
        Thing::Container { runs: true }
        | Thing::ContainerWithoutImage
        | Thing::ContainerWithoutVolume
        | Thing::Volume(volumes::Problem::NoVolume) => damage.repair,
        Thing::Blob(_)
        | Thing::Record(_)
        | Thing::Name(_)
        | Thing::Layer(_)
        | Thing::NameWithoutImage(_)
        | Thing::Container { runs: false } => "removed".to_owned(),
    };
    damage
}
