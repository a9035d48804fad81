//! What overlayfs takes as a lower directory.

use std::path::PathBuf;

/// A layer as a directory.
#[derive(Debug, Clone)]
pub enum Lower {
    Directory(PathBuf),
    /// The root of a mount, which may be attached nowhere.
    #[cfg(target_os = "linux")]
    Mount(std::sync::Arc<rustix::fd::OwnedFd>),
}

impl From<PathBuf> for Lower {
    fn from(path: PathBuf) -> Self {
        Self::Directory(path)
    }
}
