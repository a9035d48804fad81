//! Collection of what nothing refers to, and how much there is.
//!
//! Marked are the blobs of every name and image record, and what step records refer to. A step record whose image or
//! layer is gone goes first. Everybody who has the store open keeps a shared lock, so while the exclusive one is held
//! nobody is writing a blob that nothing refers to yet.

use std::collections::HashSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use kiln_image::Manifest;
use kiln_image::config::MAX_DOCUMENT;
use kiln_types::Digest;
use serde::de::IgnoredAny;

use crate::locks::LockFile;
use crate::steps::StepRecord;
use crate::{Result, Store, files, locks};

/// What a collection freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Another kiln uses the store: nothing was collected, a later collection will.
    pub skipped: bool,
    pub files: u64,
    pub bytes: u64,
}

impl Store {
    /// Removes blobs, indexes and directories that no name, image or step record refers to, and step records whose
    /// image or layer is gone. Not while this process is building.
    pub fn collect(&self) -> Result<Collected> {
        let failed = |source| self.io("lock", self.root(), source);
        self.sync()?;
        self.in_use.unlock().map_err(failed)?;
        let alone = locks::try_exclusive(&self.in_use).map_err(failed);
        let result = match alone {
            Ok(true) => self.sweep(),
            Ok(false) => Ok(Collected { skipped: true, ..Collected::default() }),
            Err(error) => Err(error),
        };
        self.in_use.unlock().and_then(|()| locks::shared(&self.in_use)).map_err(failed)?;
        result
    }

    fn sweep(&self) -> Result<Collected> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut marks = Marks::default();
        self.mark_images(&mut marks)?;
        let mut freed = Collected::default();
        self.sweep_steps(&mut marks, &mut freed)?;

        let digest = |name: &str| Digest::from_hex(name).ok();
        let layer = |name: &str| digest(name.strip_suffix(".source").unwrap_or(name));
        let unmarked =
            |marked: &HashSet<Digest>, found: Option<Digest>| found.is_none_or(|digest| !marked.contains(&digest));
        self.sweep_directory("blobs/sha256", &mut freed, |name| unmarked(&marks.blobs, digest(name)))?;
        self.sweep_directory("layers", &mut freed, |name| unmarked(&marks.layers, layer(name)))?;
        for owners in self.entries("unpacked")? {
            let name = format!("unpacked/{}", owners.file_name().to_string_lossy());
            self.sweep_directory(&name, &mut freed, |name| unmarked(&marks.layers, digest(name)))?;
        }
        // Locks for one thing each that dead processes left. Nobody else can hold one now.
        for entry in self.entries("locks")? {
            if entry.file_name().to_string_lossy().contains('-') {
                drop(LockFile::try_acquire(entry.path()));
            }
        }
        Ok(freed)
    }

    fn mark_images(&self, marks: &mut Marks) -> Result<()> {
        let mut ids: HashSet<Digest> = HashSet::new();
        let mut manifests = HashSet::new();
        for id in self.image_ids()? {
            let Some(record) = self.load_record(&id)? else { continue };
            ids.insert(id);
            marks.blobs.insert(id);
            manifests.extend(record.manifest.as_ref().map(|manifest| manifest.digest));
            for diff_id in record.parse_config()?.rootfs.diff_ids {
                self.mark_layer(marks, &diff_id)?;
            }
        }
        for (name, kept) in self.all_names()? {
            if ids.contains(&kept.id) {
                manifests.extend(kept.manifest);
            } else {
                self.untag(&name)?;
            }
        }
        for manifest in manifests {
            marks.blobs.insert(manifest);
            // Where it is missing or no manifest, there is nothing more to keep for it.
            let parsed = self.read_blob(&manifest, MAX_DOCUMENT).ok().and_then(|bytes| Manifest::parse(&bytes).ok());
            if let Some(parsed) = parsed {
                marks.blobs.insert(parsed.config.digest);
                marks.blobs.extend(parsed.layers.iter().map(|layer| layer.digest));
            }
        }
        marks.images = ids;
        Ok(())
    }

    fn mark_layer(&self, marks: &mut Marks, diff_id: &Digest) -> Result<()> {
        if marks.layers.insert(*diff_id) {
            marks.blobs.extend(self.layer_blobs(diff_id)?);
        }
        Ok(())
    }

    fn sweep_steps(&self, marks: &mut Marks, freed: &mut Collected) -> Result<()> {
        for directory in self.entries("steps")? {
            for entry in files::list(&directory.path()).map_err(|source| self.io("list", &directory.path(), source))? {
                let bytes = files::read_optional(&entry.path()).ok().flatten().unwrap_or_default();
                let record = serde_json::from_slice::<StepRecord<IgnoredAny>>(&bytes).ok();
                let there = |digest: &Digest| {
                    marks.images.contains(digest) || self.layer_blobs(digest).is_ok_and(|blobs| !blobs.is_empty())
                };
                match record.filter(|record| record.refers_to.iter().all(there)) {
                    Some(record) => {
                        for digest in record
                            .refers_to
                            .iter()
                            .filter(|digest| !marks.images.contains(*digest))
                            .copied()
                            .collect::<Vec<_>>()
                        {
                            self.mark_layer(marks, &digest)?;
                        }
                    }
                    None => self.free(&entry.path(), freed)?,
                }
            }
        }
        Ok(())
    }

    fn sweep_directory(&self, name: &str, freed: &mut Collected, unmarked: impl Fn(&str) -> bool) -> Result<()> {
        for entry in self.entries(name)? {
            if entry.file_name().to_str().is_none_or(&unmarked) {
                self.free(&entry.path(), freed)?;
            }
        }
        Ok(())
    }

    fn free(&self, path: &Path, freed: &mut Collected) -> Result<()> {
        let part = measure(path);
        files::remove_tree(path).map_err(|source| self.io("remove", path, source))?;
        freed.files += part.files;
        freed.bytes += part.bytes;
        Ok(())
    }

    fn entries(&self, name: &str) -> Result<Vec<DirEntry>> {
        let directory = self.root().join(name);
        files::list(&directory).map_err(|source| self.io("list", &directory, source))
    }
}

#[derive(Default)]
struct Marks {
    images: HashSet<Digest>,
    blobs: HashSet<Digest>,
    /// Diff ids: their indexes and directory forms stay.
    layers: HashSet<Digest>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    pub files: u64,
    pub bytes: u64,
}

/// Numbers for `info` and `system df`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub images: u64,
    pub intermediate_images: u64,
    pub blobs: Part,
    pub indexes: Part,
    pub unpacked: Part,
    pub steps: Part,
    pub modules: Part,
}

impl Store {
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for id in self.image_ids()? {
            let Some(record) = self.load_record(&id)? else { continue };
            *(if record.intermediate { &mut usage.intermediate_images } else { &mut usage.images }) += 1;
        }
        let part = |name: &str| measure(&self.root().join(name));
        usage.blobs = part("blobs");
        usage.indexes = part("layers");
        usage.unpacked = part("unpacked");
        usage.steps = part("steps");
        usage.modules = part("modules");
        Ok(usage)
    }
}

/// Files and their bytes in a file or tree; what disappears meanwhile is not counted.
fn measure(path: &Path) -> Part {
    let mut part = Part::default();
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() {
            pending.extend(files::list(&path).unwrap_or_default().into_iter().map(|entry| entry.path()));
        } else {
            part.files += 1;
            part.bytes += metadata.len();
        }
    }
    part
}
