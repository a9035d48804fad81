//! `kiln image prune`, `kiln builder prune`, `kiln system prune`: ask, remove, tell.

mod containers;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use jiff::Timestamp;
use kiln_store::{CacheUsage, CacheWish, ImageWish, Pruned, PrunedVolumes, Removed, VolumeWish};

pub(super) use containers::{containers, volumes};

use super::prompt;
use crate::cli::filter::{self, Filter};
use crate::cli::prune::{BuilderPrune, Consent, ImagePrune, SystemPrune};
use crate::report::failure::{FAILED, Failure};
use crate::report::problem::Problem;
use crate::report::size;
use crate::session::Session;
use containers::wanted;

pub(super) fn images(options: &ImagePrune, session: &Session) -> anyhow::Result<ExitCode> {
    let warning = if options.all {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    prune(Some((options.all, &options.filters)), None, &options.consent, warning, session)
}

pub(super) fn builder(options: &BuilderPrune, session: &Session) -> anyhow::Result<ExitCode> {
    let warning = if options.all {
        "WARNING! This will remove all build cache."
    } else {
        "WARNING! This will remove all dangling build cache."
    };
    let wish = cache_wish(options.all, &options.filters, options.max_used_space)?;
    prune(None, Some(&wish), &options.consent, warning, session)
}

pub(super) fn system(options: &SystemPrune, session: &Session) -> anyhow::Result<ExitCode> {
    let SystemPrune { all, consent, volumes, filters } = options;
    if *volumes && filters.iter().any(|filter| filter.key == "until") {
        return Err(Failure::new("the \"until\" filter is not supported with \"--volumes\"")
            .hint("leave out one of them: volumes do not tell when they were used")
            .into());
    }
    let mut warning = "WARNING! This will remove:\n  - all stopped containers\n".to_owned();
    if *volumes {
        warning.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    warning.push_str(match all {
        true => "  - all images without at least one container associated to them\n  - all build cache\n",
        false => "  - all dangling images\n  - unused build cache\n",
    });
    if !filters.is_empty() {
        warning.push_str("\n  Items to be pruned will be filtered with:\n");
        for Filter { key, value } in filters {
            warning.push_str(&format!("  - {key}={value}\n"));
        }
    }
    warning.push('\n');
    if !agreed(consent, &warning, session)? {
        return Ok(ExitCode::SUCCESS);
    }
    let dry_run = consent.dry_run;
    let store = session.store()?;
    let containers = containers::prune(&store, &wanted(filters)?, dry_run)?;
    let gone: Vec<String> = containers.iter().map(|container| container.folder.record.id.clone()).collect();
    let labels = |labels: &_| filter::labels_match(filters, labels);
    let wish = VolumeWish { all: false, labels: Some(&labels), without_containers: &gone };
    let volumes = volumes.then(|| store.prune_volumes(&wish, dry_run)).transpose()?;
    let wish =
        ImageWish { all: *all, created_before: before(filters)?, labels: Some(&labels), without_containers: &gone };
    // As in Docker, what has no labels is not chosen by them.
    let cache = cache_wish(*all, filters, None)?;
    let cache = (!filters.iter().any(|filter| filter.key.starts_with("label"))).then_some(&cache);
    let pruned = store.prune(Some(&wish), cache, dry_run)?;
    let mut told = Told { dry_run, bytes: 0, out: super::stdout() };
    told.containers(&containers)?;
    told.volumes(volumes.as_ref())?;
    told.images_and_cache(&pruned)?;
    told.sum()?;
    Ok(busy(&pruned, cache.is_some(), volumes.as_ref()))
}

fn cache_wish(all: bool, filters: &[Filter], keep: Option<u64>) -> anyhow::Result<CacheWish> {
    let mut wish = CacheWish { all, unused_since: None, keep };
    for text in filter::values(filters, "until").chain(filter::values(filters, "unused-for")) {
        let time = SystemTime::from(filter::parse_time(text).map_err(anyhow::Error::msg)?);
        wish.unused_since = Some(wish.unused_since.map_or(time, |known| known.min(time)));
    }
    Ok(wish)
}

/// Of images, or of the cache.
fn prune(
    images: Option<(bool, &[Filter])>,
    cache: Option<&CacheWish>,
    consent: &Consent,
    warning: &str,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    if !agreed(consent, &format!("{warning}\n"), session)? {
        return Ok(ExitCode::SUCCESS);
    }
    let filters = images.map_or(&[][..], |(_, filters)| filters);
    let created_before = before(filters)?;
    let labels = |labels: &_| filter::labels_match(filters, labels);
    let wish = images.map(|(all, _)| ImageWish { all, created_before, labels: Some(&labels), ..ImageWish::default() });
    let pruned = session.store()?.prune(wish.as_ref(), cache, consent.dry_run)?;
    let mut told = Told { dry_run: consent.dry_run, bytes: 0, out: super::stdout() };
    told.images_and_cache(&pruned)?;
    told.sum()?;
    Ok(busy(&pruned, cache.is_some(), None))
}

fn agreed(consent: &Consent, warning: &str, session: &Session) -> anyhow::Result<bool> {
    if consent.force || consent.dry_run {
        return Ok(true);
    }
    let question = format!("{warning}Are you sure you want to continue? [y/N] ");
    let answer = prompt::visible(&question, &session.interrupts.catch()?)?;
    let agreed = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    if !agreed {
        writeln!(super::stdout(), "Total reclaimed space: 0B")?;
    }
    Ok(agreed)
}

/// What is made before all of these times.
fn before(filters: &[Filter]) -> anyhow::Result<Option<Timestamp>> {
    let mut before: Option<Timestamp> = None;
    for text in filter::values(filters, "until") {
        let time = filter::parse_time(text).map_err(anyhow::Error::msg)?;
        before = Some(before.map_or(time, |known| known.min(time)));
    }
    Ok(before)
}

/// Tells what is not as it was asked for because another kiln is at work.
fn busy(pruned: &Pruned, cache: bool, volumes: Option<&PrunedVolumes>) -> ExitCode {
    if volumes.is_some_and(|volumes| volumes.busy) {
        containers::warn_of_young_volumes();
    }
    if !pruned.busy {
        return ExitCode::SUCCESS;
    }
    if cache {
        let mut problem =
            Problem::error("another kiln is at work, which may need the build cache: nothing of it was removed");
        problem.hints.push("try again when it has ended".to_owned());
        problem.show();
        return ExitCode::from(FAILED);
    }
    let warning = "another kiln is at work: images of the last hour without a name stay, and the next kiln that removes an \
                   image frees the space";
    Problem::warning(warning).show();
    ExitCode::SUCCESS
}

/// What is told of what was removed, or would be.
struct Told<W> {
    dry_run: bool,
    /// Of all so far.
    bytes: u64,
    out: W,
}

impl<W: Write> Told<W> {
    /// A list of `What`: its heading now, its rows after that, an empty line in the end.
    fn heading(&mut self, what: &str) -> io::Result<()> {
        if self.dry_run {
            writeln!(self.out, "{what} that would be deleted:")
        } else {
            writeln!(self.out, "Deleted {what}:")
        }
    }

    fn images_and_cache(&mut self, pruned: &Pruned) -> io::Result<()> {
        self.bytes += pruned.bytes;
        if !pruned.images.is_empty() {
            self.heading("Images")?;
            for line in &pruned.images {
                match line {
                    Removed::Untagged(name) => writeln!(self.out, "untagged: {}", name.familiar())?,
                    Removed::Deleted(digest) => writeln!(self.out, "deleted: {digest}")?,
                }
            }
            writeln!(self.out)?;
        }
        if !pruned.cache.is_empty() {
            self.heading(if self.dry_run { "Build cache objects" } else { "build cache objects" })?;
            for CacheUsage { id, kind, bytes, .. } in &pruned.cache {
                writeln!(self.out, "{id}   {kind}   {}", size::exact(*bytes))?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn sum(&mut self) -> io::Result<()> {
        let space = if self.dry_run { "Total reclaimable space" } else { "Total reclaimed space" };
        writeln!(self.out, "{space}: {}", size::exact(self.bytes))?;
        self.out.flush()
    }
}
