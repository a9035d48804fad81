//! What a process sees in its root filesystem besides the image: `RUN --mount`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use kiln_image::{Change, View};
use kiln_types::paths;

use crate::Error;

/// The kernel's own, where nothing else can be mounted.
const KERNELS: [&[u8]; 2] = [b"proc", b"sys"];

/// Something mounted for the life of one process. Neither it nor a mount point that is made for it gets into a layer.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Absolute. Symbolic links of the image are followed, beneath its root; those within other mounts are refused.
    pub target: String,
    pub read_only: bool,
    pub kind: MountKind,
}

#[derive(Clone)]
pub enum MountKind {
    /// What is at the clean `path` of a view. What is written there is dropped afterwards, or handed back if `keep`.
    Files { view: View, path: Vec<u8>, keep: bool },
    /// A directory of the host, used as it is; a WebAssembly program's changes are written there when it has ended.
    Directory(PathBuf),
    /// An empty filesystem in memory.
    Memory(Memory),
    /// A file that is nowhere on the disk.
    Bytes { bytes: Arc<[u8]>, mode: u32, uid: u32, gid: u32 },
    /// A socket that leads to an ssh agent. Only for Linux programs.
    Agent { agent: kiln_ssh::Agent, mode: u32, uid: u32, gid: u32 },
}

/// What a filesystem in memory is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The most that it holds, in bytes.
    pub size: Option<u64>,
    /// Of its root directory, as are the owners.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Linux programs in it cannot be executed.
    pub no_exec: bool,
}

/// As `/tmp` is.
impl Default for Memory {
    fn default() -> Self {
        Self { size: None, mode: 0o1777, uid: 0, gid: 0, no_exec: false }
    }
}

/// What a process changed in a mount whose changes are to be kept.
pub struct Kept {
    /// Its place among the mounts.
    pub mount: usize,
    /// As in [`crate::Finished::changes`], with paths of the mount's own view.
    pub changes: Vec<Change>,
}

impl MountKind {
    /// Whether it is mounted on a directory.
    pub(crate) fn is_directory(&self) -> Result<bool, kiln_image::Error> {
        Ok(match self {
            Self::Files { view, path, .. } => {
                path.is_empty() || view.lookup(path)?.is_some_and(|found| found.is_directory())
            }
            Self::Directory(path) => path.is_dir(),
            Self::Memory(_) => true,
            Self::Bytes { .. } | Self::Agent { .. } => false,
        })
    }
}

/// Bytes may be a secret.
impl fmt::Debug for MountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { path, keep, .. } => write!(f, "Files({}, keep: {keep})", paths::display(path)),
            Self::Directory(path) => write!(f, "Directory({})", path.display()),
            Self::Memory(memory) => memory.fmt(f),
            Self::Bytes { bytes, .. } => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Agent { agent, .. } => write!(f, "Agent({agent:?})"),
        }
    }
}

/// The places of `mounts` in the order in which they are mounted: what is nested comes after what it is in, and of
/// several with one target only the last is there, which would hide the others.
pub(crate) fn order(mounts: &[Mount]) -> Vec<usize> {
    let targets: Vec<Vec<u8>> = mounts.iter().map(|mount| paths::clean(&mount.target)).collect();
    let mut order: Vec<usize> = (0..mounts.len()).filter(|&at| !targets[at + 1..].contains(&targets[at])).collect();
    order.sort_by_key(|&at| paths::components(&targets[at]).count());
    order
}

/// Refuses places where nothing can be mounted. `path` is clean and has no links.
pub(crate) fn check_place(path: &[u8]) -> Result<(), String> {
    let first = paths::components(path).next();
    match first {
        None => Err("the root directory itself cannot be a mount's target".to_owned()),
        Some(first) if KERNELS.contains(&first) || path == b"dev" => {
            Err(format!("/{} is the kernel's", String::from_utf8_lossy(first)))
        }
        Some(_) => Ok(()),
    }
}

/// Refuses to mount a directory on a file, and a file on a directory.
pub(crate) fn check_fit(directory: bool, there_is_directory: bool) -> Result<(), String> {
    match (directory, there_is_directory) {
        (true, false) => Err("it is a directory, and a file is in its place".to_owned()),
        (false, true) => Err("it is a file, and a directory is in its place".to_owned()),
        _ => Ok(()),
    }
}

impl Error {
    pub(crate) fn mount(mounts: &[Mount], number: usize, reason: impl Into<String>) -> Self {
        Self::Mount { number, target: mounts[number].target.clone(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_mounts_come_after_what_they_are_in() {
        let mount = |target: &str| Mount {
            target: target.to_owned(),
            read_only: false,
            kind: MountKind::Memory(Memory::default()),
        };
        let mounts = ["/a/b/c", "/x", "/a", "/a/b", "/x/", "/y/../a/b/d"].map(mount);
        assert_eq!(order(&mounts), [2, 4, 3, 0, 5]);
    }

    #[test]
    fn places_that_cannot_be() {
        for path in ["", "proc", "proc/x", "sys/fs", "dev"] {
            check_place(path.as_bytes()).expect_err(path);
        }
        for path in ["procs", "dev/shm", "a/proc", "etc/hosts"] {
            check_place(path.as_bytes()).expect(path);
        }
    }

    #[test]
    fn bytes_are_not_shown() {
        let kind = MountKind::Bytes { bytes: (*b"hunter2").into(), mode: 0o400, uid: 0, gid: 0 };
        assert_eq!(format!("{kind:?}"), "Bytes(7 bytes)");
    }
}
