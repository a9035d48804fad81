//! Extended attributes of things in a directory: which ones belong into a layer, reading and setting them.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::meta::{Xattrs, is_overlays_own};

/// The kernel's XATTR_LIST_MAX and XATTR_SIZE_MAX.
const MAX: usize = 64 << 10;

/// Does an attribute belong to the file, and not to overlayfs or to this host's security modules?
fn is_portable(name: &[u8]) -> bool {
    !is_overlays_own(name) && (name == b"security.capability" || !name.starts_with(b"security."))
}

/// A name in an open directory as a path that follows nothing: attribute calls take no directory descriptor.
pub(super) fn path_of(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat()
}

/// What overlayfs says about something in its upper directory.
#[derive(Default)]
pub(super) struct Overlay {
    pub(super) opaque: bool,
    /// Content or children are still those of a lower layer: the mount allowed `metacopy` or `redirect_dir`.
    pub(super) incomplete: bool,
}

/// All attributes that belong into a layer, and overlayfs' notes.
pub(super) fn read(path: &[u8], userxattr: bool) -> io::Result<(Xattrs, Overlay)> {
    let list = |buffer: &mut [u8]| rustix::fs::llistxattr(path, buffer);
    sorted_out(userxattr, list, |name, buffer| rustix::fs::lgetxattr(path, name, buffer))
}

/// The same of an open file.
pub(super) fn read_opened(file: impl AsFd, userxattr: bool) -> io::Result<(Xattrs, Overlay)> {
    let list = |buffer: &mut [u8]| rustix::fs::flistxattr(&file, buffer);
    sorted_out(userxattr, list, |name, buffer| rustix::fs::fgetxattr(&file, name, buffer))
}

fn sorted_out(
    userxattr: bool,
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<(Xattrs, Overlay)> {
    let mut xattrs = Xattrs::new();
    let mut overlay = Overlay::default();
    let names = match grow(list) {
        Err(Errno::NOTSUP) => return Ok((xattrs, overlay)),
        names => names?,
    };
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let value = || match grow(|buffer| get(name, buffer)) {
            // Gone, or not for us to see: trusted ones inside a user namespace.
            Err(Errno::NODATA) => Ok(None),
            value => value.map(Some),
        };
        let prefix: &[u8] = if userxattr { b"user.overlay." } else { b"trusted.overlay." };
        match name.strip_prefix(prefix) {
            Some(b"opaque") => overlay.opaque = value()?.as_deref() == Some(b"y"),
            Some(b"metacopy" | b"redirect") => overlay.incomplete = true,
            Some(_) => {}
            None if is_portable(name) => {
                if let Some(value) = value()? {
                    xattrs.insert(name.to_vec(), value);
                }
            }
            None => {}
        }
    }
    Ok((xattrs, overlay))
}

/// Calls with a small buffer, and again with the biggest there can be.
fn grow(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 256];
    match call(&mut small) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    let mut large = vec![0; MAX];
    let length = call(&mut large)?;
    large.truncate(length);
    Ok(large)
}

/// Sets the attributes of a layer's entry with `set`. Inside a user namespace nobody can have trusted ones.
pub(super) fn apply<'a>(
    xattrs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    user_namespace: bool,
    set: impl Fn(&[u8], &[u8], XattrFlags) -> rustix::io::Result<()>,
) -> io::Result<()> {
    for (name, value) in xattrs {
        if is_overlays_own(name) || (user_namespace && name.starts_with(b"trusted.")) {
            continue;
        }
        set(name, value, XattrFlags::empty())?;
    }
    Ok(())
}
