//! How much there is.

use std::path::{Path, PathBuf};

use crate::{Result, Store, files};

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
    pub caches: Part,
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
        usage.caches = part("cache-mounts");
        Ok(usage)
    }
}

/// Files and their bytes in a file or tree; what disappears meanwhile is not counted.
pub(crate) fn measure(path: &Path) -> Part {
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
