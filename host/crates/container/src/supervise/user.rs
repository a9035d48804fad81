//! Who a container's processes run as: by the accounts that the container has by now, not those of its image.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::path::Path;

use kiln_image::{User, View, resolve_group_in, resolve_user_in};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use crate::error::Result;

/// Accounts are read into memory.
const MAX_FILE: u64 = 16 << 20;
const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";

pub(super) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Of a container that does not run: what was written in its layer hides what the image has.
    pub(super) fn of_layer(view: &View, upper: &Path) -> Result<Self> {
        let layer = openat(CWD, upper, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let read = |path: &str| -> Result<String> {
            let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            let written = layer.as_ref().ok().and_then(|layer| read_small(layer, path, flags).ok());
            let bytes = match written {
                Some(bytes) => bytes,
                None => view.read_small(path.as_bytes(), MAX_FILE)?.unwrap_or_default(),
            };
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Self { passwd: read(PASSWD)?, group: read(GROUP)? })
    }

    /// Of one that runs. What its root directory holds is its own: nothing outside is reached by what it links to.
    pub(super) fn of_root(root: impl AsFd) -> Self {
        let read = |path| {
            let flags = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let bytes = read_small(root.as_fd(), path, flags).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self { passwd: read(PASSWD), group: read(GROUP) }
    }

    /// `user[:group]`, with further groups.
    pub(super) fn resolve(&self, spec: &str, more_groups: &[String]) -> Result<User> {
        let mut user = resolve_user_in(&self.passwd, &self.group, spec)?;
        for group in more_groups {
            let gid = resolve_group_in(&self.group, group)?;
            if !user.groups.contains(&gid) {
                user.groups.push(gid);
            }
        }
        Ok(user)
    }
}

fn read_small(directory: impl AsFd, path: &str, resolve: ResolveFlags) -> rustix::io::Result<Vec<u8>> {
    // A pipe in its place must not block.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(directory, path, flags, Mode::empty(), resolve)?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_FILE).read_to_end(&mut bytes).map_err(|_| Errno::IO)?;
    Ok(bytes)
}
