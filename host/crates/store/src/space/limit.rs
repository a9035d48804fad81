//! One size for the whole store, obeyed when something was put into it: what was not used for longest goes.

use std::collections::HashSet;
use std::time::SystemTime;

use kiln_types::Digest;

use super::FRESH;
use super::choose::{self, Kept};
use super::claims::Claims;
use super::facts::Facts;
use crate::{Collected, Result, Store, unnamed};

/// How a limit was obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// There was nothing to do.
    Below,
    /// Another kiln is at work: whoever ends last obeys it.
    Busy,
    Collected(Collected),
    /// Nothing that may go is left, and this is more than allowed.
    TooMuch {
        bytes: u64,
        collected: Collected,
    },
}

impl Store {
    /// Removes what was not used for longest until the store occupies no more than `limit` bytes: records and images of
    /// steps, results without a name, what is derived, caches. Never an image that has a name or is held, nor the
    /// result of the last hour that was made last.
    /// Far below the limit this costs no more than looking at a few files. Not while this process is building.
    pub fn keep_below(&self, limit: u64) -> Result<Limited> {
        let known = match self.size_at_most()? {
            Some(known) => known,
            None => self.count()?,
        };
        if known <= limit {
            return Ok(Limited::Below);
        }
        let limited = self.alone(|| {
            let facts = Facts::read(self)?;
            let mut claims = Claims::new(&facts);
            reduce(&mut claims, limit);
            let collected = self.sweep(&claims)?;
            let bytes = self.count()?;
            Ok(if bytes > limit {
                Limited::TooMuch { bytes, collected }
            } else if collected.files == 0 {
                // It was less than it could have been.
                Limited::Below
            } else {
                Limited::Collected(collected)
            })
        })?;
        match limited {
            Some(limited) => Ok(limited),
            None if self.count()? <= limit => Ok(Limited::Below),
            None => Ok(Limited::Busy),
        }
    }
}

fn reduce(claims: &mut Claims<'_>, limit: u64) {
    let kept = Kept::new(claims, last_result(claims.facts));
    for candidate in choose::cache(claims, &kept).iter().filter(|candidate| !candidate.held) {
        if claims.bytes <= limit {
            break;
        }
        claims.drop_candidate(candidate);
    }
    // An index without a name goes with the first of its images, also from an image that has a name.
    let facts = claims.facts;
    for (name, kept) in facts.names.iter().filter(|(name, _)| unnamed::is_unnamed(name)) {
        let images = kept.index.and_then(|index| facts.indexes.get(&index)).map(|index| &index.images);
        if claims.keeps_name(kept) && images.into_iter().flatten().any(|id| !claims.keeps_image(id)) {
            claims.remove_name(name);
        }
    }
}

/// When the last result without a name was made or used: whoever built it has only its id. After an hour it is one of all.
fn last_result(facts: &Facts) -> SystemTime {
    let named: HashSet<Digest> = facts.real_names().map(|(_, kept)| kept.id).collect();
    let results = facts.images.iter().filter(|(id, image)| !image.intermediate && !named.contains(*id));
    let last = results.map(|(_, image)| image.record.used).max();
    let now = SystemTime::now();
    last.unwrap_or(now).max(now.checked_sub(FRESH).unwrap_or(now))
}
