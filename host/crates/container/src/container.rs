//! A container as it is on the disk, with a state that is true.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_store::{ContainerFolder, ContainerRecord, Store};
use kiln_types::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::{Phase, Spec, State};

const SPEC: &str = "spec.json";
const STATE: &str = "state.json";
/// Where the next state is written before it takes the place of the last one.
const NEXT_STATE: &str = "state.json.next";
/// Environments and labels are the longest of it, and the kernel takes 2 MiB of those.
const MAX_DOCUMENT: u64 = 16 << 20;

/// Between two looks at a container that somebody else starts.
const PAUSE: Duration = Duration::from_millis(2);
/// What shells report of a process that was killed.
const KILLED: i32 = 137;

#[derive(Debug, Clone)]
pub struct Container {
    pub folder: ContainerFolder,
    pub spec: Spec,
    pub state: State,
}

/// Everything that is kept as a container.
#[derive(Debug, Default)]
pub struct Listed {
    /// Newest first.
    pub containers: Vec<Container>,
    pub damaged: Vec<Damaged>,
}

/// A container of which too little can be read to say what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    pub id: String,
    /// If that is known.
    pub name: Option<String>,
    pub reason: String,
    /// Somebody has its lock.
    pub runs: bool,
}

pub fn list(store: &Store) -> Result<Listed> {
    let mut listed = Listed::default();
    let (folders, damaged) = store.containers_and_damaged()?;
    for folder in folders {
        let (id, name, runs) = (folder.record.id.clone(), folder.record.name.clone(), folder.is_locked()?);
        match Container::open(folder) {
            Ok(container) => listed.containers.push(container),
            Err(Error::Damaged { reason, .. }) => {
                listed.damaged.push(Damaged { id, name: Some(name), reason, runs });
            }
            // It was removed just now.
            Err(Error::Store(kiln_store::Error::NoSuchContainer { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    for container in damaged {
        let (reason, runs) = ("its record cannot be read".to_owned(), container.is_locked()?);
        listed.damaged.push(Damaged { id: container.id, name: container.name, reason, runs });
    }
    Ok(listed)
}

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    nanoseconds(SystemTime::now())
}

fn nanoseconds(time: SystemTime) -> i64 {
    let after = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)
}

impl Container {
    /// Keeps a new one, which is not started. Without a hostname it has its short id as that.
    pub fn create(store: &Store, name: &str, image: Digest, mut spec: Spec) -> Result<Self> {
        let record =
            ContainerRecord { id: new_id()?, name: name.to_owned(), image, created: now(), volumes: spec.volumes() };
        if spec.hostname.is_empty() {
            record.short_id().clone_into(&mut spec.hostname);
        }
        let state = State::default();
        let folder = store.create_container(&record, &|folder| {
            write(&folder.join(SPEC), &spec)?;
            write(&folder.join(STATE), &state)
        })?;
        Ok(Self { folder, spec, state })
    }

    /// By name, id, or the beginning of an id.
    pub fn find(store: &Store, text: &str) -> Result<Self> {
        Self::open(store.container(text)?)
    }

    pub fn open(folder: ContainerFolder) -> Result<Self> {
        let spec = read(&folder, SPEC)?;
        let state = true_state(&folder)?;
        Ok(Self { folder, spec, state })
    }

    /// How it fares by now.
    pub fn refresh(&mut self) -> Result<()> {
        self.state = true_state(&self.folder)?;
        Ok(())
    }

    /// Of one that somebody else has: returns when it runs, or nobody has it any more. Answers whether it runs.
    pub fn wait_for_start(&mut self) -> Result<bool> {
        loop {
            self.refresh()?;
            if self.state.is_running() || !self.folder.is_locked()? {
                return Ok(self.state.is_running());
            }
            thread::sleep(PAUSE);
        }
    }

    pub fn id(&self) -> &str {
        &self.folder.record.id
    }

    pub fn short_id(&self) -> &str {
        self.folder.record.short_id()
    }

    pub fn name(&self) -> &str {
        &self.folder.record.name
    }

    /// Of what it writes, in Docker's json-file form.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The directories of its writable layer: what is in it, and what overlayfs needs beside it.
    pub fn layer(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("upper"), self.folder.path().join("work"))
    }

    /// What a start prepares, and is gone at the end.
    #[cfg(target_os = "linux")]
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.path().join("scratch")
    }

    /// Where its supervisor is spoken to.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Replaces the state on the disk. Only for who holds the container's lock.
    pub fn write_state(&self) -> Result<()> {
        let next = self.folder.path().join(NEXT_STATE);
        write(&next, &self.state).map_err(Error::io("write", &next))?;
        let path = self.folder.path().join(STATE);
        fs::rename(&next, &path).map_err(Error::io("replace", &path))
    }
}

/// A state that says "running" is true only while somebody holds the lock.
fn true_state(folder: &ContainerFolder) -> Result<State> {
    loop {
        let held = folder.is_locked()?;
        let state: State = read(folder, STATE)?;
        if held || !state.is_running() {
            return Ok(state);
        }
        // Between the two looks a supervisor may have ended, or another have begun.
        if read::<State>(folder, STATE)? == state && !folder.is_locked()? {
            return Ok(lost(folder, state));
        }
    }
}

/// Its supervisor had no chance to write down the end: it was killed, or the machine went down. The container's
/// processes die with their supervisor, so this much is known.
fn lost(folder: &ContainerFolder, state: State) -> State {
    let sign_of_life = |name| fs::metadata(folder.path().join(name)).and_then(|metadata| metadata.modified()).ok();
    let finished = [STATE, "log"].into_iter().filter_map(sign_of_life).max().map(nanoseconds);
    State {
        phase: Phase::Exited,
        pid: None,
        exit_code: KILLED,
        error: "its supervisor was killed, or the machine restarted".to_owned(),
        finished,
        ports: Vec::new(),
        ..state
    }
}

fn new_id() -> Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Error::Random(io::Error::other(error)))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(document).map_err(io::Error::other)?;
    File::create(path)?.write_all(&bytes)
}

fn read<T: DeserializeOwned>(folder: &ContainerFolder, name: &str) -> Result<T> {
    let path = folder.path().join(name);
    let damaged = |reason: String| Error::Damaged { name: folder.record.name.clone(), reason };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.path().exists() => {
            return Err(kiln_store::Error::NoSuchContainer { name: folder.record.name.clone() }.into());
        }
        Err(error) => return Err(damaged(format!("{name}: {error}"))),
    };
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(state: &State) -> (tempfile::TempDir, Store, Container) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(directory.path()).expect("a store");
        let image = crate::testing::image(&store);
        let mut container = Container::create(&store, "box", image, crate::testing::spec()).expect("created");
        container.state = state.clone();
        container.write_state().expect("written");
        (directory, store, container)
    }

    #[test]
    fn what_was_written_is_read() {
        let (_directory, store, container) = folder_with(&State::default());
        let found = Container::find(&store, "box").expect("there");
        assert_eq!((found.spec, found.state), (container.spec, State::default()));
        assert_eq!(list(&store).expect("readable").containers.len(), 1);
        assert!(matches!(
            Container::find(&store, "other"),
            Err(Error::Store(kiln_store::Error::NoSuchContainer { .. }))
        ));
    }

    #[test]
    fn running_is_believed_while_the_lock_is_held() {
        let running = State { phase: Phase::Running, pid: Some(1), started: Some(1), ..State::default() };
        let (_directory, store, container) = folder_with(&running);
        let lock = container.folder.try_lock().expect("no error").expect("free");
        assert_eq!(Container::find(&store, "box").expect("there").state, running);
        drop(lock);
        let state = Container::find(&store, "box").expect("there").state;
        assert_eq!((state.phase, state.pid, state.exit_code), (Phase::Exited, None, 137));
        assert!(state.finished.is_some() && state.started == Some(1));
    }

    #[test]
    fn a_damaged_one_is_said_to_be() {
        let (_directory, store, container) = folder_with(&State::default());
        fs::write(container.folder.path().join(SPEC), "{").expect("ours");
        assert!(matches!(Container::find(&store, "box"), Err(Error::Damaged { .. })));
        let listed = list(&store).expect("readable");
        assert!(listed.containers.is_empty() && !listed.damaged[0].runs);
        assert_eq!(listed.damaged[0].name.as_deref(), Some("box"));
        fs::write(container.folder.path().join("record.json"), "{").expect("ours");
        let damaged = list(&store).expect("readable").damaged;
        assert_eq!((damaged[0].name.as_deref(), damaged[0].id.as_str()), (Some("box"), container.id()));
        assert!(matches!(
            Container::find(&store, "box"),
            Err(Error::Store(kiln_store::Error::DamagedContainer { .. }))
        ));
    }
}
