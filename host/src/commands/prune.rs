//! `kiln image prune`, `kiln builder prune`, `kiln system prune`: ask, remove, tell.

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use kiln_store::{CacheUsage, CacheWish, ImageWish, Pruned, Removed};

use super::prompt;
use crate::cli::filter::{self, Filter};
use crate::cli::prune::{BuilderPrune, Consent, ImagePrune, SystemPrune};
use crate::report::failure::FAILED;
use crate::report::problem::Problem;
use crate::report::size;
use crate::session::Session;

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
    if options.volumes {
        Problem::warning("kiln keeps no volumes yet: --volumes removes nothing").show();
    }
    let (images, cache) = match options.all {
        true => ("all images without at least one container associated to them", "all build cache"),
        false => ("all dangling images", "unused build cache"),
    };
    let mut warning = format!("WARNING! This will remove:\n  - {images}\n  - {cache}\n");
    if !options.filters.is_empty() {
        warning.push_str("\n  Items to be pruned will be filtered with:\n");
        for Filter { key, value } in &options.filters {
            warning.push_str(&format!("  - {key}={value}\n"));
        }
    }
    // As in Docker, what has no labels is not chosen by them.
    let labels = options.filters.iter().any(|filter| filter.key.starts_with("label"));
    let wish = cache_wish(options.all, &options.filters, None)?;
    let wish = (!labels).then_some(&wish);
    prune(Some((options.all, &options.filters)), wish, &options.consent, &warning, session)
}

fn cache_wish(all: bool, filters: &[Filter], keep: Option<u64>) -> anyhow::Result<CacheWish> {
    let mut wish = CacheWish { all, unused_since: None, keep };
    for text in filter::values(filters, "until").chain(filter::values(filters, "unused-for")) {
        let time = SystemTime::from(filter::parse_time(text).map_err(anyhow::Error::msg)?);
        wish.unused_since = Some(wish.unused_since.map_or(time, |known| known.min(time)));
    }
    Ok(wish)
}

fn prune(
    images: Option<(bool, &[Filter])>,
    cache: Option<&CacheWish>,
    consent: &Consent,
    warning: &str,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    if !consent.force && !consent.dry_run {
        let question = format!("{warning}\nAre you sure you want to continue? [y/N] ");
        let answer = prompt::visible(&question, &session.interrupts.catch()?)?;
        if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            writeln!(super::stdout(), "Total reclaimed space: 0B")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let filters = images.map_or(&[][..], |(_, filters)| filters);
    let mut created_before = None;
    for text in filter::values(filters, "until") {
        let time = filter::parse_time(text).map_err(anyhow::Error::msg)?;
        created_before = Some(created_before.map_or(time, |known: jiff::Timestamp| known.min(time)));
    }
    let labels = |labels: &_| filter::labels_match(filters, labels);
    let wish = images.map(|(all, _)| ImageWish { all, created_before, labels: Some(&labels) });
    let store = session.store()?;
    let pruned = store.prune(wish.as_ref(), cache, consent.dry_run)?;
    tell(&pruned, consent.dry_run)?;
    if !pruned.busy {
        return Ok(ExitCode::SUCCESS);
    }
    if cache.is_some() {
        let mut problem =
            Problem::error("another kiln is at work, which may need the build cache: nothing of it was removed");
        problem.hints.push("try again when it has ended".to_owned());
        problem.show();
        return Ok(ExitCode::from(FAILED));
    }
    let warning = "another kiln is at work: images of the last hour without a name stay, and the next kiln that removes an \
                   image frees the space";
    Problem::warning(warning).show();
    Ok(ExitCode::SUCCESS)
}

fn tell(pruned: &Pruned, dry_run: bool) -> anyhow::Result<()> {
    let mut out = super::stdout();
    if !pruned.images.is_empty() {
        writeln!(out, "{}", if dry_run { "Images that would be deleted:" } else { "Deleted Images:" })?;
        for line in &pruned.images {
            match line {
                Removed::Untagged(name) => writeln!(out, "untagged: {}", name.familiar())?,
                Removed::Deleted(digest) => writeln!(out, "deleted: {digest}")?,
            }
        }
        writeln!(out)?;
    }
    if !pruned.cache.is_empty() {
        let what = if dry_run { "Build cache objects that would be deleted:" } else { "Deleted build cache objects:" };
        writeln!(out, "{what}")?;
        for CacheUsage { id, kind, bytes, .. } in &pruned.cache {
            writeln!(out, "{id}   {kind}   {}", size::exact(*bytes))?;
        }
        writeln!(out)?;
    }
    let space = if dry_run { "Total reclaimable space" } else { "Total reclaimed space" };
    writeln!(out, "{space}: {}", size::exact(pruned.bytes))?;
    Ok(out.flush()?)
}
