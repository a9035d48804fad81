//! Locks between processes, and between threads as each opens the file for itself. The system drops them when a process
//! dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Opens the file of a lock, which is made where it is missing and never written.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Opens the file of a lock; where it may not be written, as it is. Answers whether it may.
pub(crate) fn open_readable(path: &Path) -> io::Result<(File, bool)> {
    match open(path) {
        Err(error) if is_refusal(&error) => File::open(path).map(|file| (file, false)).map_err(|_| error),
        result => result.map(|file| (file, true)),
    }
}

/// Whether something may not be written, which may be readable.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// `false` where another has it.
pub(crate) fn try_exclusive(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// `false` where another has it exclusively.
pub(crate) fn try_shared(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(crate) fn exclusive(file: &File) -> io::Result<()> {
    uninterrupted(|| file.lock())
}

pub(crate) fn shared(file: &File) -> io::Result<()> {
    uninterrupted(|| file.lock_shared())
}

fn uninterrupted(mut lock: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// An exclusive lock for one thing of very many: its file exists only while somebody wants it.
pub(crate) struct LockFile {
    _file: File,
    path: PathBuf,
}

impl LockFile {
    pub(crate) fn acquire(path: PathBuf) -> io::Result<Self> {
        loop {
            let file = open(&path)?;
            exclusive(&file)?;
            if is_at(&file, &path) {
                return Ok(Self { _file: file, path });
            }
        }
    }

    pub(crate) fn try_acquire(path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let file = open(&path)?;
            if !try_exclusive(&file)? {
                return Ok(None);
            }
            if is_at(&file, &path) {
                return Ok(Some(Self { _file: file, path }));
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Removed while it is locked: who waits for it then sees that it lost its name, and begins anew.
        if cfg!(unix) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Has nobody removed the file between our opening and locking it? Where files have no identity they are not removed.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_left() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("lock");
        let (inside, total) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _lock = LockFile::acquire(path.clone()).expect("lock");
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        total.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 1600);
        assert!(!path.exists());
    }

    #[test]
    fn trying_does_not_wait() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("lock");
        let held = LockFile::try_acquire(path.clone()).expect("lock");
        assert!(held.is_some() && LockFile::try_acquire(path.clone()).expect("lock").is_none());
        drop(held);
        assert!(LockFile::try_acquire(path).expect("lock").is_some());
    }
}
