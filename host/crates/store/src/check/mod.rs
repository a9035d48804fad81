//! `system fsck`: is the store what it should be, and what can be done about it?
//!
//! ```text
//! look    reads everything, removes nothing, and says what is wrong with which file
//! needs   what depends on what: images that are not whole, names that lead nowhere
//! repair  makes again what can be made, removes what cannot
//! ```
//!
//! Looking is possible while others are at work; repairing is not. What is derived and checks itself each time it is
//! used (compiled modules, digests of context files) is left to that; directory forms of layers are not compared with
//! their layers, and a repair removes them.

mod containers;
mod look;
mod needs;
mod repair;

use std::fs::File;
use std::io::ErrorKind;

use kiln_types::Digest;
use rayon::prelude::*;

use crate::{Result, Store, volumes};
use look::{Found, Thing};

#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Do not read contents.
    pub quick: bool,
    pub repair: bool,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file below the store's folder, or what it is about.
    pub what: String,
    pub problem: String,
    /// Images that are not whole because of it: a name of each, or the beginning of its id.
    pub images: Vec<String>,
    /// What was done about it, or could be.
    pub repair: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    pub damages: Vec<Damage>,
    pub images: usize,
    pub blobs: usize,
    /// Of all blobs.
    pub bytes: u64,
    /// Damage that is still there: all of it, unless it was repaired.
    pub left: usize,
    /// It was not repaired because another kiln is at work.
    pub busy: bool,
}

impl Store {
    pub fn check(&self, options: CheckOptions) -> Result<Checked> {
        if !options.repair {
            let look = look::look(self, options.quick)?;
            let damages: Vec<Damage> = look.found.iter().map(|found| look.damage(found)).collect();
            let left = damages.len();
            return Ok(Checked { left, ..look.counted(damages) });
        }
        let repaired = self.alone(|| {
            self.refuse_what_is_not_ours()?;
            let look = look::look(self, options.quick)?;
            let damages = repair::repair(self, &look)?;
            if damages.is_empty() {
                return Ok(look.counted(damages));
            }
            // Contents that were bad are gone: what is left is whole, or missing.
            let again = look::look(self, true)?;
            Ok(Checked { left: again.found.len(), ..again.counted(damages) })
        })?;
        match repaired {
            Some(checked) => Ok(checked),
            None => Ok(Checked { busy: true, ..self.check(CheckOptions { repair: false, ..options })? }),
        }
    }

    /// What belongs to another user cannot be judged: all that needs it would seem to be damaged, and be removed.
    fn refuse_what_is_not_ours(&self) -> Result<()> {
        for folder in ["blobs/sha256", "images/by-id", "images/names"] {
            self.entries(folder)?.into_par_iter().try_for_each(|entry| match File::open(entry.path()) {
                Err(source) if source.kind() == ErrorKind::PermissionDenied => {
                    Err(self.io("repair what cannot be read,", &entry.path(), source))
                }
                _ => Ok(()),
            })?;
        }
        Ok(())
    }
}

impl look::Look {
    fn counted(&self, damages: Vec<Damage>) -> Checked {
        let bytes = self.blobs.values().sum();
        Checked { damages, images: self.records.len(), blobs: self.blobs.len(), bytes, ..Checked::default() }
    }

    fn damage(&self, found: &Found) -> Damage {
        let images = self.images_that_need(&found.thing);
        let repair = match &found.thing {
            Thing::Name(_) | Thing::NameWithoutImage(_) => "the name is removed by --repair",
            Thing::NameWithoutIndex(_) => "by --repair the name keeps the image of one platform",
            Thing::Manifest { .. } => "--repair gives the image a manifest of its own, with another digest",
            Thing::Layer(_) if images.is_empty() => "nothing needs it",
            Thing::Layer(_) | Thing::Record(_) => "pull, load or build the image again; --repair removes it",
            Thing::Blob(digest) if self.can_be_made(digest) => "it is made again by --repair",
            Thing::Blob(_) if images.is_empty() => "nothing needs it: --repair removes it",
            Thing::Blob(_) => "--repair removes it with the image: pull, load or build that again then",
            Thing::Derived => "it is made again when it is needed",
            Thing::Container { runs: true } => "`kiln rm -f` with its id ends and removes it",
            Thing::Container { runs: false } => "--repair removes it",
            Thing::ContainerName(_) => "--repair gives it a name again",
            Thing::ContainerWithoutImage => "build, pull or load the image again, or remove the container",
            Thing::ContainerWithoutVolume => "create the volume again, or remove the container",
            Thing::Volume(volumes::Problem::NoVolume) => "look whether you need it, and move it away",
            Thing::Volume(volumes::Problem::Record(_)) => "--repair writes it anew, without labels; the files stay",
            Thing::Volume(volumes::Problem::Data(_)) => "--repair makes it anew, empty",
        };
        Damage { what: found.what.clone(), problem: found.problem.clone(), images, repair: repair.to_owned() }
    }

    /// A name of the image, or the beginning of its id.
    fn shown(&self, id: &Digest) -> String {
        let name = self.names.iter().find(|(name, kept)| kept.id == *id && !crate::unnamed::is_unnamed(name));
        name.map_or_else(|| id.short(), |(name, _)| name.familiar())
    }
}
