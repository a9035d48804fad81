//! `fd_*`: what concerns a descriptor as such.

use std::sync::Arc;

use super::Done;
use super::path::set_times;
use crate::wasi::errno::Errno;
use crate::wasi::fs::{FileType, Stat};
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::processes::{APPEND, Guest, NONBLOCK, Open, Target};

/// `dsync`, `rsync` and `sync`: writes are as durable as they get.
const SYNC_FLAGS: u16 = 2 | 8 | 16;
const LAST_ADVICE: u32 = 5;

pub(super) mod rights {
    pub(crate) const FD_READ: u64 = 1 << 1;
    pub(crate) const FD_WRITE: u64 = 1 << 6;
    pub(super) const SEEK_AND_TELL: u64 = 1 << 2 | 1 << 5;
    const SET_FLAGS: u64 = 1 << 3;
    const SYNC: u64 = 1 << 0 | 1 << 4;
    const ADVISE: u64 = 1 << 7;
    const ALLOCATE: u64 = 1 << 8;
    const PATHS: u64 = 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 16 | 1 << 17 | ENTRIES;
    const ENTRIES: u64 = 1 << 18 | 1 << 20 | 1 << 24 | 1 << 25 | 1 << 26;
    const READDIR: u64 = 1 << 14;
    const STAT: u64 = 1 << 21;
    const SET_SIZE: u64 = 1 << 22;
    const SET_TIMES: u64 = 1 << 23;
    const POLL: u64 = 1 << 27;

    pub(super) const STREAM: u64 = SET_FLAGS | STAT | POLL;
    pub(super) const FILE: u64 = STREAM | SEEK_AND_TELL | SYNC | ADVISE | SET_TIMES;
    pub(super) const WRITABLE: u64 = FD_WRITE | ALLOCATE | SET_SIZE;
    pub(super) const DIRECTORY: u64 = SET_FLAGS | SYNC | STAT | SET_TIMES | PATHS | READDIR;
    pub(super) const ALL: u64 = DIRECTORY | FILE | FD_READ | WRITABLE;
}

pub(super) fn advise(
    guest: &mut Guest,
    _: &mut GuestMemory<'_>,
    fd: u32,
    _offset: u64,
    _length: u64,
    advice: u32,
) -> Done {
    match &guest.descriptors.get(fd)?.open.target {
        Target::File(_) if advice <= LAST_ADVICE => Ok(()),
        Target::File(_) => Err(Errno::Invalid.into()),
        Target::Directory(_) => Err(Errno::BadDescriptor.into()),
        _ => Err(Errno::NoSeek.into()),
    }
}

pub(super) fn allocate(guest: &mut Guest, _: &mut GuestMemory<'_>, fd: u32, offset: u64, length: u64) -> Done {
    let open = guest.descriptors.open(fd)?;
    let Target::File(handle) = &open.target else { return Err(Errno::BadDescriptor.into()) };
    if !open.writable {
        return Err(Errno::BadDescriptor.into());
    }
    if length == 0 {
        return Err(Errno::Invalid.into());
    }
    let end = offset.checked_add(length).ok_or(Errno::FileTooBig)?;
    let mut tree = guest.step.filesystem.lock();
    if end > tree.size(handle.node) {
        tree.set_size(handle.node, end)?;
    }
    Ok(())
}

pub(super) fn close(guest: &mut Guest, _: &mut GuestMemory<'_>, fd: u32) -> Done {
    guest.descriptors.close(fd)?;
    Ok(())
}

/// There is nothing to be made durable: a step that is interrupted leaves nothing.
pub(super) fn sync(guest: &mut Guest, _: &mut GuestMemory<'_>, fd: u32) -> Done {
    match &guest.descriptors.get(fd)?.open.target {
        Target::File(_) | Target::Directory(_) => Ok(()),
        _ => Err(Errno::Invalid.into()),
    }
}

fn file_type(guest: &Guest, open: &Open) -> FileType {
    match (&open.target, open.node()) {
        (_, Some(node)) => guest.step.filesystem.lock().stat(node).file_type,
        (Target::Terminal(_), None) => FileType::CharacterDevice,
        // Preview 1 has no type for pipes; a character device would be taken for a terminal.
        _ => FileType::Unknown,
    }
}

fn rights(open: &Open) -> (u64, u64) {
    let base = match &open.target {
        Target::Directory(_) => return (rights::DIRECTORY, rights::ALL),
        Target::File(_) => rights::FILE,
        // With the right to seek it is not taken for a terminal.
        Target::Device(..) => rights::STREAM | rights::SEEK_AND_TELL,
        Target::Reader(_) | Target::Terminal(_) | Target::Writer(_) | Target::Stream(_) | Target::Empty => {
            rights::STREAM
        }
    };
    let read = if open.readable { rights::FD_READ } else { 0 };
    let write = match &open.target {
        _ if !open.writable => 0,
        Target::File(_) => rights::WRITABLE,
        _ => rights::FD_WRITE,
    };
    (base | read | write, 0)
}

pub(super) fn fdstat_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Done {
    let open = guest.descriptors.open(fd)?;
    let (base, inheriting) = rights(&open);
    let mut bytes = [0; 24];
    bytes[0] = file_type(guest, &open) as u8;
    bytes[2..4].copy_from_slice(&open.position().flags.to_le_bytes());
    bytes[8..16].copy_from_slice(&base.to_le_bytes());
    bytes[16..24].copy_from_slice(&inheriting.to_le_bytes());
    Ok(memory.write(out, &bytes)?)
}

pub(super) fn fdstat_set_flags(guest: &mut Guest, _: &mut GuestMemory<'_>, fd: u32, flags: u32) -> Done {
    let open = guest.descriptors.open(fd)?;
    let flags = u16::try_from(flags).map_err(|_| Errno::Invalid)?;
    if flags & !(APPEND | NONBLOCK | SYNC_FLAGS) != 0 {
        return Err(Errno::Invalid.into());
    }
    open.position().flags = flags;
    Ok(())
}

/// Rights are reported, not kept: as in wasmtime, none can be given up.
pub(super) fn fdstat_set_rights(
    guest: &mut Guest,
    _: &mut GuestMemory<'_>,
    fd: u32,
    _base: u64,
    _inheriting: u64,
) -> Done {
    guest.descriptors.get(fd)?;
    Err(Errno::NotSupported.into())
}

pub(super) fn filestat_bytes(stat: &Stat) -> [u8; 64] {
    const DEVICE: u64 = 1;
    let mut bytes = [0; 64];
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, DEVICE);
    put(8, stat.number);
    put(16, stat.file_type as u64);
    put(24, stat.links);
    put(32, stat.size);
    put(40, stat.accessed);
    put(48, stat.modified);
    put(56, stat.modified);
    bytes
}

pub(super) fn filestat_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Done {
    let open = guest.descriptors.open(fd)?;
    let bytes = match open.node() {
        Some(node) => filestat_bytes(&guest.step.filesystem.lock().stat(node)),
        None => {
            let mut bytes = [0; 64];
            bytes[24] = 1;
            bytes
        }
    };
    Ok(memory.write(out, &bytes)?)
}

pub(super) fn filestat_set_size(guest: &mut Guest, _: &mut GuestMemory<'_>, fd: u32, size: u64) -> Done {
    let open = guest.descriptors.open(fd)?;
    match &open.target {
        Target::File(handle) if open.writable => Ok(guest.step.filesystem.lock().set_size(handle.node, size)?),
        Target::File(_) => Err(Errno::BadDescriptor.into()),
        _ => Err(Errno::Invalid.into()),
    }
}

pub(super) fn filestat_set_times(
    guest: &mut Guest,
    _: &mut GuestMemory<'_>,
    fd: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Done {
    let times = set_times(accessed, modified, flags)?;
    let node = guest.descriptors.get(fd)?.open.node().ok_or(Errno::BadDescriptor)?;
    Ok(guest.step.filesystem.lock().set_times(node, times)?)
}

pub(super) fn renumber(guest: &mut Guest, _: &mut GuestMemory<'_>, from: u32, to: u32) -> Done {
    guest.descriptors.get(to)?;
    let moved = guest.descriptors.get(from)?.clone();
    guest.descriptors.close(from)?;
    Ok(guest.descriptors.set(to, moved)?)
}

pub(super) fn seek(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    offset: i64,
    whence: u32,
    out: u32,
) -> Done {
    let open = guest.descriptors.open(fd)?;
    let size = seekable(guest, &open)?;
    let mut position = open.position();
    let base = match whence {
        0 => 0,
        1 => position.offset,
        2 => size,
        _ => return Err(Errno::Invalid.into()),
    };
    // As on Linux, positions are signed.
    let new = base.checked_add_signed(offset).filter(|&new| i64::try_from(new).is_ok()).ok_or(Errno::Invalid)?;
    memory.write_u64(out, new)?;
    position.offset = new;
    Ok(())
}

pub(super) fn tell(guest: &mut Guest, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Done {
    let open = guest.descriptors.open(fd)?;
    seekable(guest, &open)?;
    let offset = open.position().offset;
    Ok(memory.write_u64(out, offset)?)
}

/// The size of what can be sought in.
fn seekable(guest: &Guest, open: &Arc<Open>) -> Result<u64, Errno> {
    match &open.target {
        Target::File(handle) => Ok(guest.step.filesystem.lock().size(handle.node)),
        Target::Device(..) => Ok(0),
        Target::Directory(_) => Err(Errno::BadDescriptor),
        Target::Reader(_) | Target::Terminal(_) | Target::Writer(_) | Target::Stream(_) | Target::Empty => {
            Err(Errno::NoSeek)
        }
    }
}
