//! Control groups: what limits, freezes and counts the processes of a container.
//!
//! A group is a directory `kiln-<id>` in each hierarchy that is needed: one in the unified hierarchy (version 2), or one
//! for each controller (version 1); hosts may have controllers of both kinds.

mod hierarchy;
mod limits;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};

use hierarchy::{Controller, Hierarchies};
pub use limits::Limits;

/// Freezing and emptying a group are done by the kernel in its own time.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Why something cannot be had of control groups.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {wanted} here: {reason}; {remedy}")]
    Unavailable { wanted: &'static str, reason: String, remedy: &'static str },
    #[error("cannot {action} the control group {path}")]
    System { action: &'static str, path: PathBuf, source: io::Error },
}

/// A group of processes. It stays until [`Cgroup::remove`], whatever becomes of the process that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    directories: Vec<PathBuf>,
    /// The hierarchies of version 1 in which it has limits, each with its controllers.
    limiting: Vec<Vec<String>>,
}

/// What programs look for beside the limit that there is: some of them give up if one is missing.
const LOOKED_FOR: [Controller; 5] =
    [Controller::Memory, Controller::Cpu, Controller::Cpuacct, Controller::Cpuset, Controller::Pids];

/// What a group uses now; `None` where it is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub memory: Option<u64>,
    pub processes: Option<u64>,
    /// How often a process was killed because the group's memory was used up.
    pub out_of_memory: Option<u64>,
}

impl Cgroup {
    /// Makes a group that can at least be frozen, and has those limits. `id` must be a clean file name. `announce` is told
    /// its directories before they are made: whatever becomes of this process then, they can be removed.
    pub fn create(id: &str, limits: &Limits, announce: impl FnOnce(&[PathBuf])) -> Result<Self, Error> {
        let hierarchies = Hierarchies::of_this_process()?;
        let name = format!("kiln-{id}");
        let wanted = limits.controllers().into_iter().chain([Controller::Freezer]);
        let place = |controller| Ok((controller, hierarchies.parent_for(controller)?.join(&name)));
        let mut places = wanted.map(place).collect::<Result<Vec<_>, Error>>()?;
        let mut limiting: Vec<Vec<String>> = Vec::new();
        if *limits != Limits::default() {
            for (controller, controllers) in
                LOOKED_FOR.into_iter().filter_map(|one| Some((one, hierarchies.version_1(one)?)))
            {
                let is_there = |places: &[(Controller, PathBuf)]| places.iter().any(|(other, _)| *other == controller);
                if !is_there(&places) {
                    places.extend(place(controller));
                }
                if is_there(&places) && !limiting.iter().any(|other| other == controllers) {
                    limiting.push(controllers.to_vec());
                }
            }
        }
        let mut directories = Vec::new();
        for (_, path) in &places {
            if !directories.contains(path) {
                directories.push(path.clone());
            }
        }
        announce(&directories);
        let group = Self { directories, limiting };
        if let Err(error) = group.make(&places, limits) {
            let _ = group.remove();
            return Err(error);
        }
        Ok(group)
    }

    fn make(&self, places: &[(Controller, PathBuf)], limits: &Limits) -> Result<(), Error> {
        for path in &self.directories {
            fs::create_dir(path).or_else(ignore(io::ErrorKind::AlreadyExists)).map_err(system("make", path))?;
        }
        places.iter().try_for_each(|(controller, path)| limits.write(*controller, path))
    }

    /// The group that has these directories, as [`Cgroup::paths`] once said.
    pub fn at(directories: Vec<PathBuf>) -> Self {
        Self { directories, limiting: Vec::new() }
    }

    /// The controllers of the hierarchies of version 1 in which it is limited.
    pub(crate) fn limiting(&self) -> &[Vec<String>] {
        &self.limiting
    }

    pub fn paths(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Moves a process, with all its threads, into it.
    pub fn add(&self, pid: u32) -> Result<(), Error> {
        self.directories.iter().try_for_each(|path| write(path, "cgroup.procs", &pid.to_string(), "enter"))
    }

    /// What a process has to write `0` to for moving itself.
    pub(crate) fn entrances(&self) -> Result<Vec<OwnedFd>, Error> {
        let open = |path: &PathBuf| {
            // A single thread of version 1 moves without the lock that all of the host's processes fork under.
            let file = if is_unified(path) { "cgroup.procs" } else { "tasks" };
            let entrance = openat(CWD, path.join(file), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
            entrance.map_err(|errno| system("enter", path)(errno.into()))
        };
        self.directories.iter().map(open).collect()
    }

    /// Stops all its processes where they are, or lets them go on. Returns when it is done.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let Some((path, file, values)) = self.directories.iter().find_map(|path| {
            let (file, values) =
                if is_unified(path) { ("cgroup.freeze", ["0", "1"]) } else { ("freezer.state", ["THAWED", "FROZEN"]) };
            path.join(file).exists().then_some((path, file, values))
        }) else {
            return Err(Error::Unavailable {
                wanted: "pause a container",
                reason: "its control group cannot be frozen".to_owned(),
                remedy: "use a kernel with the freezer controller, or of version 5.2 or later",
            });
        };
        let value = values[usize::from(frozen)];
        write(path, file, value, "freeze")?;
        let is_done = || match is_unified(path) {
            true => {
                read(path, "cgroup.events").is_some_and(|events| value_of(&events, "frozen") == Some(frozen.into()))
            }
            false => read(path, file).is_some_and(|state| state.trim() == value),
        };
        wait_for(is_done).map_err(system("freeze", path))
    }

    /// Kills all its processes. They are gone a little later.
    pub fn kill(&self) -> Result<(), Error> {
        if let Some(unified) = self.directories.iter().find(|path| path.join("cgroup.kill").exists()) {
            return write(unified, "cgroup.kill", "1", "kill");
        }
        let Some(path) = self.directories.first() else { return Ok(()) };
        for pid in self.processes().map_err(system("read", path))? {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        // The frozen die when they thaw.
        if self.directories.iter().any(|path| path.join("freezer.state").exists()) {
            self.freeze(false)
        } else {
            Ok(())
        }
    }

    /// The processes that are in it.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let Some(path) = self.directories.first() else { return Ok(Vec::new()) };
        let text = fs::read_to_string(path.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    pub fn usage(&self) -> Usage {
        let number = |file: &str| self.directories.iter().find_map(|path| read(path, file)?.trim().parse::<u64>().ok());
        let event = |file: &str| self.directories.iter().find_map(|path| value_of(&read(path, file)?, "oom_kill"));
        Usage {
            memory: number("memory.current").or_else(|| number("memory.usage_in_bytes")),
            processes: number("pids.current"),
            out_of_memory: event("memory.events").or_else(|| event("memory.oom_control")),
        }
    }

    /// Removes it, with the groups that were made in it. Its processes must be dead; those that die yet are waited for.
    pub fn remove(&self) -> Result<(), Error> {
        for path in &self.directories {
            let mut last = Ok(());
            let removed = wait_for(|| {
                last = remove_tree(path).or_else(ignore(io::ErrorKind::NotFound));
                last.as_ref().err().is_none_or(|error| error.kind() != io::ErrorKind::ResourceBusy)
            });
            removed.and(last).map_err(system("remove", path))?;
        }
        Ok(())
    }
}

/// The kernel removes no group that has others in it, as a privileged container may leave behind.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
        result => return result,
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path()).or_else(ignore(io::ErrorKind::NotFound))?;
        }
    }
    fs::remove_dir(path)
}

fn is_unified(path: &Path) -> bool {
    path.join("cgroup.controllers").exists()
}

/// The number after a word, in lines of both.
fn value_of(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

fn read(path: &Path, file: &str) -> Option<String> {
    fs::read_to_string(path.join(file)).ok()
}

fn write(path: &Path, file: &str, value: &str, action: &'static str) -> Result<(), Error> {
    fs::write(path.join(file), value).map_err(system(action, path))
}

fn wait_for(mut is_done: impl FnMut() -> bool) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_done() {
        if Instant::now() > end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn ignore(kind: io::ErrorKind) -> impl FnOnce(io::Error) -> io::Result<()> {
    move |error| if error.kind() == kind { Ok(()) } else { Err(error) }
}

fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::System { action, path, source }
}
