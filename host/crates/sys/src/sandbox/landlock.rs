//! What no mount hides: abstract unix sockets, and files outside the root that a process gets hold of all the same.
//!
//! Such a file is kiln itself: before the first program runs, the image's link to `/proc/self/exe` is a link to it, and
//! nothing but the kernel's refusal to write to programs that run keeps it whole. Landlock lets nobody open it for
//! writing. Kernels that have no Landlock, or too old a one, go without.

use std::ffi::c_int;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Result;

use super::raw;

/// The first version, of Linux 6.2, that knows [`REFER`] and [`TRUNCATE`]: without the one programs could not move files,
/// without the other writing would be refused and emptying not.
const LEAST: i32 = 3;
/// The version that knows about abstract sockets, of Linux 6.12.
const SCOPES: i32 = 6;

const WRITE_FILE: u64 = 1 << 1;
/// Moving and linking to another directory, which every ruleset about files refuses unless it says otherwise.
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;

/// As the kernel has it; kernels that do not know the later fields take zeros for them.
#[repr(C)]
pub(super) struct Ruleset {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// As the kernel has it.
#[repr(C, packed)]
pub(super) struct PathBeneath {
    allowed_access: u64,
    parent_fd: c_int,
}

/// Whether this kernel can restrict what is written to.
pub fn available() -> bool {
    raw::landlock_version() >= LEAST
}

/// Lets this process and its descendants write to files beneath their root only, and to what they have inherited as
/// standard streams, which they may open again as `/dev/stdout`.
pub(super) fn restrict() -> Result<()> {
    let version = raw::landlock_version();
    if version < LEAST {
        return Ok(());
    }
    let scoped = if version < SCOPES { 0 } else { SCOPE_ABSTRACT_UNIX_SOCKET };
    let rules = Ruleset { handled_access_fs: WRITE_FILE | REFER | TRUNCATE, handled_access_net: 0, scoped };
    let rules = raw::landlock_create(&rules)?;
    let allow = |place: BorrowedFd<'_>, allowed_access| {
        raw::landlock_allow(rules.as_fd(), &PathBeneath { allowed_access, parent_fd: place.as_raw_fd() })
    };
    // Message queues are opened through a mount of the kernel's own, which has the same directory.
    for path in [c"/", c"/dev/mqueue"] {
        let place = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        allow(place.as_fd(), WRITE_FILE | REFER | TRUNCATE)?;
    }
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let directory = fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        if !directory {
            // Refused for pipes and sockets, which need no permission.
            let _ = allow(stream, WRITE_FILE | TRUNCATE);
        }
    }
    raw::landlock_restrict(rules.as_fd())
}
