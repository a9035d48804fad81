//! Files on their way to the disk: many in the background, beside what the build does, few together at its end.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::durable::make_durable;
use crate::files::{self, TemporaryFile};

/// Enough for the filesystem to write many small files in one commit.
const WORKERS: usize = 4;
/// So few need no threads.
const FEW: usize = 8;
/// Files that may wait, open: a process may have only so many.
const WAITING: usize = 100;
/// A longer file is written out at once, beside what the build does. Others wait for each other: many files that are
/// written out together cost the filesystem hardly more than one, and none of its commits gets in the way of a step.
const LONG: u64 = 1 << 20;

#[derive(Default)]
pub(crate) struct Writeback {
    /// Held by whoever waits for all: what one has taken, another must not believe to be done.
    finishing: Mutex<()>,
    state: Mutex<State>,
    idle: Condvar,
    /// Fewer than [`WAITING`] wait.
    room: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(File, PathBuf)>,
    workers: usize,
    failed: Option<Failed>,
    /// Directories of files that were written out since they were.
    behind: BTreeSet<PathBuf>,
}

type Failed = (PathBuf, io::Error);

impl Writeback {
    /// A file to be written out in the background.
    pub(crate) fn queue(self: &Arc<Self>, file: File, path: PathBuf) {
        let is_long = file.metadata().is_ok_and(|metadata| metadata.len() > LONG);
        let mut state = self.lock();
        while state.queue.len() >= WAITING {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.behind.extend(path.parent().map(Path::to_owned));
        state.queue.push_back((file, path));
        if is_long || state.queue.len() > WAITING / 2 {
            self.start(&mut state);
        }
    }

    /// Waits until everything that was queued is durable, with its names, and these files that have none yet.
    pub(crate) fn finish(self: &Arc<Self>, unplaced: &[TemporaryFile]) -> Result<(), Failed> {
        let _finishing = self.finishing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        let (queued, directories) = if state.workers == 0 && state.queue.len() <= FEW {
            (std::mem::take(&mut state.queue), std::mem::take(&mut state.behind))
        } else {
            self.start(&mut state);
            Default::default()
        };
        drop(state);
        let unplaced = unplaced.iter().map(|file| (&file.file, file.path()));
        let files = queued.iter().map(|(file, path)| (file, path.as_path())).chain(unplaced).collect();
        let written = write_together(files, &directories);
        let mut state = self.lock();
        self.start(&mut state);
        while state.workers > 0 {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let failed = state.failed.take();
        let behind = std::mem::take(&mut state.behind);
        drop(state);
        written.and(failed.map_or(Ok(()), Err))?;
        sync_directories(&behind)
    }

    /// Begins to write out what waits. Threads live only while there is something to do.
    fn start(self: &Arc<Self>, state: &mut State) {
        while state.workers < WORKERS.min(state.queue.len()) {
            state.workers += 1;
            let writeback = Arc::clone(self);
            std::thread::spawn(move || writeback.work());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        while let Some((file, path)) = state.queue.pop_front() {
            drop(state);
            self.room.notify_one();
            let result = make_durable(&file);
            state = self.lock();
            if let Err(error) = result {
                discard(&path);
                state.failed = Some((path, error));
            }
        }
        state.workers -= 1;
        if state.workers == 0 {
            self.idle.notify_all();
        }
    }
}

/// Makes a few files and their directories durable with one commit of the filesystem's journal: that of the first
/// directory, or else file, which comes when what all the files hold is written. The others then find nothing to wait for.
/// The error is the first of several; no file that has one stays.
fn write_together(mut files: Vec<(&File, &Path)>, directories: &BTreeSet<PathBuf>) -> Result<(), Failed> {
    let mut failed = None;
    let mut is_fine = |path: &Path, result: io::Result<()>| {
        let Err(error) = result else { return true };
        discard(path);
        failed.get_or_insert_with(|| (path.to_owned(), error));
        false
    };
    #[cfg(target_os = "linux")]
    if files.len() + directories.len() > 1 {
        files.iter().for_each(|(file, _)| kiln_sys::writeback::begin(file, 0, 0));
        files.retain(|(file, path)| is_fine(path, kiln_sys::writeback::finish(file)));
    }
    let named = sync_directories(directories);
    files.retain(|(file, path)| is_fine(path, make_durable(file)));
    failed.map_or(named, Err)
}

/// Makes the names in them durable.
fn sync_directories(directories: &BTreeSet<PathBuf>) -> Result<(), Failed> {
    directories.iter().try_for_each(|path| files::sync_directory(path).map_err(|error| (path.clone(), error)))
}

/// The system may have dropped what it could not write: nobody shall read it as if it were whole.
fn discard(path: &Path) {
    // Where it stays, a change of boot finds out.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    fn is_durable(file: &File) -> bool {
        !cfg!(unix) || file.metadata().expect("metadata").permissions().readonly()
    }

    #[test]
    fn few_or_many_are_durable_in_the_end() {
        for count in [0, 1, 2, FEW, FEW + 1, 2 * WAITING] {
            let store = TestStore::new();
            let directory = store.root().join("images/by-id");
            let writeback = Arc::new(Writeback::default());
            let paths: Vec<PathBuf> = (0..count).map(|number| directory.join(number.to_string())).collect();
            for path in &paths {
                fs::write(path, "x").expect("write");
                writeback.queue(File::open(path).expect("open"), path.clone());
            }
            let unplaced = [store.temporary_json(&"x").expect("file")];
            writeback.finish(&unplaced).expect("written");
            assert!(paths.iter().all(|path| is_durable(&File::open(path).expect("open"))));
            assert!(is_durable(&unplaced[0].file));
            assert!(writeback.lock().behind.is_empty());
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_written_is_told_and_goes() {
        let store = TestStore::new();
        let path = |name: &str| store.root().join("images/by-id").join(name);
        fs::write(path("good"), "x").expect("write");
        // Nobody can sync what is no file.
        let (bad, _other) = io::pipe().expect("a pipe");
        let bad = File::from(std::os::fd::OwnedFd::from(bad));
        fs::write(path("bad"), "x").expect("write");
        let writeback = Arc::new(Writeback::default());
        writeback.queue(bad, path("bad"));
        writeback.queue(File::open(path("good")).expect("open"), path("good"));
        let (failed, _) = writeback.finish(&[]).expect_err("a pipe");
        assert_eq!(failed, path("bad"));
        assert!(!path("bad").exists() && is_durable(&File::open(path("good")).expect("open")));
        writeback.finish(&[]).expect("nothing is left to do");
    }
}
