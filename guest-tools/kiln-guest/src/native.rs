//! The same interface over std, for tests on the machine that builds the tools. A child gets descriptors 0 to 2 only.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
pub use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::{Command, Pid, SpawnError, Stat};

thread_local! {
    static CHILDREN: RefCell<BTreeMap<Pid, Child>> = const { RefCell::new(BTreeMap::new()) };
}

static UMASK: AtomicU32 = AtomicU32::new(0o022);

const ENOEXEC: i32 = 8;

fn stdio(command: &Command, number: u32) -> io::Result<Stdio> {
    match command.fds.iter().find(|(_, child)| *child == number) {
        Some((file, _)) => Ok(file.try_clone()?.into()),
        None => Ok(Stdio::null()),
    }
}

pub(crate) fn start() {}

pub(crate) fn spawn(command: &Command) -> Result<Pid, SpawnError> {
    let text = |bytes: &[u8]| std::ffi::OsString::from_vec(bytes.to_vec());
    let name = &command.argv[0];
    let program = if name.contains(&b'/') { command.cwd.join(text(name)).into_os_string() } else { text(name) };
    let mut builder = std::process::Command::new(program);
    builder.args(command.argv[1..].iter().map(|arg| text(arg))).current_dir(command.cwd).env_clear();
    for entry in command.env {
        let split = entry.iter().position(|&byte| byte == b'=').unwrap_or(entry.len());
        builder.env(text(&entry[..split]), text(entry.get(split + 1..).unwrap_or_default()));
    }
    let started = (|| {
        builder.stdin(stdio(command, 0)?).stdout(stdio(command, 1)?).stderr(stdio(command, 2)?);
        builder.spawn()
    })();
    match started {
        Ok(child) => {
            let pid = child.id();
            CHILDREN.with_borrow_mut(|children| children.insert(pid, child));
            Ok(pid)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SpawnError::NotFound),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(SpawnError::Denied),
        Err(error) if error.raw_os_error() == Some(ENOEXEC) => Err(SpawnError::NotExecutable),
        Err(error) => Err(SpawnError::Other(error)),
    }
}

pub(crate) fn wait(pid: Option<Pid>, block: bool) -> io::Result<Option<(Pid, u8)>> {
    CHILDREN.with_borrow_mut(|children| {
        let pid = pid.or_else(|| children.keys().next().copied());
        let Some((pid, child)) = pid.and_then(|pid| Some((pid, children.get_mut(&pid)?))) else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        let status = if block { Some(child.wait()?) } else { child.try_wait()? };
        Ok(status.map(|status| {
            children.remove(&pid);
            (pid, status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) as u8)
        }))
    })
}

pub(crate) fn pipe() -> io::Result<(File, File)> {
    let (read, write) = io::pipe()?;
    Ok((OwnedFd::from(read).into(), OwnedFd::from(write).into()))
}

pub(crate) fn kill(_pid: Pid, _signal: u32) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "kill is not available outside a step"))
}

pub(crate) fn self_pid() -> Pid {
    std::process::id()
}

pub(crate) fn standard_file(fd: u32) -> File {
    let copy = match fd {
        0 => io::stdin().as_fd().try_clone_to_owned(),
        1 => io::stdout().as_fd().try_clone_to_owned(),
        _ => io::stderr().as_fd().try_clone_to_owned(),
    };
    copy.map(File::from).expect("a test's own descriptors are open")
}

pub(crate) fn is_inherited(_fd: u32) -> bool {
    false
}

pub(crate) fn chmod(path: &Path, _follow: bool, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

pub(crate) fn chown(path: &Path, follow: bool, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    if follow { std::os::unix::fs::chown(path, uid, gid) } else { std::os::unix::fs::lchown(path, uid, gid) }
}

fn converted(meta: &std::fs::Metadata) -> Stat {
    Stat {
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        nlink: meta.nlink() as u32,
        dev: meta.dev(),
        ino: meta.ino(),
        size: meta.size(),
        atime: i128::from(meta.atime()) * 1_000_000_000 + i128::from(meta.atime_nsec()),
        mtime: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
    }
}

pub(crate) fn stat(path: &Path, follow: bool) -> io::Result<Stat> {
    let meta = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
    Ok(converted(&meta?))
}

pub(crate) fn stat_file(file: &File) -> io::Result<Stat> {
    Ok(converted(&file.metadata()?))
}

/// Remembered but not applied: std cannot set the process's own.
pub(crate) fn umask(mask: u32) -> u32 {
    UMASK.swap(mask, Ordering::Relaxed)
}

pub(crate) fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

pub(crate) fn set_times(path: &Path, _follow: bool, atime: Option<i128>, mtime: Option<i128>) -> io::Result<()> {
    let time = |nanoseconds: i128| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds.max(0) as u64);
    let mut times = std::fs::FileTimes::new();
    if let Some(atime) = atime {
        times = times.set_accessed(time(atime));
    }
    if let Some(mtime) = mtime {
        times = times.set_modified(time(mtime));
    }
    File::open(path)?.set_times(times)
}

pub(crate) fn working_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| "/".into())
}
