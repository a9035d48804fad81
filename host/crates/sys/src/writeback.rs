//! Writing a file's pages to the disk apart from making it durable.

use std::io;

use rustix::fd::{AsFd, AsRawFd};

/// Has the kernel begin with what `length` bytes from `offset` on hold. That alone makes nothing durable: who needs that
/// waits less when it syncs the file. Some file systems cannot; then nothing happens.
pub fn begin(file: impl AsFd, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: the call takes numbers only, and the descriptor is open as long as `file` is borrowed.
    unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Waits until what the file holds is written. That alone makes nothing durable: a file system with a journal has still to
/// commit where it lies, which it can do for many files at once.
///
/// # Errors
/// What could not be written; syncing the file does not tell of it again. Some file systems cannot do this; then nothing
/// happens.
pub fn finish(file: impl AsFd) -> io::Result<()> {
    let how = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes numbers only, and the descriptor is open as long as `file` is borrowed.
    if unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), 0, 0, how) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EIO | libc::ENOSPC | libc::EDQUOT) => Err(error),
        _ => Ok(()),
    }
}
