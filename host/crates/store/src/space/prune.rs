//! Removing at once what is not needed: images without a name, or all that no container has; the cache, or what of it was
//! not used for long.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use kiln_types::Reference;

use super::choose::{self, Candidate, Kept, What};
use super::claims::Claims;
use super::facts::{Facts, ImageFacts};
use super::report::{self, CacheUsage};
use super::{FRESH, LabelTest};
use crate::remove::{Removal, RemoveOptions, Removed};
use crate::{Result, Store};

/// Which images to remove. All conditions have to hold.
#[derive(Clone, Copy, Default)]
pub struct ImageWish<'a> {
    /// Also those that have a name.
    pub all: bool,
    pub created_before: Option<Timestamp>,
    pub labels: Option<LabelTest<'a>>,
    /// Ids of containers that are about to be removed, for who only wants to know what would go.
    pub without_containers: &'a [String],
}

/// What of the cache to remove.
#[derive(Debug, Clone, Default)]
pub struct CacheWish {
    /// Also what serves images that stay: it is made again when it is needed.
    pub all: bool,
    pub unused_since: Option<SystemTime>,
    /// No more than needed for the cache to occupy so little; what was not used for longest goes first.
    pub keep: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub images: Vec<Removed>,
    pub cache: Vec<CacheUsage>,
    /// What was freed, or would be.
    pub bytes: u64,
    /// Another kiln is at work: no space was freed, nothing of the cache was removed, and no image without a name that
    /// is younger than an hour. A later collection frees what only the removed images needed.
    pub busy: bool,
}

impl Store {
    /// Removes images, or parts of the cache, or both; with `dry_run` it only says which.
    pub fn prune(&self, images: Option<&ImageWish<'_>>, cache: Option<&CacheWish>, dry_run: bool) -> Result<Pruned> {
        let work = |alone| self.prune_now(images, cache, dry_run, alone);
        if dry_run {
            return work(false);
        }
        match self.alone(|| work(true))? {
            Some(pruned) => Ok(pruned),
            None => Ok(Pruned { busy: true, ..work(false)? }),
        }
    }

    fn prune_now(
        &self,
        images: Option<&ImageWish<'_>>,
        cache: Option<&CacheWish>,
        dry_run: bool,
        alone: bool,
    ) -> Result<Pruned> {
        let without = images.map_or(&[][..], |wish| wish.without_containers);
        let facts = Facts::without(self, without)?;
        let mut claims = Claims::new(&facts);
        let mut pruned = Pruned::default();
        if let Some(wish) = images {
            // A build that is at work has given its result no name yet.
            let settled = SystemTime::now().checked_sub(if alone || dry_run { Duration::ZERO } else { FRESH });
            let (removed, unnamed) = self.prune_images(&claims, wish, settled, dry_run)?;
            unnamed.iter().for_each(|name| claims.remove_name(name));
            pruned.images = removed;
            for line in &pruned.images {
                if let Removed::Deleted(id) = line {
                    claims.remove_image(id);
                }
            }
        }
        if !dry_run && !alone {
            return Ok(pruned);
        }
        if let Some(wish) = cache {
            let chosen = choose_cache(&claims, wish);
            pruned.cache = report::describe(&mut claims, &chosen);
        }
        pruned.bytes = facts.bytes() - claims.bytes;
        if !dry_run {
            self.sweep(&claims)?;
        }
        Ok(pruned)
    }

    /// Images without a name go only if they were made, or used, before `settled`. Answers also what kept indexes without
    /// a name.
    fn prune_images(
        &self,
        claims: &Claims<'_>,
        wish: &ImageWish<'_>,
        settled: Option<SystemTime>,
        dry_run: bool,
    ) -> Result<(Vec<Removed>, Vec<Reference>)> {
        let facts = claims.facts;
        let _lock = self.lock_images()?;
        let mut removal = Removal::without(self, wish.without_containers)?;
        if dry_run {
            removal = removal.dry();
        }
        for candidate in choose::images(claims, &facts.used_images()) {
            let What::Image(id) = candidate.what else { continue };
            let image = &facts.images[&id];
            let names = removal.names_of(&id);
            let is_settled = settled.is_some_and(|at| image.record.used <= at);
            let may_go = if names.is_empty() { is_settled } else { wish.all };
            if image.intermediate || !(may_go || is_settled) || !wish.is_for(image) {
                continue;
            }
            removal.untag_all(&removal.unnamed_of(&id))?;
            if may_go {
                removal.untag_all(&names)?;
            }
            let options = RemoveOptions::default();
            removal.remove_other_platforms(options)?;
            if !removal.is_needed(&id) {
                removal.delete_with_parents(id, options)?;
            }
        }
        Ok((removal.take_removed(), removal.take_unnamed()))
    }
}

impl ImageWish<'_> {
    fn is_for(&self, image: &ImageFacts) -> bool {
        let created = || image.created.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        // Who does not say when it was made is not known to be old.
        self.created_before.is_none_or(|before| created().is_some_and(|created| created < before))
            && self.labels.is_none_or(|labels| labels(&image.labels))
    }
}

fn choose_cache(claims: &Claims<'_>, wish: &CacheWish) -> Vec<Candidate> {
    let all = choose::cache(claims, &Kept::new(claims, SystemTime::UNIX_EPOCH));
    let mut rest = claims.clone();
    all.iter().for_each(|candidate| rest.drop_candidate(candidate));
    let needed_by_images = rest.bytes;
    let mut left = claims.clone();
    let mut chosen = Vec::new();
    for candidate in all {
        let wanted = !candidate.held
            && (wish.all || !candidate.of_image)
            && wish.unused_since.is_none_or(|since| candidate.used < since);
        if !wanted {
            continue;
        }
        if wish.keep.is_some_and(|keep| left.bytes - needed_by_images <= keep) {
            break;
        }
        left.drop_candidate(&candidate);
        chosen.push(candidate);
    }
    chosen
}
