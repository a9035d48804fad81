//! Tries, in memory, whether this host allows what a sandbox needs.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::mount::MountAttrFlags;

use super::mounts::{self, Overlay};
use super::prepare::Lower;
use super::report::{At, Failed, Message, Stage};
use super::running::namespaces;
use super::{Failure, Network, child, forked, raw};
use crate::userns::Ids;

/// Makes the namespaces and an overlay over an empty filesystem, and lets them go again. Takes about a millisecond.
pub fn probe(ids: Ids) -> Result<(), Failure> {
    let lower = [Lower::Directory(c"/dev/lower".to_owned())];
    let overlay = Overlay {
        lower: &lower,
        upper: c"/dev/upper",
        work: c"/dev/work",
        in_user_namespace: ids.in_user_namespace(),
        volatile: true,
    };
    let mut forked = forked::fork(namespaces(&Network::Host, false), main, &overlay)?;
    forked.wait();
    match forked.message() {
        Some(Message::Exited(0)) => Ok(()),
        Some(Message::Failed(failed)) => Err(failed.into()),
        _ => Err(Failure { stage: Stage::Namespaces, mount: 0, source: std::io::Error::other("the trial was killed") }),
    }
}

extern "C" fn main(overlay: &Overlay<'_>, report: BorrowedFd<'_>) -> ! {
    let message = match child::tie_to_parent(report, &[]).and_then(|()| attempt(overlay)) {
        Ok(()) => Message::Exited(0),
        Err(failed) => Message::Failed(failed),
    };
    message.send(report);
    raw::exit(0)
}

fn attempt(overlay: &Overlay<'_>) -> Result<(), Failed> {
    mounts::make_private().at(Stage::PrivateMounts)?;
    // Some directory that every host has; only this mount namespace sees it covered.
    let memory = mounts::filesystem(c"tmpfs", &[], MountAttrFlags::empty()).at(Stage::Dev)?;
    let root = openat(CWD, c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at(Stage::Dev)?;
    mounts::attach(&memory, root.as_fd(), c"dev").at(Stage::Dev)?;
    for name in [c"lower", c"upper", c"work"] {
        mkdirat(&memory, name, Mode::from(0o755)).at(Stage::Dev)?;
    }
    mounts::overlay(overlay)?;
    mounts::filesystem(c"proc", &[], mounts::PLAIN).at(Stage::Proc).map(drop)
}
