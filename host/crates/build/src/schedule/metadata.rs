//! Steps that only change the configuration: nothing is executed, so those that follow one another are kept together when
//! the last of them is done. A build that is killed before that has lost nothing that takes time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kiln_image::{Edit, EmptyStep, GrowingId, ImageConfig};
use kiln_types::Digest;

use super::Build;
use super::steps::{Asked, Remembered, nop};
use crate::ops::metadata;
use crate::plan::{Shown, Stage};
use crate::record::Record;
use crate::state::State;
use crate::{Error, Event, Located};

/// Records of such steps that were done, or read with others: stages often begin with the same ones.
pub(super) type Known = Mutex<HashMap<Digest, Record>>;

/// Steps that followed one another and are not in the store yet.
#[derive(Default)]
pub(super) struct Row<'a> {
    begun: Option<Begun>,
    id: GrowingId,
    steps: Vec<(Digest, EmptyStep)>,
    /// Of those that were done.
    records: Vec<(Digest, Record)>,
    last: Option<&'a Shown>,
}

/// What the first of them stands on.
struct Begun {
    config: ImageConfig,
    image: Option<Digest>,
}

impl Build<'_> {
    /// Does such a step, and advances `state` to its result.
    pub(super) fn metadata<'a>(
        &self,
        stage: &Stage,
        shown: &'a Shown,
        (edit, comment): (&Edit, &str),
        state: &mut State,
        row: &mut Row<'a>,
    ) -> Result<(), Error> {
        let key = metadata::key(state, &stage.platform, comment);
        let remembered = self.remembered_metadata(Asked::new(stage, shown, state, key), row)?;
        state.note_disturbed(shown, remembered.disturbs);
        let mut history = self.history(&remembered.record, nop(state, &format!(" {comment}")), None);
        history.empty_layer = true;
        let created = self.created(state, &history);
        let step = EmptyStep { edit: edit.clone(), created, history };
        row.begun.get_or_insert_with(|| Begun { config: state.config.clone(), image: state.image });
        row.last = Some(shown);
        step.apply(&mut state.config);
        let id = row.id.of(&mut state.config);
        row.steps.push((id, step));
        state.image = Some(id);
        Ok(())
    }

    fn remembered_metadata(&self, asked: Asked<'_>, row: &mut Row<'_>) -> Result<Remembered, Error> {
        let name = asked.key.digest();
        // Held until the record is among them: of two stages one does the step.
        let mut known = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.no_cache {
            if !known.contains_key(&name) {
                for (other, record) in self.environment.store.record_and_others(&name)? {
                    // What a stage of this build has used or made is what all of them use.
                    known.entry(other).or_insert(record);
                }
            }
            if let Some(record) = known.get(&name) {
                return self.reuse(&asked, name, record.clone(), |_| Ok(None));
            }
        }
        let miss = self.explain_miss(&asked);
        let container = asked.container();
        self.reporter.event(Event::Running { step: asked.shown.id, container: &container });
        self.reporter.event(Event::Removed { step: asked.shown.id, container: &container });
        let components = asked.key.into_components();
        let record = Record { components, layer: None, created: (self.environment.now)().to_string() };
        known.insert(name, record.clone());
        row.records.push((name, record.clone()));
        Ok(Remembered { disturbs: miss.is_some_and(|miss| miss.disturbs(None)), record })
    }

    /// Keeps what the row has led to. `is_result`: its last image is what the build was asked for.
    pub(super) fn keep<'a>(&self, row: &mut Row<'a>, state: &State, is_result: bool) -> Result<(), (&'a Shown, Error)> {
        let Row { begun, mut steps, records, last, .. } = std::mem::take(row);
        let (Some(begun), Some(shown)) = (begun, last) else { return Ok(()) };
        let store = &self.environment.store;
        let result = steps.pop_if(|_| is_result);
        let keep = || {
            store.add_images(&begun.config, begun.image.as_ref(), &steps)?;
            if result.is_some() {
                let parent = steps.last().map(|(id, _)| *id).or(begun.image);
                store.add_image(&state.config, parent.as_ref(), false)?;
            }
            // Records without an image that has their time would soon be collected.
            store.put_records(&records)
        };
        let failed =
            |error| Located::new("image-not-made", shown.span, "cannot keep the image of this step").source(error);
        keep().map_err(|error| (shown, failed(error).into()))
    }
}
