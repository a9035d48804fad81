//! What a step asks to have mounted, one after the other: later ones may lie within earlier ones.
//!
//! Whatever is in them may be hostile: places are looked for beneath the root by descriptors, and no link is followed.

use std::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, StatVfsMountFlags, fchmod, fchown, fstat, fstatvfs, mkdirat, mknodat};
use rustix::io::{Errno, Result};
use rustix::mount::MountAttrFlags;
use rustix::process::{Gid, Uid};

use super::mounts::{self, NO_SUID, Overlay, attach_on, beneath, copy_of, filesystem, write_file};
use super::prepare::{Mount, Prepared, Source};
use super::raw;
use super::report::{Failed, Stage};

const NO_DEVICES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
const NONE: MountAttrFlags = MountAttrFlags::empty();

/// Mounts all of them. `memory` is a filesystem for files that are nowhere on the disk.
pub(super) fn mount(
    root: BorrowedFd<'_>,
    memory: BorrowedFd<'_>,
    prepared: &Prepared,
) -> std::result::Result<(), Failed> {
    let failed = |number: u16| move |errno| Failed { stage: Stage::Mount, mount: number, errno };
    for (mount, number) in prepared.mounts.iter().zip(0..) {
        attached(root, memory, mount, prepared.ids.in_user_namespace()).map_err(failed(number))?;
    }
    // Last, because places for what is nested may have had to be made.
    for (mount, number) in prepared.mounts.iter().zip(0..).filter(|(mount, _)| mount.read_only) {
        beneath(root, &mount.target).and_then(|place| mounts::make_read_only(place.as_fd())).map_err(failed(number))?;
    }
    Ok(())
}

fn attached(root: BorrowedFd<'_>, memory: BorrowedFd<'_>, mount: &Mount, in_user_namespace: bool) -> Result<()> {
    let source = match &mount.source {
        Source::Host(path) => {
            let copy = copy_of(CWD, path, true)?;
            let is_writable = !fstatvfs(&copy)?.f_flag.contains(StatVfsMountFlags::RDONLY);
            // Also what the host has mounted below it.
            let read_only = if mount.read_only { READ_ONLY } else { NONE };
            raw::set_mount_attributes(copy.as_fd(), u64::from((NO_DEVICES | read_only).bits()), true)?;
            if mount.read_only && mount.has_nested && is_writable {
                // Until the places for what is nested are made.
                raw::clear_mount_attributes(copy.as_fd(), READ_ONLY.bits().into())?;
            }
            copy
        }
        Source::Overlay { lower, upper, work, path } => {
            let overlay = Overlay { lower, upper, work, in_user_namespace, volatile: true };
            let overlay = mounts::overlay(&overlay).map_err(|failed| failed.errno)?;
            part_of(overlay.as_fd(), path)?
        }
        Source::Memory { options, no_exec } => {
            let options = options.each_ref().map(|(name, value)| (*name, value.as_c_str()));
            let no_exec = if *no_exec { MountAttrFlags::MOUNT_ATTR_NOEXEC } else { NONE };
            filesystem(c"tmpfs", &options, NO_SUID | NO_DEVICES | no_exec)?
        }
        &Source::Bytes { ref file, mode, uid, gid } => {
            let made = write_file(memory, file)?;
            fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            fchmod(&made, Mode::from_raw_mode(mode))?;
            copy_of(memory, &file.name, false)?
        }
    };
    let is_directory = FileType::from_raw_mode(fstat(&source)?.st_mode) == FileType::Directory;
    attach_on(&source, &place(root, mount, is_directory)?)
}

/// A second view of what is at a path without links.
fn part_of(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    copy_of(beneath(directory, path)?.as_fd(), c"", false)
}

/// Where it goes; what is missing on the way is made.
fn place(root: BorrowedFd<'_>, mount: &Mount, is_directory: bool) -> Result<OwnedFd> {
    match beneath(root, &mount.target) {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    let mut at: Option<OwnedFd> = None;
    for (left, name) in mount.components.iter().enumerate().map(|(at, name)| (mount.components.len() - 1 - at, name)) {
        let here = at.as_ref().map_or(root, AsFd::as_fd);
        let next = match beneath(here, name) {
            Err(Errno::NOENT) => {
                if left > 0 || is_directory {
                    mkdirat(here, name, Mode::from(0o755))?;
                } else {
                    mknodat(here, name, FileType::RegularFile, Mode::from(0o644), 0)?;
                }
                beneath(here, name)?
            }
            found => found?,
        };
        at = Some(next);
    }
    at.ok_or(Errno::INVAL)
}
