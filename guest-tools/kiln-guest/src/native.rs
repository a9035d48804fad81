//! The same interface over std and a few calls of the C library, for tests on the machine that builds the tools.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
pub use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use crate::{Command, Pid, SpawnError, Stat};

thread_local! {
    static CHILDREN: RefCell<BTreeMap<Pid, Child>> = const { RefCell::new(BTreeMap::new()) };
}

unsafe extern "C" {
    fn dup2(from: i32, to: i32) -> i32;
    fn fcntl(fd: i32, command: i32, ...) -> i32;
    #[link_name = "kill"]
    safe fn kill_process(pid: i32, signal: i32) -> i32;
    #[link_name = "umask"]
    safe fn set_umask(mask: u32) -> u32;
}

const ENOEXEC: i32 = 8;
const F_SETFD: i32 = 2;

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
        let others: Vec<(i32, i32)> =
            command.fds.iter().map(|(file, child)| (file.as_raw_fd(), *child as i32)).collect();
        // SAFETY: after fork only dup2 and fcntl are called, which are safe there. std gives the parent's files high numbers or
        // none at all, for it has no use for those that a shell names.
        unsafe {
            builder.pre_exec(move || {
                for (from, to) in others.iter().filter(|(_, to)| *to > 2) {
                    let kept = if from == to { fcntl(*from, F_SETFD, 0) } else { dup2(*from, *to) };
                    if kept < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
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

pub(crate) fn kill(pid: Pid, signal: u32) -> io::Result<()> {
    if kill_process(pid as i32, signal as i32) == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn self_pid() -> Pid {
    std::process::id()
}

pub(crate) fn standard_file(fd: u32) -> File {
    let copy = match fd {
        0 => io::stdin().as_fd().try_clone_to_owned(),
        1 => io::stdout().as_fd().try_clone_to_owned(),
        2 => io::stderr().as_fd().try_clone_to_owned(),
        // SAFETY: callers ask for those that they inherited, and take each one once.
        _ => return unsafe { File::from_raw_fd(fd as i32) },
    };
    copy.map(File::from).expect("a test's own descriptors are open")
}

pub(crate) fn is_inherited(fd: u32) -> bool {
    Path::new("/dev/fd").join(fd.to_string()).symlink_metadata().is_ok()
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

pub(crate) fn umask(mask: u32) -> u32 {
    set_umask(mask)
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
