//! Containers come, take another name, and go.

use std::fs;
use std::io;
use std::path::Path;

use super::{ContainerFolder, ContainerLock, ContainerRecord, FOLDER, LOCK, NAMES, RECORD, is_id, is_plain_name};
use crate::files::{self, Durability};
use crate::{Error, Result, Store, locks};

impl Store {
    /// Keeps a new container, whole or not at all; `fill` writes what else belongs into its folder before anybody sees
    /// it. From now on its image and its volumes stay.
    ///
    /// # Errors
    /// `NameTaken`, `InvalidContainerName`, `NoSuchImage`, `NoSuchVolume`, and what `fill` says.
    pub fn create_container(
        &self,
        record: &ContainerRecord,
        fill: &dyn Fn(&Path) -> io::Result<()>,
    ) -> Result<ContainerFolder> {
        check_name(&record.name)?;
        let path = self.root().join(FOLDER).join(&record.id);
        let failed = |action| move |path: &Path, source| self.io(action, path, source);
        if !is_id(&record.id) {
            return Err(failed("create")(&path, io::Error::other("an id has 64 hexadecimal digits")));
        }
        let scratch = self.scratch()?;
        let fresh = scratch.path().join("container");
        files::make_private_directory(&fresh, false).map_err(|source| failed("create")(&fresh, source))?;
        let lock = fresh.join(LOCK);
        locks::open(&lock).map_err(|source| failed("create")(&lock, source))?;
        fill(&fresh).map_err(|source| failed("write")(&fresh, source))?;
        self.write_json(&fresh.join(RECORD), record, Durability::WhenNeeded)?;

        let _lock = self.lock_images()?;
        self.existing_record(&record.image)?;
        for volume in &record.volumes {
            self.volume(volume)?;
        }
        self.check_free(&record.name)?;
        self.name_container(&record.name, &record.id)?;
        fs::rename(&fresh, &path).map_err(|source| failed("put in place")(&path, source))?;
        files::touch(&self.record_path(&record.image));
        Ok(ContainerFolder { record: record.clone(), path })
    }

    /// # Errors
    /// `NameTaken`, `InvalidContainerName`; `NoSuchContainer` if it was removed meanwhile.
    pub fn rename_container(&self, folder: &ContainerFolder, name: &str) -> Result<()> {
        check_name(name)?;
        let _lock = self.lock_images()?;
        let Some(current) = self.container_with_id(&folder.record.id)? else {
            return Err(Error::NoSuchContainer { name: folder.record.name.clone() });
        };
        if name != current.record.name || self.container_named(name)?.is_some_and(|found| found != current) {
            self.check_free(name)?;
        }
        self.name_container(name, &current.record.id)?;
        let before = current.record.name.clone();
        let record = ContainerRecord { name: name.to_owned(), ..current.record };
        self.write_json(&current.path.join(RECORD), &record, Durability::WhenNeeded)?;
        self.forget_name(&before)
    }

    /// Removes a container that nobody runs. It is gone at once; its files go when this store is closed.
    ///
    /// # Errors
    /// `ContainerRuns`; `NoSuchContainer` if it was removed meanwhile.
    pub fn remove_container(&self, folder: ContainerFolder) -> Result<()> {
        match folder.try_lock()? {
            Some(lock) => self.remove_locked_container(folder, lock),
            None => Err(Error::ContainerRuns { name: folder.record.name }),
        }
    }

    /// The same for who has it locked.
    pub fn remove_locked_container(&self, folder: ContainerFolder, lock: ContainerLock) -> Result<()> {
        let session = self.session()?;
        let _images = self.lock_images()?;
        if !cfg!(unix) {
            // There, what is open cannot be moved.
            drop(lock);
        }
        let name = self.container_with_id(&folder.record.id)?.map_or(folder.record.name, |found| found.record.name);
        let aside = session.unused_path();
        match fs::rename(&folder.path, &aside) {
            Ok(()) => self.forget_name(&name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoSuchContainer { name }),
            Err(source) => Err(self.io("move", &folder.path, source)),
        }
    }

    /// While the images are locked.
    fn check_free(&self, name: &str) -> Result<()> {
        match self.container_named(name)? {
            Some(other) => Err(Error::NameTaken { name: name.to_owned(), by: other.record.id }),
            None => Ok(()),
        }
    }

    /// Removes names of containers that are not there, which killed processes left. While the images are locked.
    pub(crate) fn tidy_container_names(&self) -> Result<()> {
        for entry in self.entries(&format!("{FOLDER}/{NAMES}"))? {
            let path = entry.path();
            if self.name_in(&path)?.is_none() {
                files::remove_tree(&path).map_err(|source| self.io("remove", &path, source))?;
            }
        }
        Ok(())
    }

    /// After a power loss: names that did not reach the disk.
    pub(crate) fn restore_container_names(&self) -> Result<()> {
        for folder in self.containers()? {
            let ContainerRecord { id, name, .. } = &folder.record;
            if is_plain_name(name) && self.container_named(name)?.is_none() {
                self.write_file(&self.container_name_path(name), id.as_bytes(), Durability::Now)?;
            }
        }
        Ok(())
    }

    fn name_container(&self, name: &str, id: &str) -> Result<()> {
        self.write_file(&self.container_name_path(name), id.as_bytes(), Durability::WhenNeeded)
    }

    /// Unless it is another container's by now.
    fn forget_name(&self, name: &str) -> Result<()> {
        if self.container_named(name)?.is_some() {
            return Ok(());
        }
        let path = self.container_name_path(name);
        files::remove_tree(&path).map_err(|source| self.io("remove", &path, source))
    }
}

fn check_name(name: &str) -> Result<()> {
    if is_plain_name(name) { Ok(()) } else { Err(Error::InvalidContainerName { name: name.to_owned() }) }
}
