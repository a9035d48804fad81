//! Beginning to write a file's pages to the disk, without waiting for it.

use rustix::fd::{AsFd, AsRawFd};

/// Has the kernel begin with what `length` bytes from `offset` on hold. That alone makes nothing durable: who needs that
/// waits less when it syncs the file. Some file systems cannot; then nothing happens.
pub fn begin(file: impl AsFd, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: the call takes numbers only, and the descriptor is open as long as `file` is borrowed.
    unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}
