//! What is in a node: bytes, size, times, mode, owner.

use kiln_image::Content;
use kiln_types::Digest;

use super::data::Data;
use super::entries::{SetTimes, Time};
use super::node::{Body, NodeId, Stat};
use super::tree::Tree;
use crate::wasi::errno::Errno;
use crate::wasi::limits;

const KEEP: &str = "keep what the step writes";

impl Tree {
    fn data(&self, id: NodeId) -> Result<&Data, Errno> {
        match &self.node(id).body {
            Body::File(data) => Ok(data),
            Body::Directory(_) => Err(Errno::IsDirectory),
            _ => Err(Errno::Invalid),
        }
    }

    /// The content of a file that nothing has changed yet: it can be read without the tree.
    pub(crate) fn unchanged(&self, id: NodeId) -> Result<Option<Content>, Errno> {
        Ok(self.data(id)?.unchanged().filter(|content| content.is_random_access()).cloned())
    }

    pub(crate) fn read_at(&self, id: NodeId, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.data(id)?
            .read_at(&self.spill, buffer, offset)
            .map_err(|error| self.fatal.host("read a file of the step", error))
    }

    pub(crate) fn write_at(&mut self, id: NodeId, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::FileTooBig)?;
        self.prepare_change(id, end.max(self.data(id)?.size()))?;
        let (node, spill) = self.node_and_spill(id);
        if let Body::File(data) = &mut node.body {
            data.write_at(spill, bytes, offset).map_err(|error| self.fatal.host(KEEP, error))?;
        }
        Ok(())
    }

    pub(crate) fn set_size(&mut self, id: NodeId, size: u64) -> Result<(), Errno> {
        // As on Linux, sizes are signed.
        if i64::try_from(size).is_err() {
            return Err(Errno::Invalid);
        }
        if size > limits::FILE_SIZE {
            return Err(Errno::FileTooBig);
        }
        self.data(id)?;
        self.prepare_change(id, size)?;
        let (node, spill) = self.node_and_spill(id);
        if let Body::File(data) = &mut node.body {
            data.set_size(spill, size).map_err(|error| self.fatal.host(KEEP, error))?;
        }
        Ok(())
    }

    /// A file is about to be changed and will then be `size` long.
    fn prepare_change(&mut self, id: NodeId, size: u64) -> Result<(), Errno> {
        self.check_changeable(id)?;
        self.charge(id, size)?;
        self.touch(id);
        // A program that is changed loses its privileges, as on Linux.
        self.node_mut(id).meta.xattrs.remove(&b"security.capability"[..]);
        Ok(())
    }

    pub(crate) fn size(&self, id: NodeId) -> u64 {
        self.node(id).size()
    }

    pub(crate) fn stat(&mut self, id: NodeId) -> Stat {
        let number = self.number(id);
        let node = self.node(id);
        Stat {
            number,
            file_type: node.file_type(),
            links: if node.is_directory() { node.links.min(1).into() } else { node.links.into() },
            size: node.size(),
            accessed: node.accessed.unwrap_or(node.modified()),
            modified: node.modified(),
            mode: node.mode(),
            uid: node.meta.uid,
            gid: node.meta.gid,
        }
    }

    pub(crate) fn set_times(&mut self, id: NodeId, times: SetTimes) -> Result<(), Errno> {
        self.check_changeable(id)?;
        let now = self.clock.now();
        let at = |time| match time {
            Time::Now => now,
            Time::At(time) => time,
        };
        let node = self.node_mut(id);
        if let Some(time) = times.accessed {
            node.accessed = Some(at(time));
        }
        if let Some(time) = times.modified {
            // Layers keep what the program has seen, also where it only moved the time of access.
            node.accessed = Some(node.accessed.unwrap_or(node.modified()));
            node.set_modified(at(time));
            node.times_set = true;
        }
        Ok(())
    }

    pub(crate) fn set_mode(&mut self, id: NodeId, mode: u32) -> Result<(), Errno> {
        self.check_changeable(id)?;
        let node = self.node_mut(id);
        if matches!(node.body, Body::Symlink(_)) {
            return Err(Errno::NotSupported);
        }
        node.meta.mode = mode & 0o7777;
        Ok(())
    }

    pub(crate) fn set_owner(&mut self, id: NodeId, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        self.check_changeable(id)?;
        let node = self.node_mut(id);
        node.meta.uid = uid.unwrap_or(node.meta.uid);
        node.meta.gid = gid.unwrap_or(node.meta.gid);
        // Linux takes the privileges off a program that changes hands.
        if matches!(node.body, Body::File(_)) && (uid.is_some() || gid.is_some()) {
            let group = if node.meta.mode & 0o010 != 0 { 0o2000 } else { 0 };
            node.meta.mode &= !(0o4000 | group);
            node.meta.xattrs.remove(&b"security.capability"[..]);
        }
        Ok(())
    }

    /// A regular file that may be executed: its digest and a way to its bytes.
    pub(crate) fn program(&self, id: NodeId) -> Result<(u32, u64, Option<Digest>), Errno> {
        match &self.node(id).body {
            Body::File(data) => Ok((self.node(id).meta.mode, data.size(), data.known_digest())),
            _ => Err(Errno::Access),
        }
    }
}
