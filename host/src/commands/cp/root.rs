//! The root directory of a container, running or not, with its volumes in their places. What is in it is a stranger's, who
//! may change it meanwhile: the kernel resolves every path beneath it, and no link leads out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use kiln_container::{Container, ExecutorKind, MountSource};
use kiln_exec::namespaces::{Namespaces, Tree, Volume, root_of};
use kiln_store::{ContainerLock, Scratch, Store};
use kiln_sys::process::Identity;
use kiln_sys::userns;
use kiln_types::paths;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::paths::{Existing, Location};
use crate::report::failure::Failure;
use crate::session::Session;

/// As the kernel has it.
const MAX_LINKS: usize = 40;
/// The kernel asks to try again where something is renamed while it looks for a path.
const TRIES: usize = 64;

pub(super) struct Root {
    pub(super) container: Container,
    directory: Directory,
}

enum Directory {
    Running(OwnedFd),
    /// It must not be started meanwhile, and its layers must stay.
    Stopped {
        tree: Tree,
        _keep: Box<(ContainerLock, Scratch, Store)>,
    },
}

/// Something in a container.
pub(super) struct Found {
    /// Where it is, links at its end followed as far as they were to be.
    pub(super) path: Vec<u8>,
    pub(super) stat: Stat,
}

impl Found {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

impl Root {
    /// To be called before the process has a second thread: it may have to enter a user namespace.
    pub(super) fn open(name: &str, session: &Session) -> anyhow::Result<Self> {
        let container = Container::find(&session.store()?, name)?;
        if container.spec.executor == ExecutorKind::Wasi {
            let failure =
                Failure::new(format!("container {name} runs WebAssembly, whose files are not on this machine"));
            return Err(failure.hint(format!("kiln export {name} writes all its files as a tar")).into());
        }
        let process = |pid| Identity { pid, started: container.state.pid_started };
        match container.state.pid.map(process) {
            Some(process) if container.state.is_running() => {
                userns::join(process).map_err(|error| {
                    Failure::new(format!("cannot enter the user namespace of container {name}")).because(error)
                })?;
                Ok(Self { directory: Directory::Running(root_of(process)?), container })
            }
            _ => Self::mount(container, session),
        }
    }

    fn mount(container: Container, session: &Session) -> anyhow::Result<Self> {
        let denied = |denied: userns::Denied| Failure::new(denied.reason.clone()).hint(denied.remedy);
        let ids = userns::enter().map_err(denied)?;
        let store = session.store()?;
        let Some(lock) = container.folder.try_lock()? else {
            let failure = Failure::new(format!("container {} is just being started or changed", container.name()));
            return Err(failure.hint("try again").into());
        };
        let image = store.container_image(&container.folder.record)?;
        let view = super::super::export::view(&store, &image.config.rootfs.diff_ids)?;
        let scratch = store.scratch()?;
        let root = kiln_exec::Root {
            view,
            mounts: &[],
            directories: &|layer| store.directory(layer).map_err(Into::into),
            scratch: scratch.path(),
            shared: scratch.shared(),
        };
        let (upper, work) = container.layer();
        let volumes = volumes(&container, &store)?;
        let volumes: Vec<_> = volumes
            .iter()
            .map(|(source, target, read_only)| Volume { source, target, read_only: *read_only })
            .collect();
        let tree = Namespaces::new(ids).mount(&root, &upper, &work, &volumes)?;
        Ok(Self { directory: Directory::Stopped { tree, _keep: Box::new((lock, scratch, store)) }, container })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.directory {
            Directory::Running(root) => root.as_fd(),
            Directory::Stopped { tree, .. } => tree.as_fd(),
        }
    }

    /// What is at a path, following links at its end where that is wanted.
    pub(super) fn find(&self, location: &Location, follow: bool) -> rustix::io::Result<Found> {
        let mut path = location.path.clone();
        for _ in 0..MAX_LINKS {
            let stat = self.stat(&path)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink || !(follow || location.is_directory()) {
                return Ok(Found { path, stat });
            }
            path = paths::join(paths::parent(&path).unwrap_or_default(), &self.link(&path)?);
        }
        Err(Errno::LOOP)
    }

    /// Where a link that leads to nothing leads to: what is copied there takes that place.
    pub(super) fn end_of_links(&self, location: &Location) -> Vec<u8> {
        let mut path = location.path.clone();
        for _ in 0..MAX_LINKS {
            let Ok(target) = self.link(&path) else { return path };
            path = paths::join(paths::parent(&path).unwrap_or_default(), &target);
        }
        location.path.clone()
    }

    fn stat(&self, path: &[u8]) -> rustix::io::Result<Stat> {
        if path.is_empty() {
            return rustix::fs::fstat(self.as_fd());
        }
        let parent = self.directory(paths::parent(path).unwrap_or_default())?;
        rustix::fs::statat(&parent, paths::name(path), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn link(&self, path: &[u8]) -> rustix::io::Result<Vec<u8>> {
        let parent = self.directory(paths::parent(path).unwrap_or_default())?;
        Ok(rustix::fs::readlinkat(&parent, paths::name(path), Vec::new())?.into_bytes())
    }

    /// An open directory.
    pub(super) fn directory(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { &b"."[..] } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            match rustix::fs::openat2(self.as_fd(), path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Whether the container itself could write there.
    pub(super) fn check_writable(&self, directory: &[u8]) -> Result<(), Failure> {
        let spec = &self.container.spec;
        let is_above = |target: &[u8]| {
            let rest = directory.strip_prefix(target);
            rest.is_some_and(|rest| target.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
        };
        let mounts = spec.mounts.iter().map(|mount| (paths::clean(&mount.target), mount.read_only));
        match mounts.filter(|(target, _)| is_above(target)).max_by_key(|(target, _)| target.len()) {
            Some((_, true)) => Err(Failure::new("mounted volume is marked read-only")),
            None if spec.read_only => Err(Failure::new("container rootfs is marked read-only")),
            _ => Ok(()),
        }
    }
}

pub(super) fn existing(kind: FileType) -> Existing {
    if kind == FileType::Directory { Existing::Directory } else { Existing::Other }
}

/// Directories and files of the host that the container sees: (source, target, whether only for reading). Each after
/// those that it lies in.
fn volumes(container: &Container, store: &Store) -> anyhow::Result<Vec<(PathBuf, Vec<u8>, bool)>> {
    let mut volumes = Vec::new();
    for mount in &container.spec.mounts {
        let source = match &mount.source {
            MountSource::Volume { name, .. } => store.volume(name)?.data().to_owned(),
            MountSource::Bind { source } => source.clone(),
            // It is as empty as it will be at the next start.
            MountSource::Tmpfs(_) => continue,
        };
        volumes.push((source, paths::clean(&mount.target), mount.read_only));
    }
    volumes.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
    Ok(volumes)
}
