//! `kiln_fs_v1`: the modes and owners that preview 1 does not know.

use super::Done;
use super::path::base;
use crate::wasi::errno::Errno;
use crate::wasi::fs::{NodeId, Tree};
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::processes::Guest;

const FOLLOW: u32 = 1;
/// An owner that stays as it is.
const KEEP: u32 = u32::MAX;
const MODE_OF_PIPES: u32 = 0o010_600;

/// The node of a path, or of the descriptor itself where the path is empty; `None` for a pipe.
fn node(guest: &Guest, tree: &mut Tree, fd: u32, path: &[u8], flags: u32) -> Result<Option<NodeId>, Errno> {
    if path.is_empty() {
        return Ok(guest.descriptors.get(fd)?.open.node());
    }
    let start = base(guest, tree, fd, path)?;
    tree.resolve(start, path, flags & FOLLOW != 0)?.existing().map(Some)
}

pub(super) fn chmod(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
    flags: u32,
    mode: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let node = node(guest, &mut tree, fd, &path, flags)?.ok_or(Errno::Invalid)?;
    Ok(tree.set_mode(node, mode)?)
}

pub(super) fn chown(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
    flags: u32,
    uid: u32,
    gid: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let node = node(guest, &mut tree, fd, &path, flags)?.ok_or(Errno::Invalid)?;
    let owner = |id: u32| (id != KEEP).then_some(id);
    Ok(tree.set_owner(node, owner(uid), owner(gid))?)
}

pub(super) fn stat(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
    flags: u32,
    out: u32,
) -> Done {
    let path = memory.path(path, length)?;
    let mut tree = guest.step.filesystem.lock();
    let fields = match node(guest, &mut tree, fd, &path, flags)? {
        Some(node) => {
            let stat = tree.stat(node);
            [stat.mode, stat.uid, stat.gid, u32::try_from(stat.links).unwrap_or(u32::MAX)]
        }
        None => [MODE_OF_PIPES, guest.creator.uid, guest.creator.gid, 1],
    };
    let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
    Ok(memory.write(out, &bytes)?)
}
