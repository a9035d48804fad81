//! A process with all that it has started: its descendants, and those of its session that lost their parents.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::{Signal, pidfd_send_signal};

use super::Identity;

/// While some are killed others may be started, but not for ever.
const MOST_ROUNDS: usize = 64;

/// What `/proc/<pid>/stat` says of a process.
struct Stat {
    parent: u32,
    session: u32,
}

/// Kills the leader of a session and everything in its pid namespace that came of it, but for what has a session of its
/// own and lost its parent: a daemon.
pub(crate) fn kill(leader: u32) -> io::Result<()> {
    let namespace = namespace(leader)?;
    let mut known = BTreeMap::new();
    for _ in 0..MOST_ROUNDS {
        let found = find(leader, &mut known)?;
        // All were found before the first is killed: then its children get another parent.
        let kill = |process: &Identity| -> io::Result<()> {
            let opened = process.open()?;
            if self::namespace(process.pid)? == namespace {
                pidfd_send_signal(opened, Signal::KILL)?;
            }
            Ok(())
        };
        if found.iter().filter(|process| kill(process).is_ok()).count() == 0 {
            break;
        }
    }
    Ok(())
}

/// Those that live and were not known.
fn find(leader: u32, known: &mut BTreeMap<u32, Identity>) -> io::Result<Vec<Identity>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let all: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mut found = Vec::new();
    // Until none is left whose parent was met after it.
    loop {
        let before = found.len();
        for &pid in &all {
            let belongs = |stat: Stat| pid == leader || stat.session == leader || known.contains_key(&stat.parent);
            if !known.contains_key(&pid)
                && stat(pid).is_some_and(belongs)
                && let Ok(process) = Identity::of(pid)
            {
                known.insert(pid, process);
                found.push(process);
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

fn namespace(pid: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid"))
}

/// `None` of one that is gone, or dead and not waited for.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may contain anything.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Stat { parent, session })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_a_process_has_started_dies_with_it() {
        let script = "sleep 600 & setsid sleep 600 & (sleep 600 &) ; exec sleep 600";
        let mut leader =
            Command::new("setsid").args(["sh", "-c", script]).stdin(Stdio::null()).spawn().expect("setsid");
        let mut started = BTreeMap::new();
        let end = Instant::now() + Duration::from_secs(60);
        // Shells that start one and end are seen, too.
        let is_sleeper = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
        while started.len() != 4 || !started.keys().copied().all(is_sleeper) {
            assert!(Instant::now() < end, "{started:?}");
            started.clear();
            find(leader.id(), &mut started).expect("readable");
        }
        kill(leader.id()).expect("killed");
        leader.wait().expect("waited for");
        let is_left = || started.values().any(|process| stat(process.pid).is_some() && process.is_alive());
        while is_left() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!is_left(), "{started:?}");
    }
}
