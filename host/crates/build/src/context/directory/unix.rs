//! Descriptors and names of one component.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::{Found, Listed, unless_gone};
use crate::context::{EntryKind, stat};

pub(in crate::context) struct Directory {
    descriptor: OwnedFd,
    /// One after the other, each with a NUL behind it.
    names: Vec<u8>,
    listed: Vec<Name>,
}

struct Name {
    start: usize,
    /// Without the NUL.
    length: usize,
    listed: Listed,
}

impl Directory {
    pub(in crate::context) fn root(root: &Dir) -> io::Result<Self> {
        Self::open(root, c".")
    }

    /// The directory behind a name; `None` where it is gone.
    pub(in crate::context) fn below(&self, number: usize) -> io::Result<Option<Self>> {
        unless_gone(Self::open(&self.descriptor, self.c_name(number)))
    }

    fn open(at: impl std::os::fd::AsFd, name: &CStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(at, name, flags, Mode::empty())?;
        let mut directory = Self { descriptor, names: Vec::new(), listed: Vec::new() };
        directory.list()?;
        let Self { names, listed, .. } = &mut directory;
        let name = |one: &Name| &names[one.start..one.start + one.length];
        listed.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        Ok(directory)
    }

    #[cfg(target_os = "linux")]
    fn list(&mut self) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(32 << 10);
        let Self { descriptor, names, listed } = self;
        let mut entries = rustix::fs::RawDir::new(descriptor.as_fd(), buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            add(names, listed, entry.file_name(), entry.file_type());
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn list(&mut self) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.descriptor)? {
            let entry = entry?;
            add(&mut self.names, &mut self.listed, entry.file_name(), entry.file_type());
        }
        Ok(())
    }

    pub(in crate::context) fn len(&self) -> usize {
        self.listed.len()
    }

    pub(in crate::context) fn name(&self, number: usize) -> &[u8] {
        let Name { start, length, .. } = self.listed[number];
        &self.names[start..start + length]
    }

    fn c_name(&self, number: usize) -> &CStr {
        let Name { start, length, .. } = self.listed[number];
        CStr::from_bytes_with_nul(&self.names[start..=start + length]).expect("it was one when it was listed")
    }

    pub(in crate::context) fn listed(&self, number: usize) -> Listed {
        self.listed[number].listed
    }

    /// What is behind a name; `None` where it is gone.
    pub(in crate::context) fn look(&self, number: usize) -> io::Result<Option<Found>> {
        let name = self.c_name(number);
        let seen = rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from);
        let Some(seen) = unless_gone(seen)? else { return Ok(None) };
        let kind = match FileType::from_raw_mode(seen.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile => EntryKind::File { stat: stat::stat(&seen), linked: seen.st_nlink > 1 },
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&self.descriptor, name, Vec::new()).map_err(io::Error::from);
                let Some(target) = unless_gone(target)? else { return Ok(None) };
                EntryKind::Symlink(target.into_bytes())
            }
            kind => stat::special(kind, seen.st_rdev),
        };
        let (mode, mtime) = stat::mode_and_mtime(&seen);
        Ok(Some(Found { mode, mtime, kind }))
    }
}

fn add(names: &mut Vec<u8>, listed: &mut Vec<Name>, name: &CStr, kind: FileType) {
    if matches!(name.to_bytes(), b"." | b"..") {
        return;
    }
    let kind = match kind {
        FileType::Directory => Listed::Directory,
        FileType::Unknown => Listed::Unknown,
        _ => Listed::NotADirectory,
    };
    listed.push(Name { start: names.len(), length: name.to_bytes().len(), listed: kind });
    names.extend_from_slice(name.to_bytes_with_nul());
}
