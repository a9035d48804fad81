//! A container's connections may not use up the descriptors of this process, which others need to stop it.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// What is left to others.
const RESERVED: u64 = 64;

/// `socket`, or that there are too many.
pub(crate) fn afford(socket: OwnedFd) -> Result<OwnedFd, Errno> {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // A new descriptor has the lowest number that was free.
    if is_affordable(socket.as_raw_fd().unsigned_abs().into(), most) { Ok(socket) } else { Err(Errno::MFILE) }
}

fn is_affordable(number: u64, most: u64) -> bool {
    number < most - RESERVED.min(most / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_left() {
        for (number, most, expected) in [
            (3, 1024, true),
            (959, 1024, true),
            (960, 1024, false),
            (11, 16, true),
            (12, 16, false),
            (0, 0, false),
            (1 << 20, u64::MAX, true),
        ] {
            assert_eq!(is_affordable(number, most), expected, "{number} of {most}");
        }
    }
}
