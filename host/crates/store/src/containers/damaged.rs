//! Containers whose record cannot be read: that they are there is told all the same, and they can be removed.

use std::path::Path;

use kiln_types::Digest;

use super::{ContainerFolder, ContainerRecord, FOLDER, MAX_RECORD, NAMES, is_id, short};
use crate::{Error, Result, Store, files, names};

/// What is left of a container without its record.
#[derive(Debug, Clone)]
pub struct DamagedContainer {
    pub id: String,
    /// If a file of names still leads to it.
    pub name: Option<String>,
    /// Its record is made up: a lock and a folder need no more of one than what it is called.
    folder: ContainerFolder,
}

impl DamagedContainer {
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether somebody runs it.
    pub fn is_locked(&self) -> Result<bool> {
        self.folder.is_locked()
    }

    /// Returns when nobody runs it any more.
    pub fn wait(&self) -> Result<()> {
        self.folder.wait()
    }
}

impl Store {
    /// The one that is meant by an id, its beginning, or a name.
    pub fn damaged_container(&self, text: &str) -> Result<Option<DamagedContainer>> {
        let name = text.strip_prefix('/').unwrap_or(text);
        let damaged = self.damaged_containers()?;
        let is_it = |one: &&DamagedContainer| one.id == name || one.name.as_deref() == Some(name);
        if let Some(found) = damaged.iter().find(is_it) {
            return Ok(Some(found.clone()));
        }
        let mut matching = damaged.into_iter().filter(|one| !name.is_empty() && one.id.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => Err(Error::AmbiguousContainer { prefix: name.to_owned() }),
            (found, _) => Ok(found),
        }
    }

    /// Removes one that nobody runs.
    ///
    /// # Errors
    /// `ContainerRuns`; `NoSuchContainer` if it was removed meanwhile.
    pub fn remove_damaged_container(&self, container: DamagedContainer) -> Result<()> {
        self.remove_container(container.folder)
    }

    pub(super) fn damaged_containers(&self) -> Result<Vec<DamagedContainer>> {
        Ok(self.containers_and_damaged()?.1)
    }

    /// The container in a folder that has no record, unless that is none, or it went away.
    pub(super) fn damaged_with_id(&self, id: &str) -> Option<DamagedContainer> {
        let path = self.root().join(FOLDER).join(id);
        if !is_id(id) || !path.is_dir() {
            return None;
        }
        let name = self.name_of_damaged(id);
        let called = name.clone().unwrap_or_else(|| short(id).to_owned());
        let record =
            ContainerRecord { id: id.to_owned(), name: called, image: Digest::of(""), created: 0, volumes: Vec::new() };
        Some(DamagedContainer { id: id.to_owned(), name, folder: ContainerFolder { record, path } })
    }

    fn name_of_damaged(&self, id: &str) -> Option<String> {
        let entries = self.entries(&format!("{FOLDER}/{NAMES}")).ok()?;
        let entry = entries.into_iter().find(|entry| {
            files::read_small(&entry.path(), MAX_RECORD).is_some_and(|content| content == id.as_bytes())
        })?;
        names::decoded(entry.file_name().to_str()?)
    }
}
