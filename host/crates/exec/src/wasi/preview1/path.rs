//! `path_*`: everything that takes a path.

use std::sync::Arc;

use super::Done;
use super::descriptor::{filestat_bytes, rights};
use crate::wasi::errno::Errno;
use crate::wasi::fs::{NodeId, OpenFlags, Opened, SetTimes, Time, Tree};
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::processes::{Guest, HERE, Open, Target};

const SYMLINK_FOLLOW: u32 = 1;

mod oflags {
    pub(super) const CREATE: u32 = 1;
    pub(super) const DIRECTORY: u32 = 2;
    pub(super) const EXCLUSIVE: u32 = 4;
    pub(super) const TRUNCATE: u32 = 8;
    pub(super) const ALL: u32 = 15;
}

/// The directory that `path` is relative to.
pub(super) fn base(guest: &Guest, tree: &mut Tree, fd: u32, path: &[u8]) -> Result<NodeId, Errno> {
    let directory = guest.descriptors.directory(fd)?;
    let here = guest.descriptors.get(fd)?.preopen.as_deref() == Some(HERE);
    Ok(if here { tree.guess_base(directory, path) } else { directory })
}

pub(super) fn create_directory(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    Ok(tree.make_directory(start, &path, guest.creator)?)
}

pub(super) fn filestat_get(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    out: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    let node = tree.resolve(start, &path, flags & SYMLINK_FOLLOW != 0)?.existing()?;
    let stat = tree.stat(node);
    Ok(memory.write(out, &filestat_bytes(&stat))?)
}

/// `fstflags`: for each time, take the one given, or now.
pub(super) fn set_times(accessed: u64, modified: u64, flags: u32) -> Result<SetTimes, Errno> {
    let time = |given: u32, now: u32, time: u64| match (flags & given != 0, flags & now != 0) {
        (true, true) => Err(Errno::Invalid),
        (true, false) => Ok(Some(Time::At(time))),
        (false, true) => Ok(Some(Time::Now)),
        (false, false) => Ok(None),
    };
    if flags >= 16 {
        return Err(Errno::Invalid);
    }
    Ok(SetTimes { accessed: time(1, 2, accessed)?, modified: time(4, 8, modified)? })
}

pub(super) fn filestat_set_times(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    accessed: u64,
    modified: u64,
    times: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let times = set_times(accessed, modified, times)?;
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    let node = tree.resolve(start, &path, flags & SYMLINK_FOLLOW != 0)?.existing()?;
    Ok(tree.set_times(node, times)?)
}

pub(super) fn link(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    old_fd: u32,
    flags: u32,
    old: u32,
    old_length: u32,
    new_fd: u32,
    new: u32,
    new_length: u32,
) -> Done {
    let (old, new) = (memory.path(old, old_length)?, memory.path(new, new_length)?);
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, old_fd, &old)?;
    let node = tree.resolve(start, &old, flags & SYMLINK_FOLLOW != 0)?.existing()?;
    let start = base(guest, &mut tree, new_fd, &new)?;
    Ok(tree.link(node, start, &new)?)
}

pub(super) fn open(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    how: u32,
    rights_base: u64,
    _rights_inheriting: u64,
    fdflags: u32,
    out: u32,
) -> Done {
    let path = memory.path(path, length)?;
    if how & !oflags::ALL != 0 {
        return Err(Errno::Invalid.into());
    }
    let fdflags = u16::try_from(fdflags).map_err(|_| Errno::Invalid)?;
    let write = rights_base & rights::FD_WRITE != 0;
    let flags = OpenFlags {
        create: how & oflags::CREATE != 0,
        exclusive: how & oflags::EXCLUSIVE != 0,
        truncate: how & oflags::TRUNCATE != 0,
        directory: how & oflags::DIRECTORY != 0,
        follow: flags & SYMLINK_FOLLOW != 0,
        write,
    };
    let readable = rights_base & rights::FD_READ != 0;
    // The number comes first: without one nothing is made.
    memory.write_u32(out, 0)?;
    guest.descriptors.check_room()?;
    let filesystem = guest.step.filesystem.clone();
    let mut tree = filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    let target = match tree.open(start, &path, flags, guest.creator)? {
        Opened::File(node) => Target::File(filesystem.handle(&mut tree, node)),
        Opened::Directory(node) => Target::Directory(filesystem.handle(&mut tree, node)),
        Opened::Device(node, device) => Target::Device(filesystem.handle(&mut tree, node), device),
        Opened::Standard(number) => {
            let open = guest.descriptors.open(number).map_err(|_| Errno::NoDevice)?;
            let number = guest.descriptors.add(open)?;
            return Ok(memory.write_u32(out, number)?);
        }
    };
    drop(tree);
    let number = guest.descriptors.add(Arc::new(Open::new(target, readable, write, fdflags)))?;
    Ok(memory.write_u32(out, number)?)
}

pub(super) fn readlink(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
    buffer: u32,
    room: u32,
    out: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    let target = tree.read_link(start, &path)?;
    // What does not fit is cut, as `readlink` does.
    let fits = target.len().min(room as usize);
    memory.write(buffer, &target[..fits])?;
    Ok(memory.write_u32(out, fits as u32)?)
}

pub(super) fn remove_directory(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    Ok(tree.remove_directory(start, &path)?)
}

pub(super) fn rename(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    old_fd: u32,
    old: u32,
    old_length: u32,
    new_fd: u32,
    new: u32,
    new_length: u32,
) -> Done {
    let (old, new) = (memory.path(old, old_length)?, memory.path(new, new_length)?);
    let mut tree = guest.step.filesystem.lock();
    let from = base(guest, &mut tree, old_fd, &old)?;
    let to = base(guest, &mut tree, new_fd, &new)?;
    Ok(tree.rename(from, &old, to, &new)?)
}

pub(super) fn symlink(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    target: u32,
    target_length: u32,
    fd: u32,
    path: u32,
    length: u32,
) -> Done {
    let (target, path) = (memory.path(target, target_length)?, memory.path(path, length)?);
    if target.is_empty() {
        return Err(Errno::NotFound.into());
    }
    if target.contains(&0) {
        return Err(Errno::Invalid.into());
    }
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    Ok(tree.make_symlink(start, &path, target, guest.creator)?)
}

pub(super) fn unlink_file(guest: &mut Guest, memory: &mut GuestMemory<'_>, fd: u32, path: u32, length: u32) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let start = base(guest, &mut tree, fd, &path)?;
    Ok(tree.remove_file(start, &path)?)
}
