//! What can be wrong with a volume, and what can be done about it without losing what is in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{DATA, RECORD, Record, make_data, now};
use crate::containers::is_plain_name;
use crate::files::{self, Durability};
#[cfg(not(target_os = "linux"))]
use crate::names;
use crate::{Result, Store};

/// What is wrong with something among the volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It cannot be one: nobody but the user knows what it is.
    NoVolume,
    /// That of the volume in this folder.
    Record(PathBuf),
    /// The directory of the volume in this folder.
    Data(PathBuf),
}

impl Store {
    pub(crate) fn volume_problem(&self, path: &Path) -> Option<Problem> {
        let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let can_be_one = is_directory(path) && self.volume_name(path).is_some();
        match (can_be_one, self.volume_record(path).is_some(), is_directory(&path.join(DATA))) {
            (false, ..) | (true, false, false) => Some(Problem::NoVolume),
            (true, false, true) => Some(Problem::Record(path.to_owned())),
            (true, true, false) => Some(Problem::Data(path.to_owned())),
            (true, true, true) => None,
        }
    }

    pub(crate) fn repair_volume(&self, problem: &Problem) -> Result<()> {
        match problem {
            Problem::NoVolume => Ok(()),
            Problem::Record(path) => {
                let Some(name) = self.volume_name(path) else { return Ok(()) };
                let record = path.join(RECORD);
                files::remove_tree(&record).map_err(|source| self.io("remove the damaged", &record, source))?;
                let fresh = Record { name, created: now(), labels: BTreeMap::new() };
                self.write_json(&record, &fresh, Durability::Now)
            }
            Problem::Data(path) => {
                let data = path.join(DATA);
                make_data(&data).map_err(|source| self.io("create", &data, source))
            }
        }
    }

    /// What a volume in that folder would be called.
    fn volume_name(&self, path: &Path) -> Option<String> {
        let folder = path.file_name()?.to_str()?;
        #[cfg(target_os = "linux")]
        let name = folder.to_owned();
        #[cfg(not(target_os = "linux"))]
        let name = names::decoded(folder.strip_prefix("v-")?)?;
        (is_plain_name(&name) && self.volume_path(&name) == path).then_some(name)
    }
}
