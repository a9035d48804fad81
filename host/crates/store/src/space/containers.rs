//! Containers and volumes: what they occupy, and removing those that nobody needs. They are no cache: what is gone cannot
//! be made again, so no limit and no collection ever touches them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rayon::prelude::*;

use super::FRESH;
use crate::{ContainerFolder, Error, Result, Store, Volume};

#[derive(Debug, Clone)]
pub struct ContainerUsage {
    pub folder: ContainerFolder,
    pub running: bool,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUsage {
    pub volume: Volume,
    /// Ids of those that have it.
    pub containers: Vec<String>,
    pub bytes: u64,
}

/// Which volumes to remove, of those that no container has. All conditions have to hold.
#[derive(Clone, Copy, Default)]
pub struct VolumeWish<'a> {
    /// Also those that somebody gave a name.
    pub all: bool,
    pub labels: Option<super::LabelTest<'a>>,
    /// Ids of containers that are about to be removed, for who only wants to know what would go.
    pub without_containers: &'a [String],
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedVolumes {
    pub volumes: Vec<VolumeUsage>,
    /// Another kiln is at work: volumes that are younger than an hour stay, as it may be about to give them to a container.
    pub busy: bool,
}

impl Store {
    pub(super) fn container_usages(&self) -> Result<Vec<ContainerUsage>> {
        let usage = |folder: ContainerFolder| {
            Ok(ContainerUsage { running: folder.is_locked()?, bytes: folder.bytes(), folder })
        };
        self.containers()?.into_par_iter().map(usage).collect()
    }

    pub(super) fn volume_usages(&self) -> Result<Vec<VolumeUsage>> {
        let mut users = self.volume_users()?;
        let mut usages: Vec<VolumeUsage> = Vec::new();
        for volume in self.volumes()? {
            usages.push(VolumeUsage { containers: users.remove(&volume.name).unwrap_or_default(), volume, bytes: 0 });
        }
        usages.par_iter_mut().for_each(|usage| usage.bytes = usage.volume.bytes());
        Ok(usages)
    }

    /// The containers that nobody runs, of those that are wanted.
    pub fn stopped_containers(&self, wanted: &dyn Fn(&ContainerFolder) -> bool) -> Result<Vec<ContainerUsage>> {
        let mut usages = self.container_usages()?;
        usages.retain(|usage| !usage.running && wanted(&usage.folder));
        Ok(usages)
    }

    /// Removes volumes that no container has; with `dry_run` it only says which.
    pub fn prune_volumes(&self, wish: &VolumeWish<'_>, dry_run: bool) -> Result<PrunedVolumes> {
        let busy = !dry_run && self.alone(|| Ok(()))?.is_none();
        let settled =
            SystemTime::now().checked_sub(FRESH).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let is_settled = |volume: &Volume| {
            settled.is_some_and(|settled| u128::try_from(volume.created).is_ok_and(|at| at <= settled.as_nanos()))
        };
        let mut pruned = PrunedVolumes::default();
        for usage in self.volume_usages()?.into_iter().filter(|usage| wish.is_for(usage)) {
            if busy && !is_settled(&usage.volume) {
                pruned.busy = true;
                continue;
            }
            if !dry_run {
                match self.remove_volume(&usage.volume.name, true) {
                    Ok(()) => {}
                    // Since it was looked at.
                    Err(Error::VolumeInUse { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
            pruned.volumes.push(usage);
        }
        Ok(pruned)
    }
}

impl VolumeWish<'_> {
    fn is_for(&self, usage: &VolumeUsage) -> bool {
        let labels: &BTreeMap<String, String> = &usage.volume.labels;
        usage.containers.iter().all(|id| self.without_containers.contains(id))
            && (self.all || usage.volume.anonymous)
            && self.labels.is_none_or(|wanted| wanted(labels))
    }
}
