//! Preopened directories and reading directories.

use super::Done;
use crate::wasi::errno::Errno;
use crate::wasi::fs::{Listed, NodeId};
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::processes::{Guest, Listing, Target};

/// The fixed part of a directory entry, before its name.
const ENTRY: usize = 24;

pub(super) fn prestat_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Done {
    let name = guest.descriptors.get(fd)?.preopen.clone().ok_or(Errno::BadDescriptor)?;
    // Tag 0: a directory.
    memory.write_u32(out, 0)?;
    Ok(memory.write_u32(out.checked_add(4).ok_or(Errno::Fault)?, name.len() as u32)?)
}

pub(super) fn prestat_dir_name(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
) -> Done {
    let name = guest.descriptors.get(fd)?.preopen.clone().ok_or(Errno::BadDescriptor)?;
    if (length as usize) < name.len() {
        return Err(Errno::NameTooLong.into());
    }
    Ok(memory.write(path, &name)?)
}

/// A cookie is a place in the list of names as it was when the directory was read from its beginning: entries that
/// are removed meanwhile move nothing.
pub(super) fn readdir(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    buffer: u32,
    length: u32,
    cookie: u64,
    out: u32,
) -> Done {
    let open = guest.descriptors.open(fd)?;
    let Target::Directory(handle) = &open.target else { return Err(Errno::NotDirectory.into()) };
    let mut position = open.position();
    if cookie == 0 {
        position.listing = None;
    }
    let listing = match &mut position.listing {
        Some(listing) => listing,
        missing => missing.insert(list(guest, handle.node)?),
    };
    let start = usize::try_from(cookie).unwrap_or(usize::MAX).min(listing.names.len());
    let room = memory.bytes_mut(buffer, length)?;
    let mut used = 0;
    for (index, listed) in listing.names.iter().enumerate().skip(start) {
        let mut entry = Vec::with_capacity(ENTRY + listed.name.len());
        entry.extend_from_slice(&(index as u64 + 1).to_le_bytes());
        entry.extend_from_slice(&listed.number.to_le_bytes());
        entry.extend_from_slice(&(listed.name.len() as u32).to_le_bytes());
        entry.extend_from_slice(&(listed.file_type as u32).to_le_bytes());
        entry.extend_from_slice(&listed.name);
        // The last entry may be cut: a full buffer tells the guest that there is more.
        let fits = entry.len().min(room.len() - used);
        room[used..used + fits].copy_from_slice(&entry[..fits]);
        used += fits;
        if used == room.len() {
            break;
        }
    }
    Ok(memory.write_u32(out, used as u32)?)
}

fn list(guest: &Guest, directory: NodeId) -> Result<Listing, Errno> {
    let names = guest.step.filesystem.lock().list(directory)?;
    let bytes = names.iter().map(|listed| size_of::<Listed>() + listed.name.len()).sum();
    Ok(Listing { names, _memory: guest.step.reserve(bytes)? })
}
