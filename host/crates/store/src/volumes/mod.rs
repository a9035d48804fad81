//! Volumes: directories that outlive containers. What is in them is the user's, and nothing but a removal by name, or a
//! prune of those that no container has, ever deletes it.
//!
//! ```text
//! volumes/<name>/record.json
//! volumes/<name>/_data
//! ```

mod damage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kiln_types::Digest;
use serde::{Deserialize, Serialize};

use crate::containers::is_plain_name;
use crate::files::{self, Durability};
use crate::space::measure;
use crate::{ContainerRecord, Error, Result, Store, names};

pub(crate) use damage::Problem;

pub(crate) const FOLDER: &str = "volumes";
const DATA: &str = "_data";
const RECORD: &str = "record.json";
const MAX_RECORD: u64 = 1 << 20;
/// Docker's mark of volumes that nobody gave a name.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    /// Nanoseconds since 1970.
    pub created: i64,
    pub labels: BTreeMap<String, String>,
    /// Nobody gave it its name.
    pub anonymous: bool,
    data: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    name: String,
    created: i64,
    labels: BTreeMap<String, String>,
}

impl Volume {
    /// The directory that containers see.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What its files occupy.
    pub fn bytes(&self) -> u64 {
        measure(&self.data).bytes
    }
}

impl Store {
    /// The volume of that name, made where there is none; without a name a new anonymous one.
    pub fn create_volume(&self, name: Option<&str>, labels: &BTreeMap<String, String>) -> Result<Volume> {
        let mut labels = labels.clone();
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                labels.insert(ANONYMOUS.to_owned(), String::new());
                random_name()?
            }
        };
        check_name(&name)?;
        if let Some(existing) = self.find_volume(&name) {
            return Ok(existing);
        }
        let record = Record { name, created: now(), labels };
        let scratch = self.scratch()?;
        let fresh = scratch.path().join("volume");
        let data = fresh.join(DATA);
        let made = files::make_private_directory(&fresh, false).and_then(|()| make_data(&data));
        made.map_err(|source| self.io("create", &data, source))?;
        self.write_json(&fresh.join(RECORD), &record, Durability::WhenNeeded)?;

        let _lock = self.lock_images()?;
        if let Some(existing) = self.find_volume(&record.name) {
            return Ok(existing);
        }
        let path = self.volume_path(&record.name);
        fs::rename(&fresh, &path).map_err(|source| self.io("put in place", &path, source))?;
        Ok(volume(record, &path))
    }

    /// Every volume, by name. What is damaged is none; a check tells of it.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let mut found: Vec<Volume> =
            self.entries(FOLDER)?.into_iter().filter_map(|entry| self.read_volume(&entry.path())).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    pub fn volume(&self, name: &str) -> Result<Volume> {
        self.find_volume(name).ok_or_else(|| Error::NoSuchVolume { name: name.to_owned() })
    }

    /// Removes a volume that no container has. With `force` it need not exist.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let session = self.session()?;
        let _lock = self.lock_images()?;
        let Some(volume) = self.find_volume(name) else {
            return if force { Ok(()) } else { Err(Error::NoSuchVolume { name: name.to_owned() }) };
        };
        let users = self.volume_users()?.remove(&volume.name).unwrap_or_default();
        if !users.is_empty() {
            return Err(Error::VolumeInUse { name: volume.name, containers: users });
        }
        self.discard_volume(&volume, &session.unused_path())
    }

    /// Removes those of a removed container's volumes that are anonymous and that no other container has. Answers their
    /// names.
    pub fn remove_anonymous_volumes(&self, of: &ContainerRecord) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for volume in of.volumes.iter().filter_map(|name| self.find_volume(name)).filter(|volume| volume.anonymous) {
            match self.remove_volume(&volume.name, true) {
                Ok(()) => removed.push(volume.name),
                Err(Error::VolumeInUse { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Gives an empty volume its first files: `fill` writes them, whole or not at all. Answers whether it was empty.
    pub fn fill_volume(&self, volume: &Volume, fill: &dyn Fn(&Path) -> io::Result<()>) -> Result<bool> {
        let is_empty = || files::list(&volume.data).is_ok_and(|entries| entries.is_empty());
        if !is_empty() {
            return Ok(false);
        }
        let scratch = self.scratch()?;
        let fresh = scratch.path().join("data");
        let failed = |source| self.io("fill", &volume.data, source);
        let metadata = fs::metadata(&volume.data).map_err(failed)?;
        fs::create_dir(&fresh).map_err(failed)?;
        fs::set_permissions(&fresh, metadata.permissions()).map_err(failed)?;
        fill(&fresh).map_err(failed)?;
        let _lock = self.lock_images()?;
        if self.find_volume(&volume.name).is_none() {
            return Err(Error::NoSuchVolume { name: volume.name.clone() });
        }
        // Of two that fill it at the same time, one comes too late.
        if !is_empty() {
            return Ok(false);
        }
        if self.volume_users()?.contains_key(&volume.name) {
            // Those that run have this very directory.
            return put_into(&fresh, &volume.data).map(|()| true).map_err(failed);
        }
        if !cfg!(unix) {
            // There, no directory takes the place of another.
            fs::remove_dir(&volume.data).map_err(failed)?;
        }
        fs::rename(&fresh, &volume.data).map(|()| true).map_err(failed)
    }

    /// Ids of the containers that have each volume.
    pub fn volume_users(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for container in self.containers()? {
            for volume in container.record.volumes {
                let ids = users.entry(volume).or_default();
                if !ids.contains(&container.record.id) {
                    ids.push(container.record.id.clone());
                }
            }
        }
        Ok(users)
    }

    /// It is gone at once; its files go when this store is closed.
    fn discard_volume(&self, volume: &Volume, aside: &Path) -> Result<()> {
        let path = self.volume_path(&volume.name);
        fs::rename(&path, aside).map_err(|source| self.io("move", &path, source))
    }

    fn find_volume(&self, name: &str) -> Option<Volume> {
        if is_plain_name(name) { self.read_volume(&self.volume_path(name)) } else { None }
    }

    /// The volume in that folder, if there is one and it belongs there.
    fn read_volume(&self, path: &Path) -> Option<Volume> {
        let record = self.volume_record(path)?;
        let is_whole = fs::symlink_metadata(path.join(DATA)).is_ok_and(|metadata| metadata.is_dir());
        is_whole.then(|| volume(record, path))
    }

    fn volume_record(&self, path: &Path) -> Option<Record> {
        let bytes = files::read_small(&path.join(RECORD), MAX_RECORD)?;
        let record = serde_json::from_slice::<Record>(&bytes).ok()?;
        (is_plain_name(&record.name) && self.volume_path(&record.name) == path).then_some(record)
    }

    fn volume_path(&self, name: &str) -> PathBuf {
        // Elsewhere files' names may not tell upper from lower case, and some are taken.
        let folder = if cfg!(target_os = "linux") { name.to_owned() } else { format!("v-{}", names::encoded(name)) };
        self.root().join(FOLDER).join(folder)
    }
}

fn volume(record: Record, path: &Path) -> Volume {
    let Record { name, created, labels } = record;
    Volume { name, created, anonymous: labels.contains_key(ANONYMOUS), labels, data: path.join(DATA) }
}

/// Moves what is in `fresh` into `data`, which gets its owner and mode. What somebody makes there meanwhile stays.
fn put_into(fresh: &Path, data: &Path) -> io::Result<()> {
    for entry in files::list(fresh)? {
        let target = data.join(entry.file_name());
        if fs::symlink_metadata(&target).is_err() {
            fs::rename(entry.path(), target)?;
        }
    }
    let metadata = fs::metadata(fresh)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::os::unix::fs::chown(data, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    fs::set_permissions(data, metadata.permissions())
}

fn make_data(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    // Whoever the container's processes run as.
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    match name.len() {
        1 => Err(Error::ShortVolumeName { name: name.to_owned() }),
        _ if is_plain_name(name) => Ok(()),
        _ => Err(Error::InvalidVolumeName { name: name.to_owned() }),
    }
}

fn random_name() -> Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| Error::NoRandom)?;
    Ok(Digest::of(random).hex())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
