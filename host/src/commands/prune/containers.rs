//! `kiln container prune`, `kiln volume prune`: ask, remove, tell.

use std::io::{self, Write};
use std::process::ExitCode;

use kiln_container::{Container, Error};
use kiln_store::{ContainerFolder, ContainerUsage, Error as StoreError, PrunedVolumes, Store, VolumeWish};

use super::{Told, agreed, before};
use crate::cli::filter::{self, Filter};
use crate::cli::prune::ContainerPrune;
use crate::cli::volume;
use crate::report::problem::Problem;
use crate::session::Session;

const CONTAINERS: &str = "WARNING! This will remove all stopped containers.\n";
const ANONYMOUS: &str = "WARNING! This will remove anonymous local volumes not used by at least one container.\n";
const ALL: &str = "WARNING! This will remove all local volumes not used by at least one container.\n";

pub(in crate::commands) fn containers(options: &ContainerPrune, session: &Session) -> anyhow::Result<ExitCode> {
    let ContainerPrune { consent, filters } = options;
    let wanted = wanted(filters)?;
    if agreed(consent, CONTAINERS, session)? {
        let pruned = prune(&session.store()?, &wanted, consent.dry_run)?;
        let mut told = Told { dry_run: consent.dry_run, bytes: 0, out: crate::commands::stdout() };
        told.containers(&pruned)?;
        told.sum()?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::commands) fn volumes(options: &volume::Prune, session: &Session) -> anyhow::Result<ExitCode> {
    let volume::Prune { all, consent, filters } = options;
    let all = *all || filter::values(filters, "all").any(|value| filter::parse_bool(value) == Ok(true));
    if !agreed(consent, if all { ALL } else { ANONYMOUS }, session)? {
        return Ok(ExitCode::SUCCESS);
    }
    let labels = |labels: &_| filter::labels_match(filters, labels);
    let wish = VolumeWish { all, labels: Some(&labels), ..VolumeWish::default() };
    let pruned = session.store()?.prune_volumes(&wish, consent.dry_run)?;
    let mut told = Told { dry_run: consent.dry_run, bytes: 0, out: crate::commands::stdout() };
    told.volumes(Some(&pruned))?;
    told.sum()?;
    if pruned.busy {
        warn_of_young_volumes();
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn warn_of_young_volumes() {
    Problem::warning("another kiln is at work: volumes of the last hour stay, as it may be about to use them").show();
}

/// Removes the containers that nobody runs, of those that are wanted, or only says which.
pub(super) fn prune(
    store: &Store,
    wanted: &dyn Fn(&ContainerFolder) -> bool,
    dry_run: bool,
) -> anyhow::Result<Vec<ContainerUsage>> {
    let stopped = store.stopped_containers(wanted)?;
    if dry_run {
        return Ok(stopped);
    }
    let mut removed = Vec::new();
    for usage in stopped {
        match kiln_container::remove(store, usage.folder.clone(), false) {
            Ok(()) => removed.push(usage),
            // Since it was looked at.
            Err(Error::Store(StoreError::ContainerRuns { .. } | StoreError::NoSuchContainer { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(removed)
}

/// Whether a container is as all filters want it.
pub(super) fn wanted(filters: &[Filter]) -> anyhow::Result<impl Fn(&ContainerFolder) -> bool> {
    let before = before(filters)?;
    let has_labels = filters.iter().any(|filter| filter.key.starts_with("label"));
    Ok(move |folder: &ContainerFolder| {
        let in_time = before.is_none_or(|before| i128::from(folder.record.created) <= before.as_nanosecond());
        // One that is damaged has no labels, and can go without them.
        let labels = |folder: &ContainerFolder| {
            Container::open(folder.clone()).is_ok_and(|found| filter::labels_match(filters, found.spec.labels()))
        };
        in_time && (!has_labels || labels(folder))
    })
}

impl<W: Write> Told<W> {
    pub(super) fn containers(&mut self, pruned: &[ContainerUsage]) -> io::Result<()> {
        self.bytes += pruned.iter().map(|container| container.bytes).sum::<u64>();
        if pruned.is_empty() {
            return Ok(());
        }
        self.heading("Containers")?;
        for container in pruned {
            writeln!(self.out, "{}", container.folder.record.id)?;
        }
        writeln!(self.out)
    }

    pub(super) fn volumes(&mut self, pruned: Option<&PrunedVolumes>) -> io::Result<()> {
        let Some(pruned) = pruned.filter(|pruned| !pruned.volumes.is_empty()) else { return Ok(()) };
        self.bytes += pruned.volumes.iter().map(|usage| usage.bytes).sum::<u64>();
        self.heading("Volumes")?;
        for usage in &pruned.volumes {
            writeln!(self.out, "{}", usage.volume.name)?;
        }
        writeln!(self.out)
    }
}
