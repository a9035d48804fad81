//! Names: opening, making, linking, renaming, removing.

use kiln_image::Meta;
use kiln_types::paths;

use super::data::Data;
use super::node::{Body, Directory, FileType, NodeId};
use super::path::Place;
use super::tree::{Creator, Tree};
use super::world::Device;
use crate::wasi::errno::Errno;
use crate::wasi::tools;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpenFlags {
    pub(crate) create: bool,
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    pub(crate) directory: bool,
    pub(crate) follow: bool,
    pub(crate) write: bool,
}

/// What opening a path gives.
pub(crate) enum Opened {
    File(NodeId),
    Directory(NodeId),
    Device(NodeId, Device),
    /// The opener's own descriptor of that number.
    Standard(u32),
}

/// `None` keeps a time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SetTimes {
    pub(crate) accessed: Option<Time>,
    pub(crate) modified: Option<Time>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Time {
    Now,
    At(u64),
}

/// One name of a directory.
pub(crate) struct Listed {
    pub(crate) name: Vec<u8>,
    pub(crate) number: u64,
    pub(crate) file_type: FileType,
}

impl Tree {
    pub(crate) fn open(
        &mut self,
        start: NodeId,
        path: &[u8],
        flags: OpenFlags,
        creator: Creator,
    ) -> Result<Opened, Errno> {
        // As on Linux: what is created is never a directory.
        if flags.directory && flags.create {
            return Err(Errno::Invalid);
        }
        if flags.create && path.ends_with(b"/") && !self.resolve_entry(start, path)?.name.is_empty() {
            return Err(Errno::IsDirectory);
        }
        // Exclusive creation never follows: a dangling link is something that exists.
        let follow = flags.follow && !(flags.create && flags.exclusive);
        let place = self.resolve(start, path, follow)?;
        let Some(id) = place.node else {
            if !flags.create {
                return Err(Errno::NotFound);
            }
            if place.slash {
                return Err(Errno::IsDirectory);
            }
            let meta = self.meta(place.parent, 0o666, creator, false)?;
            return Ok(Opened::File(self.create(place.parent, &place.name, meta, Body::File(Data::default()))?));
        };
        if flags.create && flags.exclusive {
            return Err(Errno::Exists);
        }
        let node = self.node(id);
        if flags.directory && !node.is_directory() {
            return Err(Errno::NotDirectory);
        }
        match node.body {
            Body::Directory(_) if flags.truncate || flags.create || flags.write => Err(Errno::IsDirectory),
            Body::Directory(_) => Ok(Opened::Directory(id)),
            Body::File(_) => {
                if flags.write || flags.truncate {
                    self.check_changeable(id)?;
                }
                if flags.truncate {
                    self.set_size(id, 0)?;
                }
                Ok(Opened::File(id))
            }
            Body::Symlink(_) => Err(Errno::Loop),
            Body::CharDevice { major, minor } => {
                Device::from_numbers(major, minor).map(|device| Opened::Device(id, device)).ok_or(Errno::NoDevice)
            }
            Body::BlockDevice { .. } => Err(Errno::NoDevice),
            Body::Fifo => Err(Errno::NotSupported),
            Body::Standard(number) => Ok(Opened::Standard(number)),
        }
    }

    /// What a new file gets: a set-group-id directory hands its group down.
    fn meta(&self, parent: NodeId, mode: u32, creator: Creator, directory: bool) -> Result<Meta, Errno> {
        self.directory(parent)?;
        let above = &self.node(parent).meta;
        let inherits = above.mode & 0o2000 != 0;
        Ok(Meta {
            mode: mode & !creator.umask | if inherits && directory { 0o2000 } else { 0 },
            uid: creator.uid,
            gid: if inherits { above.gid } else { creator.gid },
            ..Meta::default()
        })
    }

    pub(crate) fn make_directory(&mut self, start: NodeId, path: &[u8], creator: Creator) -> Result<(), Errno> {
        let place = self.free_place(start, path)?;
        let meta = self.meta(place.parent, 0o777, creator, true)?;
        let body = Body::Directory(Directory::new(place.parent, true));
        self.create(place.parent, &place.name, meta, body)?;
        Ok(())
    }

    pub(crate) fn make_symlink(
        &mut self,
        start: NodeId,
        path: &[u8],
        target: Vec<u8>,
        creator: Creator,
    ) -> Result<(), Errno> {
        let place = self.free_place(start, path)?;
        if place.slash {
            return Err(Errno::NotFound);
        }
        let meta = Meta { mode: 0o777, ..self.meta(place.parent, 0, creator, false)? };
        let reserved = self.reserve(target.len())?;
        let id = self.create(place.parent, &place.name, meta, Body::Symlink(target))?;
        self.node_mut(id).reserved = Some(reserved);
        Ok(())
    }

    fn free_place(&mut self, start: NodeId, path: &[u8]) -> Result<Place, Errno> {
        let place = self.resolve_entry(start, path)?;
        if place.node.is_some() { Err(Errno::Exists) } else { Ok(place) }
    }

    pub(crate) fn link(&mut self, id: NodeId, start: NodeId, path: &[u8]) -> Result<(), Errno> {
        let place = self.free_place(start, path)?;
        if place.slash {
            return Err(Errno::NotFound);
        }
        if self.node(id).is_directory() {
            return Err(Errno::NotPermitted);
        }
        if self.node(id).volume != self.node(place.parent).volume {
            return Err(Errno::CrossDevice);
        }
        self.check_changeable(id)?;
        self.check_writable(place.parent)?;
        // A file that has lost its last name cannot get one again.
        if self.node(id).links == 0 {
            return Err(Errno::NotFound);
        }
        self.take_file()?;
        self.node_mut(id).links += 1;
        self.attach(place.parent, &place.name, id)
    }

    pub(crate) fn read_link(&mut self, start: NodeId, path: &[u8]) -> Result<&[u8], Errno> {
        let id = self.resolve(start, path, false)?.existing()?;
        match &self.node(id).body {
            Body::Symlink(target) => Ok(target),
            _ => Err(Errno::Invalid),
        }
    }

    pub(crate) fn remove_file(&mut self, start: NodeId, path: &[u8]) -> Result<(), Errno> {
        let place = self.resolve_entry(start, path)?;
        let id = place.existing()?;
        if self.node(id).is_directory() {
            return Err(Errno::IsDirectory);
        }
        if place.slash {
            return Err(Errno::NotDirectory);
        }
        self.check_removable(place.parent, id)?;
        self.detach(place.parent, &place.name)?;
        self.unlink(id);
        Ok(())
    }

    pub(crate) fn remove_directory(&mut self, start: NodeId, path: &[u8]) -> Result<(), Errno> {
        let place = self.resolve_entry(start, path)?;
        let id = place.existing()?;
        if !self.node(id).is_directory() {
            return Err(Errno::NotDirectory);
        }
        if place.name.is_empty() {
            return Err(match paths::components(path).next_back() {
                Some(b".") => Errno::Invalid,
                Some(_) => Errno::NotEmpty,
                None => Errno::Busy,
            });
        }
        self.check_removable(place.parent, id)?;
        self.check_empty(id)?;
        self.detach(place.parent, &place.name)?;
        self.unlink(id);
        Ok(())
    }

    fn check_removable(&self, parent: NodeId, id: NodeId) -> Result<(), Errno> {
        self.check_writable(parent)?;
        if self.node(id).synthetic || self.is_mount_point(parent, id) { Err(Errno::Busy) } else { Ok(()) }
    }

    fn check_empty(&mut self, id: NodeId) -> Result<(), Errno> {
        self.complete(id)?;
        let empty = self.directory(id)?.entries.values().all(Option::is_none);
        if empty { Ok(()) } else { Err(Errno::NotEmpty) }
    }

    pub(crate) fn rename(
        &mut self,
        from_start: NodeId,
        from_path: &[u8],
        to_start: NodeId,
        to_path: &[u8],
    ) -> Result<(), Errno> {
        let from = self.resolve_entry(from_start, from_path)?;
        let to = self.resolve_entry(to_start, to_path)?;
        if from.name.is_empty() || to.name.is_empty() {
            return Err(Errno::Busy);
        }
        if self.node(from.parent).volume != self.node(to.parent).volume {
            return Err(Errno::CrossDevice);
        }
        let id = from.existing()?;
        let directory = self.node(id).is_directory();
        if (from.slash || to.slash) && !directory {
            return Err(Errno::NotDirectory);
        }
        self.check_removable(from.parent, id)?;
        self.check_writable(to.parent)?;
        if directory && self.is_within(to.parent, id)? {
            return Err(Errno::Invalid);
        }
        if let Some(replaced) = to.node {
            if replaced == id {
                return Ok(());
            }
            if self.node(replaced).is_directory() && self.is_within(from.parent, replaced)? {
                return Err(Errno::NotEmpty);
            }
            match (directory, self.node(replaced).is_directory()) {
                (true, false) => return Err(Errno::NotDirectory),
                (false, true) => return Err(Errno::IsDirectory),
                (true, true) => self.check_empty(replaced)?,
                (false, false) => {}
            }
            self.check_removable(to.parent, replaced)?;
            self.detach(to.parent, &to.name)?;
            self.unlink(replaced);
        }
        self.detach(from.parent, &from.name)?;
        self.attach(to.parent, &to.name, id)
    }

    /// Is `id` the directory `ancestor` or somewhere in it?
    fn is_within(&self, mut id: NodeId, ancestor: NodeId) -> Result<bool, Errno> {
        loop {
            if id == ancestor {
                return Ok(true);
            }
            let parent = self.directory(id)?.parent;
            if parent == id {
                return Ok(false);
            }
            id = parent;
        }
    }

    /// All names, bytewise, after `.` and `..`.
    pub(crate) fn list(&mut self, id: NodeId) -> Result<Vec<Listed>, Errno> {
        self.complete(id)?;
        let directory = self.directory(id)?;
        let mut nodes = vec![(b".".to_vec(), id), (b"..".to_vec(), directory.parent)];
        nodes.extend(directory.entries.iter().filter_map(|(name, entry)| Some((name.clone(), (*entry)?))));
        // The tools are there to be run, not to be copied along with the root directory.
        nodes.retain(|(name, node)| name != tools::HIDDEN || !self.node(*node).synthetic);
        let listed = |(name, node)| Listed { name, number: self.number(node), file_type: self.node(node).file_type() };
        Ok(nodes.into_iter().map(listed).collect())
    }
}
