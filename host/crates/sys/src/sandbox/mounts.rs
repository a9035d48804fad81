//! The mounts of a root filesystem: the overlay, and the kernel's filesystems on it.
//!
//! Uses the kernel's newer mount calls: each filesystem is a descriptor first and is then attached beneath the root by
//! descriptors, without a path that could lead elsewhere.

use std::ffi::{CStr, CString};
use std::fmt::{self, Write};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, statfs, symlinkat};
use rustix::io::{Errno, Result, write};
use rustix::mount::{
    MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::prepare::{File, Hierarchy, Lower};
use super::raw;
use super::report::{At, Failed, Stage};
use crate::detached;

pub(super) const NO_SUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
pub(super) const PLAIN: MountAttrFlags =
    NO_SUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
const READ_ONLY: MountAttrFlags = PLAIN.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// No more have room in one page of options.
const MOST_LAYERS: usize = 256;

/// Nothing that is mounted from here on reaches the host, and nothing of the host reaches here.
pub(super) fn make_private() -> Result<()> {
    mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
}

/// The directories of an overlay.
pub(super) struct Overlay<'a> {
    /// Topmost first.
    pub(super) lower: &'a [Lower],
    pub(super) upper: &'a CStr,
    pub(super) work: &'a CStr,
    pub(super) in_user_namespace: bool,
    /// Syncs are not obeyed, and the kernel refuses to mount the same upper directory a second time.
    pub(super) volatile: bool,
}

/// Mounts the overlay and opens its root.
///
/// No device node works on it (`nodev`): root in the sandbox may make any, as Docker's users expect, and no device
/// cgroup confines it here.
pub(super) fn overlay(overlay: &Overlay<'_>) -> std::result::Result<OwnedFd, Failed> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &CStr| openat(CWD, path, directory, Mode::empty()).at(Stage::OpenLayer);

    // Descriptors name the directories, because all options together must fit into one page.
    let mut options = Text::new();
    let mut separator = "lowerdir=";
    // Open until the end: the number of one must not go to the next one.
    let mut layers = [const { None }; MOST_LAYERS];
    if overlay.lower.len() > layers.len() {
        return Err(Errno::TOOBIG).at(Stage::Overlay);
    }
    for (lower, layer) in overlay.lower.iter().zip(&mut layers) {
        let layer = match lower {
            Lower::Directory(path) => layer.insert(open(path)?).as_raw_fd(),
            Lower::Mount(mount) => mount.as_raw_fd(),
        };
        options.push(format_args!("{separator}/proc/self/fd/{layer}")).at(Stage::Overlay)?;
        separator = ":";
    }
    let (upper, work) = (open(overlay.upper)?, open(overlay.work)?);
    options
        .push(format_args!(",upperdir=/proc/self/fd/{},workdir=/proc/self/fd/{}", upper.as_raw_fd(), work.as_raw_fd()))
        .at(Stage::Overlay)?;
    // The upper directory must mean something on its own: no metadata-only copies, no redirected directories (programs
    // get EXDEV and copy).
    options.push(format_args!(",index=off,xino=off,metacopy=off,redirect_dir=nofollow")).at(Stage::Overlay)?;
    if overlay.volatile {
        options.push(format_args!(",volatile")).at(Stage::Overlay)?;
    }
    if overlay.in_user_namespace {
        options.push(format_args!(",userxattr")).at(Stage::Overlay)?;
    }
    // Over the upper directory: nobody here needs that by its name any more, and it saves making another.
    mount(c"overlay", overlay.upper, c"overlay", MountFlags::NODEV, options.as_c_str()).at(Stage::Overlay)?;
    open(overlay.upper)
}

/// The text of mount options, built without allocating.
struct Text {
    bytes: [u8; 4096],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Self { bytes: [0; 4096], length: 0 }
    }

    fn push(&mut self, text: fmt::Arguments<'_>) -> Result<()> {
        self.write_fmt(text).map_err(|_| Errno::TOOBIG)
    }

    fn as_c_str(&self) -> &CStr {
        // `write_str` always leaves room for the zero.
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        if end >= self.bytes.len() {
            return Err(fmt::Error);
        }
        self.bytes[self.length..end].copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// A new filesystem, not attached yet.
pub(super) fn filesystem(kind: &CStr, options: &[(&CStr, &CStr)], attributes: MountAttrFlags) -> Result<OwnedFd> {
    detached::filesystem(kind, options.iter().copied(), attributes)
}

/// A second view of what is at `path` of `directory`, or of that itself, not attached yet.
pub(super) fn copy_of(directory: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let depth = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    open_tree(
        directory,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH | depth,
    )
}

/// Opens what is at `path` beneath `root`; no symbolic link is followed.
pub(super) fn beneath(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

pub(super) fn attach(mount: &OwnedFd, root: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    attach_on(mount, &beneath(root, path)?)
}

pub(super) fn attach_on(mount: &OwnedFd, place: &OwnedFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", place, c"", flags)
}

/// `/proc` of the new pid namespace.
pub(super) fn proc(root: BorrowedFd<'_>) -> Result<()> {
    attach(&filesystem(c"proc", &[], PLAIN)?, root, c"proc")
}

/// `/sys`, read-only: a new one, or the host's where the network namespace is not ours and the kernel therefore
/// refuses.
pub(super) fn sys(root: BorrowedFd<'_>, writable: bool, hierarchies: &[Hierarchy]) -> Result<()> {
    let attributes = if writable { PLAIN } else { READ_ONLY };
    match filesystem(c"sysfs", &[], attributes) {
        Ok(sysfs) => {
            attach(&sysfs, root, c"sys")?;
            cgroup(root, attributes, hierarchies)
        }
        Err(Errno::PERM) => {
            let host = copy_of(CWD, c"/sys", true)?;
            raw::set_mount_attributes(host.as_fd(), u64::from(READ_ONLY.bits()), true)?;
            attach(&host, root, c"sys")
        }
        Err(errno) => Err(errno),
    }
}

/// The control groups of this sandbox: runtimes read their limits there. Of version 1 only those that it does not share
/// with anybody outside.
fn cgroup(root: BorrowedFd<'_>, attributes: MountAttrFlags, hierarchies: &[Hierarchy]) -> Result<()> {
    const PLACE: &CStr = c"sys/fs/cgroup";
    if statfs(c"/sys/fs/cgroup").is_ok_and(|host| host.f_type == CGROUP2_MAGIC) {
        return attach(&filesystem(c"cgroup2", &[], attributes)?, root, PLACE);
    }
    if hierarchies.is_empty() {
        return Ok(());
    }
    let memory = filesystem(c"tmpfs", &[(c"mode", c"755"), (c"size", c"64k")], PLAIN)?;
    attach(&memory, root, PLACE)?;
    for Hierarchy { name, controllers } in hierarchies {
        mkdirat(&memory, name, Mode::from(0o755))?;
        attach(&detached::cgroup(controllers.iter().map(AsRef::as_ref), attributes)?, memory.as_fd(), name)?;
        for controller in controllers.iter().filter(|controller| *controller != name) {
            symlinkat(name, &memory, controller)?;
        }
    }
    make_read_only(memory.as_fd())
}

/// Writes settings of the kernel that belong to the namespaces of this process.
pub(super) fn sysctls(root: BorrowedFd<'_>, sysctls: &[(CString, Vec<u8>)]) -> std::result::Result<(), Failed> {
    for ((path, value), number) in sysctls.iter().zip(0..) {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(root, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
            .and_then(|file| write(&file, value))
            .map_err(|errno| Failed { stage: Stage::Sysctl, mount: number, errno })?;
    }
    Ok(())
}

/// The files that appear over those of the image, in memory.
///
/// They are made in a filesystem that is attached at `/dev`, where [`super::devices`] then covers it for good. Answers
/// that filesystem: others can be made in it.
pub(super) fn files(root: BorrowedFd<'_>, files: &[File], read_only: bool) -> Result<OwnedFd> {
    let memory = filesystem(c"tmpfs", &[(c"mode", c"755"), (c"size", c"65536k")], PLAIN)?;
    attach(&memory, root, c"dev")?;
    for file in files {
        write_file(memory.as_fd(), file)?;
        let copy = copy_of(memory.as_fd(), &file.name, false)?;
        if read_only {
            make_read_only(copy.as_fd())?;
        }
        attach(&copy, root, &file.target)?;
    }
    Ok(memory)
}

pub(super) fn make_read_only(mount: BorrowedFd<'_>) -> Result<()> {
    raw::set_mount_attributes(mount, MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(), false)
}

/// Makes a file under its own name.
pub(super) fn write_file(directory: BorrowedFd<'_>, File { name, content, .. }: &File) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::from(0o644))?;
    let mut left = content.as_slice();
    while !left.is_empty() {
        left = left.get(write(&file, left)?..).unwrap_or_default();
    }
    Ok(file)
}

/// A device of the host, not attached yet.
///
/// Read-only, so that nobody in the sandbox gives the host's node another mode or owner. Writing to a device is not
/// writing to the filesystem that its node is on.
pub(super) fn device(host: &CStr) -> Result<OwnedFd> {
    let device = copy_of(CWD, host, false)?;
    let attributes = NO_SUID | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
    raw::set_mount_attributes(device.as_fd(), u64::from(attributes.bits()), false)?;
    Ok(device)
}

/// Docker's list of what programs may look at but not write to.
const READ_ONLY_PATHS: [&CStr; 5] = [c"proc/bus", c"proc/fs", c"proc/irq", c"proc/sys", c"proc/sysrq-trigger"];

/// Hides some paths of the kernel's filesystems and makes others read-only. Those that are not there need nothing.
pub(super) fn mask(root: BorrowedFd<'_>, masked: &[impl AsRef<CStr>]) -> Result<()> {
    for path in READ_ONLY_PATHS {
        match copy_of(root, path, true) {
            Ok(copy) => {
                raw::set_mount_attributes(copy.as_fd(), u64::from(READ_ONLY.bits()), true)?;
                attach(&copy, root, path)?;
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut empty_at: Option<&CStr> = None;
    for path in masked.iter().map(AsRef::as_ref) {
        let place = match beneath(root, path) {
            Ok(place) => place,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno),
        };
        if FileType::from_raw_mode(fstat(&place)?.st_mode) != FileType::Directory {
            attach_on(&device(c"/dev/null")?, &place)?;
            continue;
        }
        // One empty directory serves all: a filesystem costs more than another view of it.
        let empty = match empty_at {
            Some(path) => copy_of(root, path, false)?,
            None => filesystem(c"tmpfs", &[(c"mode", c"755")], READ_ONLY)?,
        };
        attach_on(&empty, &place)?;
        empty_at.get_or_insert(path);
    }
    Ok(())
}

/// Makes `root` the root directory, and lets go of the old one with all its mounts.
pub(super) fn pivot(root: BorrowedFd<'_>) -> Result<()> {
    fchdir(root)?;
    // The old root comes to lie on top of the new one at the same place, so no directory is needed for it.
    pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    chdir(c"/")
}
