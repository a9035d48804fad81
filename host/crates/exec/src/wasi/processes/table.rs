//! The processes of a step: numbers, parents, how each has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::guest::{Failure, SIGNAL_KILL, Stop};
use super::pipe::LOOK;
use crate::wasi::errno::Errno;
use crate::wasi::fatal::Fatal;
use crate::wasi::limits::{self, Limit};

/// How long a new process waits for the end of another one where there are too many.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) const FIRST: u32 = 1;
/// The parent of the first process, and of processes whose parent has ended.
pub(crate) const NOBODY: u32 = 0;

#[derive(Default)]
pub(crate) struct Table {
    processes: Mutex<Processes>,
    changed: Condvar,
}

#[derive(Default)]
struct Processes {
    entries: BTreeMap<u32, Entry>,
    last: u32,
}

impl Processes {
    fn living(&self) -> usize {
        self.entries.values().filter(|entry| entry.status.is_none()).count()
    }
}

struct Entry {
    parent: u32,
    stop: Arc<Stop>,
    /// Set when it has ended, until its parent asks.
    status: Option<u8>,
}

/// Which child to wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Child {
    Any,
    Pid(u32),
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process, of `most` that may live at once. Where there are too many, one may end soon: how fast processes run
    /// must not matter.
    pub(crate) fn start(
        &self,
        parent: u32,
        stop: &Stop,
        most: u64,
        fatal: &Fatal,
    ) -> Result<(u32, Arc<Stop>), Failure> {
        let begin = Instant::now();
        let mut processes = self.lock();
        while processes.living() as u64 >= most && begin.elapsed() < PATIENCE {
            stop.check()?;
            processes = self.changed.wait_timeout(processes, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        let living = processes.living();
        if living as u64 >= most {
            return Err(fatal.exceeded(Limit::Processes(most)).into());
        }
        if processes.entries.len() - living >= limits::ENDED_PROCESSES || processes.last >= i32::MAX as u32 {
            let limit = format!("{} processes that nobody has waited for", limits::ENDED_PROCESSES);
            return Err(fatal.limit(limit).into());
        }
        processes.last += 1;
        let (pid, stop) = (processes.last, Arc::new(Stop::default()));
        processes.entries.insert(pid, Entry { parent, stop: stop.clone(), status: None });
        Ok((pid, stop))
    }

    /// A process is over. Its children live on without a parent; with the first process, all end, as in a container.
    pub(crate) fn end(&self, pid: u32, status: u8) {
        let mut processes = self.lock();
        processes.entries.retain(|_, entry| entry.parent != pid || entry.status.is_none());
        for orphan in processes.entries.values_mut().filter(|entry| entry.parent == pid) {
            orphan.parent = NOBODY;
        }
        if pid == FIRST {
            processes.entries.values().for_each(|entry| entry.stop.set(SIGNAL_KILL));
        }
        match processes.entries.get_mut(&pid) {
            Some(entry) if entry.parent != NOBODY => entry.status = Some(status),
            _ => drop(processes.entries.remove(&pid)),
        }
        self.changed.notify_all();
    }

    /// How many there have been.
    pub(crate) fn started(&self) -> u32 {
        self.lock().last
    }

    pub(crate) fn stop_all(&self) {
        self.lock().entries.values().for_each(|entry| entry.stop.set(SIGNAL_KILL));
        self.changed.notify_all();
    }

    /// Signal 0 only asks.
    pub(crate) fn kill(&self, pid: u32, signal: u32) -> Result<(), Errno> {
        let processes = self.lock();
        let entry = processes.entries.get(&pid).ok_or(Errno::NoProcess)?;
        if signal != 0 {
            entry.stop.set(signal);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// The number and status of a child that has ended; `None` where there is none yet and `wait` is false.
    pub(crate) fn wait(&self, pid: u32, child: Child, wait: bool, stop: &Stop) -> Result<Option<(u32, u8)>, Failure> {
        let mut processes = self.lock();
        loop {
            let wanted = |(number, entry): &(&u32, &Entry)| {
                entry.parent == pid
                    && match child {
                        Child::Any => true,
                        Child::Pid(pid) => pid == **number,
                    }
            };
            let mut children = processes.entries.iter().filter(wanted).peekable();
            if children.peek().is_none() {
                return Err(Errno::Child.into());
            }
            if let Some((number, status)) = children.find_map(|(number, entry)| Some((*number, entry.status?))) {
                processes.entries.remove(&number);
                return Ok(Some((number, status)));
            }
            if !wait {
                return Ok(None);
            }
            stop.check()?;
            processes = self.changed.wait_timeout(processes, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 10;

    fn table() -> (Table, u32) {
        let table = Table::default();
        let (first, _) = table.start(NOBODY, &Stop::default(), MOST, &Fatal::default()).expect("starts");
        (table, first)
    }

    #[test]
    fn waits_for_its_own_children_only() {
        let (table, first) = table();
        let stop = Stop::default();
        let (child, _) = table.start(first, &Stop::default(), MOST, &Fatal::default()).expect("starts");
        let (grandchild, _) = table.start(child, &Stop::default(), MOST, &Fatal::default()).expect("starts");
        assert!(matches!(table.wait(first, Child::Any, false, &stop), Ok(None)));
        assert!(matches!(table.wait(first, Child::Pid(grandchild), false, &stop), Err(Failure::Errno(Errno::Child))));
        table.end(child, 3);
        assert!(matches!(table.wait(first, Child::Any, true, &stop), Ok(Some((pid, 3))) if pid == child));
        assert!(matches!(table.wait(first, Child::Any, true, &stop), Err(Failure::Errno(Errno::Child))));
    }

    #[test]
    fn orphans_end_with_the_first_process() {
        let (table, first) = table();
        let (child, _) = table.start(first, &Stop::default(), MOST, &Fatal::default()).expect("starts");
        let (orphan, stop) = table.start(child, &Stop::default(), MOST, &Fatal::default()).expect("starts");
        table.end(child, 0);
        assert!(stop.check().is_ok());
        assert!(matches!(table.wait(first, Child::Any, true, &Stop::default()), Ok(Some((pid, 0))) if pid == child));
        assert!(table.wait(first, Child::Pid(orphan), false, &Stop::default()).is_err());
        table.end(first, 0);
        assert!(stop.check().is_err());
        table.end(orphan, 137);
        assert_eq!(table.kill(orphan, 0), Err(Errno::NoProcess));
        assert_eq!(table.started(), 3);
    }

    #[test]
    fn there_is_a_limit() {
        let (table, first) = table();
        for _ in 1..MOST {
            table.start(first, &Stop::default(), MOST, &Fatal::default()).expect("starts");
        }
        let fatal = Fatal::default();
        assert!(table.start(first, &Stop::default(), MOST, &fatal).is_err());
        assert!(fatal.is_set());
        table.end(2, 0);
        assert!(table.start(first, &Stop::default(), MOST, &fatal).is_ok(), "only the living count");
    }
}
