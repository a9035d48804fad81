//! A process's descriptors and the open files behind them, which processes may share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pipe::{Reader, Writer};
use crate::Stream;
use crate::wasi::errno::Errno;
use crate::wasi::fs::{Device, Filesystem, Handle, Listed, NodeId, ROOT};
use crate::wasi::limits::{self, Reservation};

/// The flags of preview 1 that kiln looks at.
pub(crate) const APPEND: u16 = 1;
pub(crate) const NONBLOCK: u16 = 4;

pub(crate) enum Target {
    File(Handle),
    Directory(Handle),
    Device(Handle, Device),
    Reader(Reader),
    /// The caller's terminal, as standard input.
    Terminal(Reader),
    Writer(Writer),
    /// The step's own output.
    Stream(Stream),
    /// Standard input where there is none.
    Empty,
}

/// An open file description: what `dup` and a spawned child share.
pub(crate) struct Open {
    pub(crate) target: Target,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    position: Mutex<Position>,
}

#[derive(Default)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    pub(crate) flags: u16,
    /// The names of a directory as they were when it was read from its beginning.
    pub(crate) listing: Option<Listing>,
}

pub(crate) struct Listing {
    pub(crate) names: Vec<Listed>,
    pub(crate) _memory: Reservation,
}

impl Open {
    pub(crate) fn new(target: Target, readable: bool, writable: bool, flags: u16) -> Self {
        let position = Mutex::new(Position { flags, ..Position::default() });
        Self { target, readable, writable, position }
    }

    pub(crate) fn position(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node behind it, if it is one of the filesystem.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match &self.target {
            Target::File(handle) | Target::Directory(handle) | Target::Device(handle, _) => Some(handle.node),
            Target::Reader(_) | Target::Terminal(_) | Target::Writer(_) | Target::Stream(_) | Target::Empty => None,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Descriptor {
    pub(crate) open: Arc<Open>,
    pub(crate) preopen: Option<Arc<[u8]>>,
}

/// The name of the preopen for programs that know of no working directory.
pub(crate) const HERE: &[u8] = b".";

#[derive(Default)]
pub(crate) struct Descriptors(Vec<Option<Descriptor>>);

impl Descriptors {
    pub(crate) fn get(&self, number: u32) -> Result<&Descriptor, Errno> {
        self.0.get(number as usize).and_then(Option::as_ref).ok_or(Errno::BadDescriptor)
    }

    pub(crate) fn open(&self, number: u32) -> Result<Arc<Open>, Errno> {
        Ok(self.get(number)?.open.clone())
    }

    /// The directory that a path is relative to.
    pub(crate) fn directory(&self, number: u32) -> Result<NodeId, Errno> {
        match &self.get(number)?.open.target {
            Target::Directory(handle) => Ok(handle.node),
            _ => Err(Errno::NotDirectory),
        }
    }

    /// Enters it under the lowest free number.
    pub(crate) fn add(&mut self, open: Arc<Open>) -> Result<u32, Errno> {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        self.set(free as u32, Descriptor { open, preopen: None })?;
        Ok(free as u32)
    }

    pub(crate) fn set(&mut self, number: u32, descriptor: Descriptor) -> Result<(), Errno> {
        let index = number as usize;
        if index >= limits::DESCRIPTORS {
            return Err(Errno::TooManyDescriptors);
        }
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(descriptor);
        Ok(())
    }

    /// Is there room for one more?
    pub(crate) fn check_room(&self) -> Result<(), Errno> {
        let free = self.0.len() < limits::DESCRIPTORS || self.0.iter().any(Option::is_none);
        if free { Ok(()) } else { Err(Errno::TooManyDescriptors) }
    }

    pub(crate) fn close(&mut self, number: u32) -> Result<Descriptor, Errno> {
        self.0.get_mut(number as usize).and_then(Option::take).ok_or(Errno::BadDescriptor)
    }
}

/// A working directory.
pub(crate) struct Directory {
    /// Absolute.
    pub(crate) path: Vec<u8>,
    pub(crate) handle: Handle,
}

impl Directory {
    pub(crate) fn open(filesystem: &Filesystem, path: &[u8]) -> Result<Self, Errno> {
        let mut tree = filesystem.lock();
        let node = tree.resolve(ROOT, path, true)?.directory(&tree)?;
        Ok(Self { path: path.to_vec(), handle: filesystem.handle(&mut tree, node) })
    }
}
