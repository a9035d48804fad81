//! Which containers there are, and from what people type to one of them.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use super::{ContainerFolder, ContainerRecord, DamagedContainer, FOLDER, MAX_RECORD, NAMES, is_id, short};
use crate::{Error, Result, Store, files, names};

impl Store {
    /// Every container, newest first, without those that are damaged.
    pub fn containers(&self) -> Result<Vec<ContainerFolder>> {
        Ok(self.containers_and_damaged()?.0)
    }

    /// Every container, newest first, and those whose record cannot be read.
    pub fn containers_and_damaged(&self) -> Result<(Vec<ContainerFolder>, Vec<DamagedContainer>)> {
        let (mut found, mut damaged) = (Vec::new(), Vec::new());
        for id in self.entries(FOLDER)?.into_iter().filter_map(|entry| entry.file_name().into_string().ok()) {
            match self.container_with_id(&id)? {
                Some(folder) => found.push(folder),
                None => damaged.extend(self.damaged_with_id(&id)),
            }
        }
        found.sort_by(|one, other| {
            let key = |folder: &ContainerFolder| Reverse(folder.record.created);
            key(one).cmp(&key(other)).then_with(|| one.record.id.cmp(&other.record.id))
        });
        Ok((found, damaged))
    }

    /// From what people type, in Docker's order: an id, a name, else the beginning of an id that no other has.
    pub fn container(&self, text: &str) -> Result<ContainerFolder> {
        let name = text.strip_prefix('/').unwrap_or(text);
        let found = match self.container_with_id(name)? {
            None => self.container_named(name)?,
            found => found,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let all = self.containers()?;
        let missing = || match self.damaged_container(text) {
            Ok(Some(damaged)) => Error::DamagedContainer { name: text.to_owned(), id: short(&damaged.id).to_owned() },
            Ok(None) => Error::NoSuchContainer { name: text.to_owned() },
            Err(error) => error,
        };
        // Its file was lost.
        if let Some(found) = all.iter().find(|folder| folder.record.name == name) {
            return Ok(found.clone());
        }
        if name.is_empty() {
            return Err(missing());
        }
        let mut matching = all.into_iter().filter(|folder| folder.record.id.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(found), None) => Ok(found),
            (None, _) => Err(missing()),
            (Some(_), Some(_)) => Err(Error::AmbiguousContainer { prefix: name.to_owned() }),
        }
    }

    /// `None` if there is none, or its record is damaged.
    pub(crate) fn container_with_id(&self, id: &str) -> Result<Option<ContainerFolder>> {
        if !is_id(id) {
            return Ok(None);
        }
        let path = self.root().join(FOLDER).join(id);
        Ok(ContainerRecord::read(&path)?.map(|record| ContainerFolder { record, path }))
    }

    pub(crate) fn container_named(&self, name: &str) -> Result<Option<ContainerFolder>> {
        Ok(self.name_in(&self.container_name_path(name))?.filter(|folder| folder.record.name == name))
    }

    /// The container that a file of names leads to, if it agrees.
    pub(crate) fn name_in(&self, path: &Path) -> Result<Option<ContainerFolder>> {
        let id = files::read_small_surely(path, MAX_RECORD).map_err(|source| self.io("read", path, source))?;
        let Some(id) = id.and_then(|id| String::from_utf8(id).ok()) else { return Ok(None) };
        let found = self.container_with_id(&id)?;
        Ok(found.filter(|found| self.container_name_path(&found.record.name) == path))
    }

    pub(super) fn container_name_path(&self, name: &str) -> PathBuf {
        // What is no name must not lead out of the folder.
        let file = if super::is_plain_name(name) { names::encoded(name) } else { "-".to_owned() };
        self.root().join(FOLDER).join(NAMES).join(file)
    }
}
