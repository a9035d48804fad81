//! Containers and volumes: nothing that a user may have put there is removed but a container that cannot be one any more.

use std::fs::{self, DirEntry, File};

use super::look::{Look, Thing, name_of};
use crate::containers::{self, ContainerRecord, NAMES};
use crate::{ContainerFolder, Error, Result, Store, locks, volumes};

impl Look {
    pub(super) fn look_at_containers(&mut self, store: &Store) -> Result<()> {
        for entry in store.entries(containers::FOLDER)? {
            let name = name_of(&entry);
            if name == NAMES {
                continue;
            }
            let what = format!("{}/{name}", containers::FOLDER);
            match store.container_with_id(&name)? {
                Some(container) => self.look_at_container(store, &container, what)?,
                None if is_locked(&entry) => {
                    self.add(what, "its record is damaged, and it runs", Thing::Container { runs: true });
                }
                None => self.add(what, "it is no container", Thing::Container { runs: false }),
            }
        }
        Ok(())
    }

    fn look_at_container(&mut self, store: &Store, container: &ContainerFolder, what: String) -> Result<()> {
        let ContainerRecord { id, name, image, volumes, .. } = &container.record;
        if !self.records.contains_key(image) {
            // Whoever was told that it is no more still has it for this one.
            match store.kept_record(image) {
                Some((record, config)) => {
                    drop(self.records.insert(*image, (crate::images::Record { manifest: None, ..record }, config)));
                }
                None => self.add(what.clone(), "its image is missing or damaged", Thing::ContainerWithoutImage),
            }
        }
        for volume in volumes {
            match store.volume(volume) {
                Ok(_) => {}
                Err(Error::NoSuchVolume { .. }) => {
                    let problem = format!("its volume {volume} is missing or damaged");
                    self.add(what.clone(), problem, Thing::ContainerWithoutVolume);
                }
                Err(error) => return Err(error),
            }
        }
        match store.container_named(name)? {
            Some(found) if found.record.id == *id => {}
            Some(_) => self.add(what, format!("another has its name {name}"), Thing::ContainerName(container.clone())),
            None => self.add(what, format!("its name {name} is lost"), Thing::ContainerName(container.clone())),
        }
        Ok(())
    }

    pub(super) fn look_at_volumes(&mut self, store: &Store) -> Result<()> {
        for entry in store.entries(volumes::FOLDER)? {
            let what = format!("{}/{}", volumes::FOLDER, name_of(&entry));
            match store.volume_problem(&entry.path()) {
                None => {}
                Some(problem @ volumes::Problem::NoVolume) => {
                    self.add(what, "it is no volume", Thing::Volume(problem));
                }
                Some(problem @ volumes::Problem::Record(_)) => {
                    self.add(what, "its record is damaged", Thing::Volume(problem));
                }
                Some(problem @ volumes::Problem::Data(_)) => {
                    self.add(what, "its directory is missing", Thing::Volume(problem));
                }
            }
        }
        Ok(())
    }
}

/// Of one whose record cannot be read.
fn is_locked(entry: &DirEntry) -> bool {
    let lock = entry.path().join(containers::LOCK);
    fs::symlink_metadata(&lock).is_ok_and(|metadata| metadata.is_file())
        && File::open(&lock).is_ok_and(|lock| !locks::try_shared(&lock).unwrap_or(true))
}

impl Store {
    /// Gives a container its name back, or a new one if another has it by now.
    pub(super) fn repair_container_name(&self, container: &ContainerFolder) -> Result<()> {
        let name = &container.record.name;
        match self.rename_container(container, name) {
            Err(Error::NameTaken { .. } | Error::InvalidContainerName { .. }) => {
                self.rename_container(container, &format!("container-{}", container.record.short_id()))
            }
            result => result,
        }
    }
}
