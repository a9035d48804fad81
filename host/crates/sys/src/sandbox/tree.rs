//! The root filesystem of a sandbox that does not run, for reading and writing from here.

use std::io;
use std::path::Path;
use std::thread;

use rustix::fd::OwnedFd;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::mounts::{self, Overlay};
use super::prepare;
use super::report::At;
use super::{Failure, Stage};
use crate::Lower;
use crate::userns::Ids;

/// Mounts directories over one another, the topmost of `lower` first, with changes going to `upper`. The mount is
/// attached nowhere, and there as long as the descriptor of its root directory.
pub fn mount(lower: &[Lower], upper: &Path, work: &Path, ids: Ids) -> Result<OwnedFd, Failure> {
    let lower = prepare::lower(lower)?;
    let (upper, work) = (prepare::c_path(upper)?, prepare::c_path(work)?);
    let overlay = Overlay {
        lower: &lower,
        upper: &upper,
        work: &work,
        in_user_namespace: ids.in_user_namespace(),
        volatile: false,
    };
    // In a mount namespace of its own, which goes when the thread does: only the descriptor is left.
    thread::scope(|scope| scope.spawn(|| mount_here(&overlay)).join()).unwrap_or_else(|_| {
        Err(Failure { stage: Stage::Overlay, mount: 0, source: io::Error::other("the thread that mounts it failed") })
    })
}

fn mount_here(overlay: &Overlay<'_>) -> Result<OwnedFd, Failure> {
    // SAFETY: descriptors stay shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.at(Stage::PrivateMounts)?;
    mounts::make_private().at(Stage::PrivateMounts)?;
    Ok(mounts::overlay(overlay)?)
}
