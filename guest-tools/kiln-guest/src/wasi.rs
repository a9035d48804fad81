//! The host's imports, on wasm32-wasip1. Each pointer handed over is valid for the length beside it during the call,
//! and the host only writes through the out pointers.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
pub use std::os::wasi::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::{Command, Pid, SpawnError, Stat};

mod proc {
    #[link(wasm_import_module = "kiln_proc_v1")]
    unsafe extern "C" {
        pub(super) fn spawn(
            argv: *const u8,
            argv_len: usize,
            env: *const u8,
            env_len: usize,
            cwd: *const u8,
            cwd_len: usize,
            fds: *const [u32; 2],
            fds_count: usize,
            pid: *mut u32,
        ) -> i32;
        pub(super) fn wait(pid: i32, flags: i32, pid_out: *mut u32, status: *mut u32) -> i32;
        pub(super) fn pipe(read: *mut u32, write: *mut u32) -> i32;
        pub(super) fn kill(pid: i32, signal: i32) -> i32;
        #[link_name = "self"]
        pub(super) fn self_() -> i32;
    }
}

mod fs {
    #[link(wasm_import_module = "kiln_fs_v1")]
    unsafe extern "C" {
        pub(super) fn chmod(dirfd: u32, path: *const u8, len: usize, flags: u32, mode: u32) -> i32;
        pub(super) fn chown(dirfd: u32, path: *const u8, len: usize, flags: u32, uid: u32, gid: u32) -> i32;
        pub(super) fn stat(dirfd: u32, path: *const u8, len: usize, flags: u32, out: *mut [u32; 4]) -> i32;
        pub(super) fn umask(mask: u32) -> i32;
    }
}

mod preview1 {
    /// `filestat` of preview 1.
    #[repr(C)]
    #[derive(Default)]
    pub(super) struct FileStat {
        pub(super) dev: u64,
        pub(super) ino: u64,
        pub(super) filetype: u8,
        pub(super) nlink: u64,
        pub(super) size: u64,
        pub(super) atim: u64,
        pub(super) mtim: u64,
        pub(super) ctim: u64,
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn path_filestat_get(fd: u32, flags: u32, path: *const u8, len: usize, out: *mut FileStat) -> i32;
        pub(super) fn fd_close(fd: u32) -> i32;
        pub(super) fn fd_filestat_get(fd: u32, out: *mut FileStat) -> i32;
        pub(super) fn path_symlink(old: *const u8, old_len: usize, fd: u32, new: *const u8, new_len: usize) -> i32;
        pub(super) fn path_filestat_set_times(
            fd: u32,
            flags: u32,
            path: *const u8,
            len: usize,
            atim: u64,
            mtim: u64,
            fst_flags: u32,
        ) -> i32;
    }
}

/// The preopened root directory.
const ROOT: u32 = 3;
const ERRNO_ACCES: i32 = 2;
const ERRNO_NOENT: i32 = 44;
const ERRNO_NOEXEC: i32 = 45;
const KEEP: u32 = u32::MAX;

/// The preopened working directory.
const WORKING_DIRECTORY: u32 = 4;

pub(crate) fn start() {
    // SAFETY: takes no pointers, and nothing has used the descriptor yet. An error means that it is not there.
    unsafe { preview1::fd_close(WORKING_DIRECTORY) };
}

fn check(errno: i32) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

/// The path relative to the root directory.
fn rooted(path: &Path) -> Vec<u8> {
    let absolute = working_directory().join(path);
    let bytes = absolute.as_os_str().as_bytes();
    let start = bytes.iter().position(|&byte| byte != b'/').unwrap_or(bytes.len());
    if start == bytes.len() { b".".to_vec() } else { bytes[start..].to_vec() }
}

fn terminated(strings: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for string in strings {
        out.extend_from_slice(string);
        out.push(0);
    }
    out
}

pub(crate) fn spawn(command: &Command) -> Result<Pid, SpawnError> {
    let argv = terminated(command.argv);
    let env = terminated(command.env);
    let cwd = command.cwd.as_os_str().as_bytes();
    let fds: Vec<[u32; 2]> = command.fds.iter().map(|(file, child)| [file.as_raw_fd() as u32, *child]).collect();
    let mut pid = 0;
    // SAFETY: see the head of this file.
    let errno = unsafe {
        proc::spawn(
            argv.as_ptr(),
            argv.len(),
            env.as_ptr(),
            env.len(),
            cwd.as_ptr(),
            cwd.len(),
            fds.as_ptr(),
            fds.len(),
            &mut pid,
        )
    };
    match errno {
        0 => Ok(pid),
        ERRNO_NOENT => Err(SpawnError::NotFound),
        ERRNO_ACCES => Err(SpawnError::Denied),
        ERRNO_NOEXEC => Err(SpawnError::NotExecutable),
        other => Err(SpawnError::Other(io::Error::from_raw_os_error(other))),
    }
}

pub(crate) fn wait(pid: Option<Pid>, block: bool) -> io::Result<Option<(Pid, u8)>> {
    let (mut ended, mut status) = (0, 0);
    // SAFETY: see the head of this file.
    check(unsafe { proc::wait(pid.map_or(-1, |pid| pid as i32), i32::from(!block), &mut ended, &mut status) })?;
    Ok((ended != 0).then_some((ended, status as u8)))
}

pub(crate) fn pipe() -> io::Result<(File, File)> {
    let (mut read, mut write) = (0, 0);
    // SAFETY: see the head of this file.
    check(unsafe { proc::pipe(&mut read, &mut write) })?;
    // SAFETY: the host has just opened both for us, and nothing else knows them.
    Ok(unsafe { (File::from_raw_fd(read as i32), File::from_raw_fd(write as i32)) })
}

pub(crate) fn kill(pid: Pid, signal: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { proc::kill(pid as i32, signal as i32) })
}

pub(crate) fn self_pid() -> Pid {
    // SAFETY: takes no pointers.
    unsafe { proc::self_() as u32 }
}

pub(crate) fn standard_file(fd: u32) -> File {
    // SAFETY: a number that is not open gives errors, not undefined behaviour, on WASI; callers take each one once.
    unsafe { File::from_raw_fd(fd as i32) }
}

pub(crate) fn is_inherited(fd: u32) -> bool {
    let mut stat = preview1::FileStat::default();
    // SAFETY: see the head of this file.
    unsafe { preview1::fd_filestat_get(fd, &mut stat) == 0 }
}

pub(crate) fn chmod(path: &Path, follow: bool, mode: u32) -> io::Result<()> {
    let path = rooted(path);
    // SAFETY: see the head of this file.
    check(unsafe { fs::chmod(ROOT, path.as_ptr(), path.len(), u32::from(follow), mode) })
}

pub(crate) fn chown(path: &Path, follow: bool, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    let path = rooted(path);
    let (uid, gid) = (uid.unwrap_or(KEEP), gid.unwrap_or(KEEP));
    // SAFETY: see the head of this file.
    check(unsafe { fs::chown(ROOT, path.as_ptr(), path.len(), u32::from(follow), uid, gid) })
}

fn joined([mode, uid, gid, nlink]: [u32; 4], stat: &preview1::FileStat) -> Stat {
    Stat {
        mode,
        uid,
        gid,
        nlink,
        dev: stat.dev,
        ino: stat.ino,
        size: stat.size,
        atime: i128::from(stat.atim),
        mtime: i128::from(stat.mtim),
    }
}

pub(crate) fn stat(path: &Path, follow: bool) -> io::Result<Stat> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::from_raw_os_error(ERRNO_NOENT));
    }
    let path = rooted(path);
    let mut owner = [0; 4];
    let mut stat = preview1::FileStat::default();
    // SAFETY: see the head of this file.
    check(unsafe { fs::stat(ROOT, path.as_ptr(), path.len(), u32::from(follow), &mut owner) })?;
    // SAFETY: see the head of this file.
    check(unsafe { preview1::path_filestat_get(ROOT, u32::from(follow), path.as_ptr(), path.len(), &mut stat) })?;
    Ok(joined(owner, &stat))
}

pub(crate) fn stat_file(file: &File) -> io::Result<Stat> {
    let fd = file.as_raw_fd() as u32;
    let mut owner = [0; 4];
    let mut stat = preview1::FileStat::default();
    // SAFETY: see the head of this file; a length of 0 means the descriptor itself.
    check(unsafe { fs::stat(fd, owner.as_ptr().cast(), 0, 0, &mut owner) })?;
    // SAFETY: see the head of this file.
    check(unsafe { preview1::fd_filestat_get(fd, &mut stat) })?;
    Ok(joined(owner, &stat))
}

pub(crate) fn umask(mask: u32) -> u32 {
    // SAFETY: takes no pointers.
    unsafe { fs::umask(mask) as u32 }
}

pub(crate) fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    let target = target.as_os_str().as_bytes();
    let link = rooted(link);
    // SAFETY: see the head of this file.
    check(unsafe { preview1::path_symlink(target.as_ptr(), target.len(), ROOT, link.as_ptr(), link.len()) })
}

pub(crate) fn set_times(path: &Path, follow: bool, atime: Option<i128>, mtime: Option<i128>) -> io::Result<()> {
    let path = rooted(path);
    // fstflags: bit 0 sets atim, bit 2 sets mtim.
    let flags = u32::from(atime.is_some()) | u32::from(mtime.is_some()) << 2;
    let time = |time: Option<i128>| time.unwrap_or(0).clamp(0, i128::from(u64::MAX)) as u64;
    // SAFETY: see the head of this file.
    check(unsafe {
        preview1::path_filestat_set_times(
            ROOT,
            u32::from(follow),
            path.as_ptr(),
            path.len(),
            time(atime),
            time(mtime),
            flags,
        )
    })
}

pub(crate) fn working_directory() -> PathBuf {
    match std::env::var_os("PWD") {
        Some(directory) if directory.as_bytes().starts_with(b"/") => directory.into(),
        _ => "/".into(),
    }
}
