//! What a guest program can ask of its host beyond WASI preview 1: processes and pipes (`kiln_proc_v1`), modes,
//! owners and the umask (`kiln_fs_v1`), and the preview 1 calls that Rust's std does not offer on this target.
//!
//! All `unsafe` of the guest tools is here. On a native host the same interface is answered by std, so that the
//! tools' tests run without WebAssembly.

#[cfg(target_os = "wasi")]
#[path = "wasi.rs"]
mod host;

#[cfg(unix)]
#[path = "native.rs"]
mod host;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A process's number, as `spawn` gave it.
pub type Pid = u32;

/// A program to start.
pub struct Command<'a> {
    /// The program's name or path, then its arguments.
    pub argv: &'a [Vec<u8>],
    /// `NAME=value` entries.
    pub env: &'a [Vec<u8>],
    /// The absolute working directory.
    pub cwd: &'a Path,
    /// Which open files the child gets, and under which numbers.
    pub fds: &'a [(&'a File, u32)],
}

/// Why a program did not start.
#[derive(Debug)]
pub enum SpawnError {
    /// No such program.
    NotFound,
    /// A directory, or without the permission to execute.
    Denied,
    /// Neither a module nor a script with an interpreter line.
    NotExecutable,
    /// Anything else.
    Other(io::Error),
}

/// What the tools need to know of a file.
#[derive(Debug, Clone)]
pub struct Stat {
    /// File type bits and permissions.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub atime: i128,
    /// Nanoseconds since 1970.
    pub mtime: i128,
}

impl Stat {
    pub fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }
    pub fn is_dir(&self) -> bool {
        self.kind() == S_IFDIR
    }
    pub fn is_file(&self) -> bool {
        self.kind() == S_IFREG
    }
    pub fn is_symlink(&self) -> bool {
        self.kind() == S_IFLNK
    }
}

pub const S_IFMT: u32 = 0o170000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFCHR: u32 = 0o020000;
pub const S_IFBLK: u32 = 0o060000;
pub const S_IFIFO: u32 = 0o010000;
pub const S_IFSOCK: u32 = 0o140000;

/// To be called before anything else. Gives up the preopened working directory: the C library would resolve absolute
/// paths that lead through it relative to the directory that it was at the start, even when the path has meanwhile
/// been removed or made anew. All paths are absolute here, so the root directory is enough.
pub fn start() {
    host::start();
}

/// Starts a program beside this one.
pub fn spawn(command: &Command) -> Result<Pid, SpawnError> {
    host::spawn(command)
}

/// Waits for a child (any child, where none is named) and returns its number and exit status; `None` where `block`
/// is false and none has ended. A child killed by a signal has the status 128 + signal.
pub fn wait(pid: Option<Pid>, block: bool) -> io::Result<Option<(Pid, u8)>> {
    host::wait(pid, block)
}

/// A bounded pipe: its reading and its writing end.
pub fn pipe() -> io::Result<(File, File)> {
    host::pipe()
}

/// Ends a process; signal 0 only asks whether it is there.
pub fn kill(pid: Pid, signal: u32) -> io::Result<()> {
    host::kill(pid, signal)
}

/// The number of this process.
pub fn self_pid() -> Pid {
    host::self_pid()
}

/// Takes over descriptor 0, 1 or 2, or another that was inherited. To be called once for each.
pub fn standard_file(fd: u32) -> File {
    host::standard_file(fd)
}

/// Whether the parent has handed down a descriptor of this number. To be asked before any file is opened.
pub fn is_inherited(fd: u32) -> bool {
    host::is_inherited(fd)
}

pub fn chmod(path: &Path, follow: bool, mode: u32) -> io::Result<()> {
    host::chmod(path, follow, mode)
}

/// `None` keeps what is there.
pub fn chown(path: &Path, follow: bool, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    host::chown(path, follow, uid, gid)
}

pub fn stat(path: &Path, follow: bool) -> io::Result<Stat> {
    host::stat(path, follow)
}

/// The kind and size of an open file.
pub fn stat_file(file: &File) -> io::Result<Stat> {
    host::stat_file(file)
}

/// Sets the mask of permissions that new files do not get; returns the one before.
pub fn umask(mask: u32) -> u32 {
    host::umask(mask)
}

pub fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    host::symlink(target, link)
}

/// Sets times of access and modification in nanoseconds since 1970; `None` keeps one.
pub fn set_times(path: &Path, follow: bool, atime: Option<i128>, mtime: Option<i128>) -> io::Result<()> {
    host::set_times(path, follow, atime, mtime)
}

/// The working directory: `PWD`, for WASI programs have no other.
pub fn working_directory() -> PathBuf {
    host::working_directory()
}

pub use host::{OsStrExt, OsStringExt};

/// A path of these bytes.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
