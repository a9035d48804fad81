//! Containers, as far as the store has to know them: what they are called, what they need, whether they run.
//!
//! ```text
//! containers/<id>/record.json   what pins its image and its volumes
//! containers/<id>/lock          held by who runs it
//! containers/<id>/…             all else is the container library's
//! containers/names/<encoded>    the id
//! ```
//! A folder appears whole and disappears whole, by rename. What the record says counts: a file of names is believed only
//! if the container is there and has that name, so whatever ends a process, no name leads astray.

mod damaged;
mod find;
mod keep;
#[cfg(test)]
mod tests;

pub use damaged::DamagedContainer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use kiln_types::Digest;
use serde::{Deserialize, Serialize};

use crate::space::measure;
use crate::{Error, Result, files, locks};

pub(crate) const FOLDER: &str = "containers";
/// Of the names, beside the containers.
pub(crate) const NAMES: &str = "names";
pub(crate) const LOCK: &str = "lock";
const RECORD: &str = "record.json";
/// A record has a few hundred bytes, and some for each volume.
const MAX_RECORD: u64 = 1 << 20;
/// What does not grow with what a container does.
const BOOKKEEPING: [&str; 5] = [LOCK, RECORD, "spec.json", "state.json", "work"];

/// What the store knows of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    pub name: String,
    pub image: Digest,
    /// Nanoseconds since 1970.
    pub created: i64,
    /// Names of volumes that it uses.
    pub volumes: Vec<String>,
}

/// A container in the store. Its folder may go at any time unless it is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFolder {
    pub record: ContainerRecord,
    path: PathBuf,
}

/// As long as somebody has this, the container runs, or is being changed.
#[derive(Debug)]
pub struct ContainerLock {
    _file: File,
}

impl ContainerRecord {
    /// As lists show it.
    pub fn short_id(&self) -> &str {
        short(&self.id)
    }

    /// The record in that folder, if it is one and belongs there.
    fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(RECORD);
        let bytes = files::read_small_surely(&path, MAX_RECORD);
        let bytes = bytes.map_err(|source| Error::Io { action: "read", path, source })?;
        let record = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let belongs = |record: &Self| folder.file_name().is_some_and(|name| name == record.id.as_str());
        Ok(record.filter(|record| belongs(record) && is_id(&record.id)))
    }
}

impl ContainerFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the container, to run or to change it; `None` where somebody has it.
    ///
    /// # Errors
    /// `NoSuchContainer` if it was removed meanwhile.
    pub fn try_lock(&self) -> Result<Option<ContainerLock>> {
        let path = self.path.join(LOCK);
        let failed = |source| self.io("lock", source);
        let Some(file) = self.open_lock()? else { return Err(self.gone()) };
        while !locks::try_exclusive(&file).map_err(failed)? {
            if !locks::try_shared(&file).map_err(failed)? {
                return Ok(None);
            }
            // Somebody only looked whether it runs.
            file.unlock().map_err(failed)?;
            thread::sleep(Duration::from_micros(50));
        }
        if locks::is_at(&file, &path) { Ok(Some(ContainerLock { _file: file })) } else { Err(self.gone()) }
    }

    /// Whether somebody has it: then it runs, or is about to.
    pub fn is_locked(&self) -> Result<bool> {
        let Some(file) = self.open_lock()? else { return Ok(false) };
        Ok(!locks::try_shared(&file).map_err(|source| self.io("lock", source))?)
    }

    /// Returns when nobody has it any more.
    pub fn wait(&self) -> Result<()> {
        let Some(file) = self.open_lock()? else { return Ok(()) };
        locks::shared(&file).map_err(|source| self.io("lock", source))
    }

    /// What the container has written: its layer, its logs.
    pub fn bytes(&self) -> u64 {
        let counts = |entry: &std::fs::DirEntry| !BOOKKEEPING.iter().any(|name| entry.file_name() == *name);
        let entries = files::list(&self.path).unwrap_or_default();
        entries.iter().filter(|entry| counts(entry)).map(|entry| measure(&entry.path()).bytes).sum()
    }

    /// `None` where there is none: then nobody can hold it.
    fn open_lock(&self) -> Result<Option<File>> {
        let path = self.path.join(LOCK);
        match File::options().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Of a store that can only be read.
            Err(source) if locks::is_refusal(&source) => {
                File::open(&path).map(Some).map_err(|_| self.io("open", source))
            }
            Err(source) => Err(self.io("open", source)),
        }
    }

    fn gone(&self) -> Error {
        Error::NoSuchContainer { name: self.record.name.clone() }
    }

    fn io(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, path: self.path.join(LOCK), source }
    }
}

pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Docker's rule for names of containers and volumes; and so long that every host can have files of that name.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && (2..=128).contains(&name.len())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}
