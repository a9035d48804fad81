//! The nearest record: of the same kind, about the same thing, with most components in common.

use kiln_store::Store;
use kiln_types::Digest;

use super::files::{self, Listed};
use super::{Difference, FileChanges, Miss, Outcome, differences, words};
use crate::key::Key;
use crate::record::Record;
use crate::state::State;

/// Of records that are equally near, as many are compared file by file.
const COMPARED: usize = 8;

/// The records of earlier builds, newest first.
pub(crate) struct Known(Vec<(Digest, Record)>);

impl Known {
    pub(crate) fn load(store: &Store) -> Result<Self, kiln_store::Error> {
        let mut records: Vec<(Digest, Record)> = store.records()?;
        // Times differ in how many digits they have, but that is below a second.
        records.sort_by(|(a_name, a), (b_name, b)| (&b.created, b_name).cmp(&(&a.created, a_name)));
        Ok(Self(records))
    }

    /// Explains why there is no record for `key`. `files` are those of a COPY or ADD, unless it unpacks an archive.
    pub(crate) fn miss(&self, key: &Key, state: &State, files: Option<&[Listed]>, store: &Store) -> Miss {
        let name = key.digest();
        if let Some((_, record)) = self.0.iter().find(|(known, _)| *known == name) {
            return Miss {
                outcome: Outcome::Lost,
                earlier: Some(record.layer.map(|layer| layer.content)),
                moved: false,
            };
        }
        let Some((record, changes)) = self.nearest(key, files, store) else {
            return Miss { outcome: Outcome::New, earlier: None, moved: false };
        };
        let mut found = differences::of(key, record, state, self.producer(record));
        if key.get("files") != record.get("files") {
            found.push(Difference::Files(changes));
        }
        let moved = key.get("parent") != record.get("parent");
        Miss { outcome: Outcome::Differs(found), earlier: Some(record.layer.map(|layer| layer.content)), moved }
    }

    fn nearest(&self, key: &Key, files: Option<&[Listed]>, store: &Store) -> Option<(&Record, FileChanges)> {
        let near = self.0.iter().map(|(_, record)| record).filter(|record| is_near(key, record));
        let scored: Vec<(usize, &Record)> = near.map(|record| (in_common(key, record), record)).collect();
        let best = scored.iter().map(|(score, _)| *score).max()?;
        let best = scored.into_iter().filter(|(score, _)| *score == best).map(|(_, record)| record);
        let compared = best.take(COMPARED).map(|record| (record, files::changes(files, record, store)));
        // Of equals the first one, which is the newest.
        compared.min_by_key(|(_, changes)| match changes {
            FileChanges::Listed { total, .. } => *total,
            FileChanges::Unknown => usize::MAX,
        })
    }

    /// The step whose result `record` stood on, in words.
    fn producer(&self, record: &Record) -> Option<String> {
        let parent = record.get("parent")?;
        let made_it = |(_, one): &&(Digest, Record)| {
            let below = one.get("parent").and_then(|parent| parent.parse().ok());
            let content = below.zip(one.layer).map(|(below, layer)| crate::state::on_top(below, layer.content));
            content.is_some_and(|content| content.to_string() == parent)
        };
        self.0.iter().find(made_it).map(|(_, one)| words::instruction(one))
    }
}

/// Whether a record is about the same instruction, or about one that it may have been before it was edited.
fn is_near(key: &Key, record: &Record) -> bool {
    if key.get("kind") != record.get("kind") {
        return false;
    }
    let same = |name| key.get(name) == record.get(name);
    let (is, was) = (words::subject(|name| key.get(name)), words::subject(|name| record.get(name)));
    is == was || (same("parent") && (words::is_similar(&is, &was) || (key.get("files").is_some() && same("files"))))
}

fn in_common(key: &Key, record: &Record) -> usize {
    key.components().iter().filter(|(name, value)| record.get(name) == Some(value)).count()
}
