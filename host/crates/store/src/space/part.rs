//! How much there is.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::{Result, Store, files};

/// What filesystems give out.
const BLOCK: u64 = 4096;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    pub files: u64,
    pub bytes: u64,
}

/// Numbers for `info`.
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
        for intermediate in self.look_at_images(|image| image.intermediate)? {
            *(if intermediate { &mut usage.intermediate_images } else { &mut usage.images }) += 1;
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

/// What a file of that length takes on a disk.
pub(crate) fn occupied(length: u64) -> u64 {
    length.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// Files and what they occupy in a file or tree, a file with several names once; what disappears meanwhile is not
/// counted.
pub(crate) fn measure(path: &Path) -> Part {
    let mut part = Part::default();
    let mut seen = HashSet::new();
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() {
            pending.extend(files::list(&path).unwrap_or_default().into_iter().map(|entry| entry.path()));
        } else if files::identity(&metadata).is_none_or(|identity| seen.insert(identity)) {
            part.files += 1;
            part.bytes += occupied(metadata.len());
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_and_each_file_once() {
        assert_eq!([0, 1, 4096, 4097].map(occupied), [0, 4096, 4096, 8192]);
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("a")).expect("create");
        std::fs::write(path("a/one"), vec![0; 5000]).expect("write");
        std::fs::write(path("two"), "x").expect("write");
        std::fs::hard_link(path("two"), path("a/again")).expect("link");
        let files = if cfg!(unix) { 2 } else { 3 };
        assert_eq!(measure(directory.path()), Part { files, bytes: 4096 * (files + 1) });
        assert_eq!(measure(&path("none")), Part::default());
    }
}
