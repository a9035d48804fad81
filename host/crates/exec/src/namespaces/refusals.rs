//! From a system call that failed to a sentence that says what to do.

use std::io;
use std::path::Path;

use kiln_sys::sandbox::{Failure, Stage};
use kiln_sys::userns::{Denied, Ids};
use rustix::io::Errno;

use crate::{Error, Mount, Process, Unavailable};

/// The newest call that is relied upon is mount_setattr.
const KERNEL: (u32, u32) = (5, 12);

pub(super) fn check_kernel() -> Result<(), Unavailable> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < KERNEL {
        let (major, minor) = KERNEL;
        return Err(unavailable_because(
            format!("this kernel is Linux {release}, and {major}.{minor} is needed"),
            "update the kernel, or use WebAssembly programs".to_owned(),
        ));
    }
    Ok(())
}

/// A user that the namespace has no id for would fail in the middle, with EINVAL.
pub(super) fn check_user(ids: Ids, process: &Process) -> Result<(), Unavailable> {
    let (uid, gid) = (process.user.uid, process.user.gid);
    if ids != Ids::Single || (uid, gid) == (0, 0) {
        return Ok(());
    }
    Err(unavailable_because(
        format!("the step runs as {uid}:{gid}, and this user has only one id to give, root's"),
        MORE_IDS.to_owned(),
    ))
}

/// What helps where root is the only user that there is.
pub const MORE_IDS: &str = "install newuidmap and newgidmap (package uidmap) and have an administrator add ranges for \
                            this user to /etc/subuid and /etc/subgid, or run kiln as root";

/// Why the trial failed.
pub(super) fn unavailable(failure: &Failure) -> Unavailable {
    let denied = refused(&failure.source);
    if denied && let Some(Denied { reason, remedy }) = Denied::by_apparmor() {
        return unavailable_because(reason, remedy);
    }
    let (reason, remedy) = match failure.stage {
        Stage::Namespaces if denied => (
            "this process may not make namespaces (as in a container)",
            "start the container with --privileged, or as an ordinary user with `--security-opt seccomp=unconfined \
             --security-opt apparmor=unconfined --security-opt systempaths=unconfined`",
        ),
        Stage::Namespaces => ("the kernel refuses new namespaces", "raise the limits in /proc/sys/user"),
        Stage::Overlay if is(&failure.source, Errno::NODEV) => {
            ("this kernel has no overlayfs", "load it with `modprobe overlay`, or use a kernel with CONFIG_OVERLAY_FS")
        }
        Stage::Proc if denied => (
            "a new /proc may not be mounted, because the one of this container is masked",
            "start the container with `--security-opt systempaths=unconfined`, or with --privileged",
        ),
        _ if denied => (
            "mounting is not permitted here (as in a container)",
            "start the container with --privileged, or as an ordinary user with `--security-opt seccomp=unconfined \
             --security-opt apparmor=unconfined --security-opt systempaths=unconfined`",
        ),
        _ => ("the trial of a sandbox failed", "see the reason"),
    };
    unavailable_because(format!("{reason}: {failure}: {}", failure.source), remedy.to_owned())
}

fn unavailable_because(reason: String, remedy: String) -> Unavailable {
    Unavailable { executor: "namespace", reason, remedy }
}

/// Why a step failed to start.
/// Mounts are numbered in the order in which they are made.
pub(super) fn error(failure: Failure, process: &Process, upper: &Path, mounts: (&[Mount], &[usize])) -> Error {
    let program = process.argv[0].clone();
    let Failure { stage, mount, source } = failure;
    match stage {
        Stage::Execute if is(&source, Errno::NOENT) => Error::NotFound { program },
        Stage::Execute => Error::NotExecutable { program, reason: not_executable(&source) },
        Stage::Interpreter => {
            Error::NotFound { program: format!("{program} is there, but the interpreter or loader that it names") }
        }
        Stage::ChangeDirectory | Stage::MakeDirectory => {
            Error::System { action: format!("{} {}", stage.action(), process.cwd), source }
        }
        Stage::User if is(&source, Errno::INVAL) => {
            let (uid, gid) = (process.user.uid, process.user.gid);
            unavailable_because(
                format!("the step runs as {uid}:{gid}, and this user has not so many ids"),
                MORE_IDS.to_owned(),
            )
            .into()
        }
        Stage::Mount => {
            let number = mounts.1.get(usize::from(mount)).copied().unwrap_or_default();
            Error::mount(mounts.0, number, not_mounted(&source))
        }
        Stage::Overlay => mount_error(Failure { stage, mount, source }, upper),
        _ => Error::System { action: stage.action().to_owned(), source },
    }
}

/// Why the root filesystem could not be mounted.
pub(super) fn mount_error(Failure { stage, source, .. }: Failure, upper: &Path) -> Error {
    let hint = if stage == Stage::Overlay { overlay_hint(&source, upper) } else { "" };
    Error::System { action: format!("{}{hint}", stage.action()), source }
}

fn not_executable(source: &io::Error) -> String {
    if is(source, Errno::NOEXEC) {
        return "exec format error: it is neither a program of this machine nor a script with `#!`".to_owned();
    }
    if is(source, Errno::ACCESS) {
        return "permission denied".to_owned();
    }
    if is(source, Errno::TOOBIG) {
        return "its arguments and environment are too long: the kernel takes 128 KiB in one of them, and 2 MiB in all"
            .to_owned();
    }
    source.to_string()
}

fn not_mounted(source: &io::Error) -> String {
    if is(source, Errno::LOOP) {
        return "a symbolic link within another mount is on the way to it".to_owned();
    }
    if is(source, Errno::INVAL) {
        return format!("{source}: its owner may be one that this user has no id for");
    }
    source.to_string()
}

/// Overlayfs answers EINVAL for most of what it does not like, and the reason to the kernel's log.
fn overlay_hint(source: &io::Error, upper: &Path) -> &'static str {
    const OVERLAYFS: i64 = 0x794c_7630;
    const NFS: i64 = 0x6969;
    if is(source, Errno::TOOBIG) {
        return ": the image has too many layers";
    }
    // What a volatile overlay answers as long as nobody was told of a write that was lost (errseq_t).
    if is(source, Errno::IO) {
        return ", because writing to the file system of kiln's store failed before, as on a full disk: make room, tell \
                the kernel that it is known with `sync -f KILN_ROOT`, and try again";
    }
    match rustix::fs::statfs(upper).map(|filesystem| filesystem.f_type) {
        Ok(OVERLAYFS) => ", because kiln's store is itself on overlayfs: put KILN_ROOT on a volume or another disk",
        Ok(NFS) => ", because kiln's store is on NFS: put KILN_ROOT on a local disk",
        _ => " (the kernel's log may say why)",
    }
}

fn refused(source: &io::Error) -> bool {
    is(source, Errno::PERM) || is(source, Errno::ACCESS)
}

fn is(source: &io::Error, errno: Errno) -> bool {
    source.raw_os_error() == Some(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_write_is_told_with_what_helps() {
        let failure = |errno: Errno| Failure { stage: Stage::Overlay, mount: 0, source: errno.into() };
        let said = |errno| mount_error(failure(errno), Path::new("/proc")).to_string();
        assert!(said(Errno::IO).contains("full disk") && said(Errno::IO).contains("`sync -f KILN_ROOT`"));
        assert!(!said(Errno::INVAL).contains("full disk"));
    }
}
