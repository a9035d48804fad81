//! Becoming root in a user namespace, so that an ordinary user can mount, chown and run sandboxes.
//!
//! The whole process moves, once, before it has threads; from then on all file work is done in-process as that root.

mod denied;
mod ranges;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe};

pub use denied::Denied;
use ranges::{Helpers, Mapping};

use crate::process::Identity;

/// Which ids this process can give to files and processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// The host's root: every id, in no user namespace.
    Root,
    /// Root of a user namespace in which only one id is mapped.
    Single,
    /// Root of a user namespace with many ids.
    Ranges,
}

impl Ids {
    /// Whether this is a user namespace, where overlayfs keeps its marks in `user.*` attributes and not `trusted.*`.
    pub fn in_user_namespace(self) -> bool {
        self != Self::Root
    }
}

static CURRENT: OnceLock<Ids> = OnceLock::new();

/// What [`enter`] found or made; `None` before it was called, or when it was denied.
pub fn current() -> Option<Ids> {
    CURRENT.get().copied()
}

/// Makes this process root, where it is not already. Must be called while it has a single thread.
///
/// An ordinary user gets a user namespace: its own id becomes root, and the ranges of `/etc/subuid` and `/etc/subgid`
/// follow where the system has `newuidmap` and `newgidmap`. Denied is no failure of the program: everything but
/// running Linux programs works without.
pub fn enter() -> Result<Ids, Denied> {
    if let Some(ids) = current() {
        return Ok(ids);
    }
    expect_children();
    let ids = if geteuid().is_root() { existing()? } else { create()? };
    Ok(*CURRENT.get_or_init(|| ids))
}

/// Becomes root of the user namespace of another process, where a container of this user runs. Must be called while this
/// process has a single thread, and instead of [`enter`].
///
/// # Errors
/// Processes of other users, and those that are gone.
pub fn join(process: Identity) -> io::Result<Ids> {
    expect_children();
    let target = process.open()?;
    if namespace("self")? != namespace(&process.pid.to_string())? {
        move_into_thread_name_spaces(target.as_fd(), ThreadNameSpaceType::USER)?;
        // The kernel does not look at the ids that come along: they mean others here.
        rustix::thread::set_thread_groups(&[])
            .or_else(|errno| if errno == Errno::PERM { Ok(()) } else { Err(errno) })?;
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    }
    let ids = existing().map_err(|denied| io::Error::other(denied.to_string()))?;
    Ok(*CURRENT.get_or_init(|| ids))
}

/// The user namespace of a process, as a number.
fn namespace(process: &str) -> io::Result<u64> {
    Ok(fs::metadata(format!("/proc/{process}/ns/user"))?.ino())
}

/// Undoes what whoever started this process may have left it: with SIGCHLD ignored nobody learns how a child ended, be
/// it a helper of ours or any other program.
fn expect_children() {
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Root already: of the host, or of a user namespace that someone else made.
fn existing() -> Result<Ids, Denied> {
    let map =
        fs::read_to_string("/proc/self/uid_map").map_err(|source| Denied::unreadable("/proc/self/uid_map", &source))?;
    Ok(ids_of(&map))
}

/// Tells the kinds apart by an id map: lines of first id inside, first id outside, count.
fn ids_of(map: &str) -> Ids {
    let mut mapped: u64 = 0;
    let mut identical = true;
    for line in map.lines() {
        let numbers: Vec<u64> = line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        if let [inside, outside, count] = numbers[..] {
            identical &= inside == outside;
            mapped = mapped.saturating_add(count);
        }
    }
    match mapped {
        _ if identical && mapped >= u64::from(u32::MAX) => Ids::Root,
        0 | 1 => Ids::Single,
        _ => Ids::Ranges,
    }
}

fn create() -> Result<Ids, Denied> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let helpers = Helpers::find(uid).map(|helpers| helpers.start(&Mapping::new(uid, gid))).transpose();
    // Without helpers there is still the map of our own id, which needs nobody's permission.
    let helpers = helpers.unwrap_or(None);

    // SAFETY: this unshares neither memory nor descriptors; the kernel refuses it where there is a second thread.
    let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWUSER) };
    let mapped = helpers.is_some_and(|helpers| helpers.finish(unshared.is_ok()));
    unshared.map_err(Denied::unshare)?;
    if mapped {
        return Ok(Ids::Ranges);
    }
    map_single(uid, gid).map_err(|source| Denied::map(&source))?;
    Ok(Ids::Single)
}

/// Maps our own ids alone. One map may be there already, when only the second helper failed.
fn map_single(uid: u32, gid: u32) -> io::Result<()> {
    if read_small("/proc/self/uid_map").is_empty() {
        write_map("uid_map", &format!("0 {uid} 1\n"))?;
    }
    if read_small("/proc/self/gid_map").is_empty() {
        // Forced order: without privilege the kernel takes a gid map only after setgroups was given up.
        write_map("setgroups", "deny")?;
        write_map("gid_map", &format!("0 {gid} 1\n"))?;
    }
    Ok(())
}

fn write_map(name: &str, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(format!("/proc/self/{name}"))?.write_all(text.as_bytes())
}

/// Reads a small system file; one that is not there is empty.
fn read_small(path: &str) -> String {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(1 << 20).read_to_string(&mut text));
    if read.is_ok() { text } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_map_tells_which_ids_there_are() {
        for (map, ids) in [
            ("         0          0 4294967295\n", Ids::Root),
            ("         0       1000          1\n", Ids::Single),
            ("0 1000 1\n1 100000 65536\n", Ids::Ranges),
            ("0 100000 65536\n", Ids::Ranges),
            ("0 0 1\n", Ids::Single),
            ("", Ids::Single),
        ] {
            assert_eq!(ids_of(map), ids, "{map:?}");
        }
    }
}
