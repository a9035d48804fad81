//! What one process has not finished: a directory of its own under `tmp/`, held by the lock on a file in it.
//!
//! ```text
//! tmp/<process>/lock     held as long as the process has the store open
//! tmp/<process>/<n>      a file that is being written, or a scratch directory
//! ```
//! A scratch directory that is done with is emptied beside the build, because removing directories may wait for the disk,
//! and used again. A directory whose lock is free belonged to a process that died: the next one that writes removes it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::{Result, Store, files, locks};

/// In a process' directory: held as long as it lives.
pub(crate) const LOCK: &str = "lock";

/// Of this process. No two of its directories ever have one name: who removes what was left may still be at it.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Session {
    directory: PathBuf,
    /// See [`Session::create`].
    making: PathBuf,
    _lock: File,
    next: AtomicU64,
    /// Scratch directories that can be used again.
    empty: Arc<Mutex<Vec<PathBuf>>>,
    emptying: Mutex<Option<Emptying>>,
}

/// The thread that empties scratch directories.
struct Emptying {
    directories: Sender<PathBuf>,
    thread: JoinHandle<()>,
}

impl Emptying {
    fn start(empty: Arc<Mutex<Vec<PathBuf>>>) -> Self {
        let (directories, receiver) = channel::<PathBuf>();
        let thread = std::thread::spawn(move || {
            for directory in receiver {
                let entries = files::list(&directory).unwrap_or_default();
                // What resists goes with the session, or by a later process.
                if entries.iter().all(|entry| files::remove_tree(&entry.path()).is_ok()) {
                    empty.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
                }
            }
        });
        Self { directories, thread }
    }
}

impl Session {
    fn create(root: &Path) -> io::Result<Self> {
        // Keeps others from taking for dead what has no lock yet.
        let path = root.join("locks/tmp");
        let making = locks::open(&path)?;
        locks::shared(&making)?;
        let directory = loop {
            let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
            let directory = root.join(format!("tmp/{}-{number}", std::process::id()));
            match fs::create_dir(&directory) {
                Ok(()) => break directory,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let lock = locks::open(&directory.join(LOCK))?;
        locks::exclusive(&lock)?;
        Ok(Self {
            directory,
            making: path,
            _lock: lock,
            next: AtomicU64::new(0),
            empty: Arc::default(),
            emptying: Mutex::default(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn unused_path(&self) -> PathBuf {
        self.directory.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn scratch(&self) -> io::Result<PathBuf> {
        if let Some(directory) = self.empty.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(directory);
        }
        let directory = self.unused_path();
        files::make_private_directory(&directory, false).map(|()| directory)
    }

    fn take_back(&self, directory: PathBuf) {
        // Some have been moved to where they stay.
        let Ok(mut entries) = fs::read_dir(&directory) else { return };
        if entries.next().is_none() {
            self.empty.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
            return;
        }
        let mut emptying = self.emptying.lock().unwrap_or_else(PoisonError::into_inner);
        let emptying = emptying.get_or_insert_with(|| Emptying::start(Arc::clone(&self.empty)));
        // It ends with the session only.
        let _ = emptying.directories.send(directory);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let emptying = self.emptying.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Emptying { directories, thread }) = emptying {
            drop(directories);
            let _ = thread.join();
        }
        // Nothing can be done about what resists; a later process removes it.
        let lock = self.directory.join(LOCK);
        for entry in files::list(&self.directory).unwrap_or_default() {
            if entry.path() != lock {
                let _ = files::remove_tree(&entry.path());
            }
        }
        // Nor may anybody see what has no lock any more.
        let _making = locks::open(&self.making).and_then(|making| locks::shared(&making).map(|()| making));
        let _ = fs::remove_file(&lock).and_then(|()| fs::remove_dir(&self.directory));
    }
}

/// Whether a process died before it could tidy up.
pub(crate) fn has_leftovers(root: &Path) -> io::Result<bool> {
    Ok(leftovers(root)?.is_none_or(|dead| !dead.is_empty()))
}

/// The directory of a dead process, with its lock if it has one.
type Leftover = (PathBuf, Option<File>);

/// What dead processes left. `None` while another process makes its own.
fn leftovers(root: &Path) -> io::Result<Option<Vec<Leftover>>> {
    let making = locks::open(&root.join("locks/tmp"))?;
    if !locks::try_exclusive(&making)? {
        return Ok(None);
    }
    let mut dead = Vec::new();
    for entry in files::list(&root.join("tmp"))? {
        let path = entry.path();
        match File::options().read(true).write(true).open(path.join(LOCK)) {
            Ok(lock) if locks::try_exclusive(&lock)? => dead.push((path, Some(lock))),
            Ok(_) => {}
            // Died before it made its lock, or something else that does not belong here.
            Err(_) => dead.push((path, None)),
        }
    }
    Ok(Some(dead))
}

impl Store {
    /// This process' directory under `tmp/`, made when first needed; then what dead processes left goes too.
    pub(crate) fn session(&self) -> Result<Arc<Session>> {
        let mut current = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*current {
            return Ok(Arc::clone(session));
        }
        let workplace = &self.workplace()?;
        let tmp = workplace.join("tmp");
        let dead = leftovers(workplace).map_err(|source| self.io("list", &tmp, source))?.unwrap_or_default();
        if !dead.is_empty() {
            // What they added was not counted.
            self.ledger.forget().map_err(|source| self.io("remove", self.root(), source))?;
            // Trees can be large, and nothing waits for their end. If this process ends first, the next goes on.
            std::thread::spawn(move || {
                for (path, _lock) in dead {
                    let _ = files::remove_tree(&path);
                }
            });
        }
        let session = Session::create(workplace).map_err(|source| self.io("create a directory in", &tmp, source))?;
        Ok(Arc::clone(current.insert(Arc::new(session))))
    }

    /// An empty directory on the store's filesystem. It is emptied when it is dropped, and gone when the store is closed;
    /// if the process dies, a later one removes it.
    pub fn scratch(&self) -> Result<Scratch> {
        let session = self.session()?;
        let path = session.scratch().map_err(|source| self.io("create a directory in", session.path(), source))?;
        Ok(Scratch { path, session })
    }
}

/// A private temporary directory.
pub struct Scratch {
    path: PathBuf,
    session: Arc<Session>,
}

impl Scratch {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it is in, which is there until the store is closed.
    pub fn shared(&self) -> &Path {
        self.session.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.session.take_back(std::mem::take(&mut self.path));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use crate::testing::TestStore;

    #[test]
    fn a_scratch_directory_is_emptied_whatever_is_in_it_and_used_again() {
        let store = TestStore::new();
        let scratch = store.scratch().expect("scratch");
        let path = scratch.path().to_owned();
        fs::create_dir_all(path.join("a/b")).expect("create");
        fs::write(path.join("a/b/c"), "x").expect("write");
        #[cfg(unix)]
        for directory in ["a/b", "a"] {
            let nothing = std::os::unix::fs::PermissionsExt::from_mode(0o000);
            fs::set_permissions(path.join(directory), nothing).expect("chmod");
        }
        drop(scratch);
        let start = Instant::now();
        while fs::read_dir(&path).expect("list").count() > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "it stays as it was");
            std::thread::sleep(Duration::from_millis(1));
        }
        let (again, other) = (store.scratch().expect("scratch"), store.scratch().expect("scratch"));
        assert!(again.path() != other.path() && fs::read_dir(again.path()).expect("list").count() == 0);
        fs::write(again.path().join("x"), "x").expect("write");
        drop((again, other));
        let tmp = store.root().join("tmp");
        let _directory = store.closed();
        assert_eq!(fs::read_dir(tmp).expect("list").count(), 0);
    }

    #[test]
    fn leftovers_of_the_dead_go_and_those_of_the_living_stay() {
        let store = TestStore::new();
        let living = store.scratch().expect("scratch");
        let tmp = store.root().join("tmp");
        for dead in ["1-0", "1-1"] {
            fs::create_dir_all(tmp.join(dead).join("5/fs")).expect("create");
        }
        fs::write(tmp.join("1-0/lock"), "").expect("write");
        let other = store.another();
        let _scratch = other.scratch().expect("scratch");
        let start = Instant::now();
        while fs::read_dir(&tmp).expect("list").count() > 2 {
            assert!(start.elapsed() < Duration::from_secs(10), "leftovers stay");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(living.path().exists());
    }
}
