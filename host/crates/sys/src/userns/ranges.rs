//! Id maps of more than one id: what the administrator granted in `/etc/subuid` and `/etc/subgid`, written by the
//! setuid helpers of shadow-utils (`newuidmap`, `newgidmap`).
//!
//! The helpers must run outside the new namespace and after it exists, so a child is forked before and waits.

use std::io::{self, PipeWriter, Read, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

use super::read_small;

/// A privileged program is only taken from where administrators put them.
const DIRECTORIES: [&str; 6] =
    ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin", "/run/wrappers/bin", "/run/current-system/sw/bin"];

/// A map as the helpers take it: (first id inside, first id outside, count).
type Map = Vec<(u32, u32, u32)>;

pub(super) struct Mapping {
    uids: Map,
    gids: Map,
}

impl Mapping {
    pub(super) fn new(uid: u32, gid: u32) -> Self {
        let name = user_name(&read_small("/etc/passwd"), uid);
        let map = |own: u32, path: &str| map_of(own, &granted(&read_small(path), name.as_deref(), uid));
        Self { uids: map(uid, "/etc/subuid"), gids: map(gid, "/etc/subgid") }
    }
}

/// Root is our own id; the granted ranges follow without gaps. The kernel takes no id twice, and files that grant a range
/// by name and by id do.
fn map_of(own: u32, granted: &[(u32, u32)]) -> Map {
    let mut map = vec![(0, own, 1)];
    let mut next: u32 = 1;
    for &(start, count) in granted {
        let count = count.min(u32::MAX - next);
        let overlaps = |&(_, other, length): &(u32, u32, u32)| {
            u64::from(start) < u64::from(other) + u64::from(length)
                && u64::from(other) < u64::from(start) + u64::from(count)
        };
        if count > 0 && !map.iter().any(overlaps) {
            map.push((next, start, count));
            next += count;
        }
    }
    map
}

/// The ranges of a subid file, `name-or-id:start:count` in each line.
fn granted(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let owner = fields.next()?;
            let range = (fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?);
            (Some(owner) == name || owner == uid).then_some(range)
        })
        .collect()
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// Both programs, installed.
pub(super) struct Helpers {
    newuidmap: PathBuf,
    newgidmap: PathBuf,
}

impl Helpers {
    /// `None` where the system has no helpers, or grants this user nothing.
    pub(super) fn find(uid: u32) -> Option<Self> {
        let name = user_name(&read_small("/etc/passwd"), uid);
        let granted = |path: &str| !granted(&read_small(path), name.as_deref(), uid).is_empty();
        if !granted("/etc/subuid") || !granted("/etc/subgid") {
            return None;
        }
        let find =
            |program: &str| DIRECTORIES.iter().map(|dir| Path::new(dir).join(program)).find(|path| path.is_file());
        Some(Self { newuidmap: find("newuidmap")?, newgidmap: find("newgidmap")? })
    }

    /// Forks the child that will run them on this process once it says so.
    pub(super) fn start(self, mapping: &Mapping) -> io::Result<Started> {
        let (mut waiting, go) = pipe()?;
        let target = getpid();
        // SAFETY: the caller has a single thread, so the child may do anything; it ends in `_exit` and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(go);
                let mut byte = [0];
                let done = waiting.read_exact(&mut byte).is_ok()
                    && run(&self.newuidmap, target, &mapping.uids)
                    && run(&self.newgidmap, target, &mapping.gids);
                // SAFETY: ends the forked child without running the parent's exit handlers.
                unsafe { libc::_exit(i32::from(!done)) }
            }
            child => Pid::from_raw(child)
                .map(|child| Started { child, go })
                .ok_or_else(|| io::Error::other("fork answered no process id")),
        }
    }
}

fn run(program: &Path, target: Pid, map: &Map) -> bool {
    let numbers = map.iter().flat_map(|&(inside, outside, count)| [inside, outside, count]);
    Command::new(program)
        .arg(target.as_raw_nonzero().to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Their refusals are no news for the user: the map of a single id is made instead, and `Ids` tells.
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The child that waits outside.
pub(super) struct Started {
    child: Pid,
    go: PipeWriter,
}

impl Started {
    /// Has both maps written to this process, if it is in its new namespace now, and waits for the child. False if
    /// there are no maps then.
    pub(super) fn finish(mut self, unshared: bool) -> bool {
        let told = unshared && self.go.write_all(&[0]).is_ok();
        drop(self.go);
        let status = loop {
            match waitpid(Some(self.child), WaitOptions::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other,
            }
        };
        told && matches!(status, Ok(Some((_, status))) if status.exit_status() == Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_granted_by_name_and_by_id() {
        let text = "alice:100000:65536\n1000:300000:10\nbob:1:1\nbroken\nalice:x:y\n";
        assert_eq!(granted(text, Some("alice"), 1000), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(granted(text, None, 7), []);
    }

    #[test]
    fn the_map_starts_with_our_own_id_and_has_no_gaps() {
        assert_eq!(
            map_of(1000, &[(100_000, 65536), (300_000, 10)]),
            [(0, 1000, 1), (1, 100_000, 65536), (65537, 300_000, 10)]
        );
        assert_eq!(map_of(5, &[(6, u32::MAX), (9, 9)]), [(0, 5, 1), (1, 6, u32::MAX - 1)]);
        assert_eq!(map_of(5, &[(9, 10), (9, 10), (18, 2), (19, 2)]), [(0, 5, 1), (1, 9, 10), (11, 19, 2)]);
    }

    #[test]
    fn names_come_from_passwd() {
        let passwd = "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(user_name(passwd, 7), None);
    }
}
