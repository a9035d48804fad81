//! One step: its key, its record if there is one, else its operation and a new record.

use std::sync::Arc;
use std::time::Duration;

use kiln_exec::Stream;
use kiln_image::{Change, History, Layer, View};
use kiln_store::KeyLock;
use kiln_types::{Digest, Hasher};

use super::metadata::Row;
use super::mounts::Found;
use super::permits::Permits;
use super::said::Said;
use super::{Build, verify};
use crate::explain::{ChosenExecutor, Explanation, Listed, Miss, Outcome};
use crate::failed::Left;
use crate::key::Key;
use crate::ops::copy::Former;
use crate::ops::{copy, run, workdir};
use crate::plan::{COMMENT_MARK, Copy, CopyFrom, Mount, Op, Run, Shown, Stage, Step, shell_of};
use crate::record::{LayerResult, Record};
use crate::state::State;
use crate::{Error, Event, Located, StepFailure, outputs};

/// How long to wait before looking again whether another process has finished a step.
pub(super) const WAIT: Duration = Duration::from_millis(20);

impl Build<'_> {
    /// Does `step` and advances `state` to its result. `is_result`: that is what the build was asked for.
    pub(super) fn step<'a>(
        &self,
        stage: &Stage,
        step: &'a Step,
        state: &mut State,
        row: &mut Row<'a>,
        is_result: bool,
    ) -> Result<(), Error> {
        let shown = &step.shown;
        let (remembered, created_by, comment) = match &step.op {
            Op::Metadata { edit, comment } => return self.metadata(stage, shown, (edit, comment), state, row),
            Op::Workdir { path, edit, comment } => {
                let asked = Asked::new(stage, shown, state, workdir::key(state, &stage.platform, path));
                let created_by = nop(state, &format!(" {comment}"));
                let remembered = self.remembered(asked, |_| {
                    let view = state.view(&self.environment.store)?;
                    self.layer(shown, workdir::changes(&view, path, &state.config.config.user, shown.span)?)
                })?;
                edit.apply(&mut state.config);
                (remembered, created_by, None)
            }
            Op::Copy(copy) => self.copy(stage, shown, copy, state)?,
            Op::Run(run) => self.run_step(stage, shown, run, state)?,
        };
        let Remembered { record, disturbs } = remembered;
        state.note_disturbed(shown, disturbs);
        let layer = record.layer.map(|raw| Ok::<_, Error>((raw, self.clamped(raw)?))).transpose()?;
        let history = self.history(&record, created_by, comment);
        state.config.created = self.created(state, &history);
        state.push(layer, history);
        let failed =
            |error| Located::new("image-not-made", shown.span, "cannot keep the image of this step").source(error);
        let id = self.environment.store.add_image(&state.config, state.image.as_ref(), !is_result).map_err(failed)?;
        state.image = Some(id);
        Ok(())
    }

    pub(super) fn history(&self, record: &Record, created_by: String, comment: Option<String>) -> History {
        let created = self.plan.epoch.map_or_else(|| record.created.clone(), outputs::timestamp);
        History { created: Some(created), created_by: Some(created_by), comment, ..History::default() }
    }

    /// When the image was made that a step with this line of history leads to.
    pub(super) fn created(&self, before: &State, history: &History) -> Option<String> {
        let created = history.created.clone();
        // A reused step may be older than the one before it; the image is as old as its newest step.
        if self.plan.epoch.is_some() { created } else { outputs::later(before.config.created.clone(), created) }
    }

    fn copy(
        &self,
        stage: &Stage,
        shown: &Shown,
        copy: &Copy,
        state: &State,
    ) -> Result<(Remembered, String, Option<String>), Error> {
        let store = &self.environment.store;
        let named = match &copy.from {
            CopyFrom::Files(index) => Some(self.named_context(*index)?),
            CopyFrom::Context | CopyFrom::Stage(_) | CopyFrom::Image(_) => None,
        };
        let from = match &copy.from {
            CopyFrom::Context | CopyFrom::Files(_) => None,
            // Already finished: the step began only then.
            CopyFrom::Stage(index) => Some(self.results.wait(*index).ok_or(Error::Cancelled)?.view(store)?),
            CopyFrom::Image(from) => Some(State::of_image(&from.image, store)?.view(store)?),
        };
        let view = state.view(store)?;
        let remotes = self.remotes(shown, copy)?;
        let write_ahead = |changes| {
            let _permit = self.processors.take();
            store.write_layer(changes).ok()
        };
        let context = named.as_deref().or(self.context.as_ref());
        let former = context.filter(|_| from.is_none()).map(|context| Former::new(store, copy, context));
        let inputs = copy::Inputs {
            copy,
            image: &view,
            from,
            context,
            remotes: &remotes,
            hashes: store.context_hashes(),
            write_ahead: Some(&write_ahead),
            former: former.as_ref(),
            no_cache: stage.no_cache,
            span: shown.span,
            nothing: View::new(Vec::new()),
        };
        let mut prepared = copy::prepare(&inputs)?;
        for text in &prepared.notes {
            self.reporter.event(Event::Note { step: shown.id, text });
        }
        let mut asked = Asked::new(stage, shown, state, prepared.key(copy, state, &stage.platform));
        asked.announced = false;
        asked.files = self.known.is_some().then(|| prepared.listed());
        let created_by = nop(state, &prepared.comment(copy));
        let remembered = self.remembered(asked, |_| {
            let lends = prepared.lends;
            let layer = match prepared.layer.take() {
                Some(layer) => Some(store.keep_layer(layer).map_err(layer_not_made(shown))?),
                None => {
                    let scratch = store.scratch()?;
                    self.layer(shown, prepared.changes(&inputs, scratch.path())?)?
                }
            };
            if let (Some(former), Some(layer)) = (former.as_ref().filter(|_| lends), &layer) {
                former.note(result(layer))?;
            }
            Ok(layer)
        })?;
        Ok((remembered, created_by, None))
    }

    fn run_step(
        &self,
        stage: &Stage,
        shown: &Shown,
        run: &Run,
        state: &State,
    ) -> Result<(Remembered, String, Option<String>), Error> {
        let store = &self.environment.store;
        let view = state.view(store)?;
        let prepared = run::prepare(run, &view, self.environment, shown.span, state.image).inspect_err(|error| {
            if let Error::Step(failure) = error {
                let nothing = (Some(failure.code), Left::Nothing);
                self.note_failed(shown, run, state, state.content, Vec::new(), nothing);
            }
        })?;
        let found = self.find_mounts(shown, run)?;
        let mut described: Vec<String> = found.iter().map(Found::key).collect();
        if self.request.allow_secret_in_layer && run.mounts.iter().any(Mount::is_secret) {
            // A layer that was let through is none for those who do not.
            described.push("secrets may stay".to_owned());
        }
        // Their names, as BuildKit has it: a machine that moved is the same machine.
        let hosts: Vec<String> = self.request.hosts.iter().map(|(name, _)| name.clone()).collect();
        let mut asked = Asked::new(stage, shown, state, prepared.key(state, &stage.platform, &described, &hosts));
        asked.executor = self.known.is_some().then(|| prepared.chosen_executor());
        asked.native = !prepared.is_wasi();
        // What caches and secrets hold is not in the key.
        let all_known = found.iter().all(Found::is_known);
        asked.deterministic = Some(prepared.is_deterministic()).filter(|&wasi| all_known || !wasi);
        let comment = prepared.history_comment();
        let remembered = self.remembered(asked, |making| {
            if making.told {
                self.note_shell(shown, prepared.note().as_deref());
                if let Some(text) = prepared.unused() {
                    self.reporter.event(Event::Note { step: shown.id, text });
                }
            }
            let scratch = store.scratch()?;
            let said = Said::new(self, shown, making.told);
            let output = |stream: Stream, bytes: &[u8]| said.piece(stream, bytes);
            let mut mounted = self.make_mounts(shown, run, found, prepared.is_wasi())?;
            let given = run::Given { mounts: &mounted.mounts, env: &mounted.env, hosts: &self.request.hosts };
            let ran = prepared.execute(making.key, view.clone(), &scratch, &given, self.environment, &output);
            said.finish();
            let seen = std::mem::take(&mut mounted.kept);
            let mut ran = ran.map_err(|error| match mounted.located(&error) {
                Some(located) => located.into(),
                None => {
                    let left = Left::Unknown("the command did not come to its end".to_owned());
                    let error = prepared.failure(error, state.image, &state.config.platform());
                    let (code, left) = match &error {
                        Error::Step(failure) => (Some(failure.code), Left::Nothing),
                        _ => (None, left),
                    };
                    self.note_failed(shown, run, state, making.key, seen.clone(), (code, left));
                    error
                }
            })?;
            self.write_back(&mounted, std::mem::take(&mut ran.kept))?;
            // Others may wait for its caches.
            drop(mounted);
            if !ran.status.success() {
                let code = ran.status.code();
                let left = self.left(shown, run, ran);
                self.note_failed(shown, run, state, making.key, seen, (Some(code), left));
                return Err(Error::Step(Box::new(StepFailure {
                    command: run.command.clone(),
                    code,
                    span: shown.span,
                    reason: None,
                    remedy: None,
                    before: state.image,
                    kept: false,
                })));
            }
            self.check_secrets(shown, run, &ran.changes)?;
            let _processor = (!prepared.is_wasi()).then(|| self.processors.take());
            let layer = self.layer(shown, ran.changes)?;
            if let (Some(layer), Some(directory)) = (&layer, ran.directory) {
                store.adopt_directory(layer, &directory.free())?;
            }
            Ok(layer)
        })?;
        Ok((remembered, run.command.clone(), comment))
    }

    /// The record of a step: an earlier one, or the one of doing it now.
    fn remembered(
        &self,
        asked: Asked<'_>,
        make: impl FnOnce(Making) -> Result<Option<Arc<Layer>>, Error>,
    ) -> Result<Remembered, Error> {
        let store = &self.environment.store;
        let step = asked.shown.id;
        let name = asked.key.digest();
        if let Some(record) = self.find(&asked, &name)? {
            return self.reuse(&asked, name, record, make);
        }
        let _lock = match store.try_lock_key(&name)? {
            Some(lock) => lock,
            None => {
                self.reporter
                    .event(Event::Note { step, text: "another build does this step at the moment: waiting for it" });
                self.wait_for_lock(&name)?
            }
        };
        // Whoever had the lock since the first look has most likely done it.
        if let Some(record) = self.find(&asked, &name)? {
            return self.reuse(&asked, name, record, make);
        }
        let miss = self.explain_miss(&asked);
        let container = asked.container();
        let layer = {
            let _permit = asked.permits(self).take();
            if asked.announced {
                self.reporter.event(Event::Running { step, container: &container });
            }
            make(Making { key: name, told: true })?
        };
        if asked.announced {
            self.reporter.event(Event::Removed { step, container: &container });
        }
        let layer = layer.map(|layer| result(&layer));
        let components = asked.key.into_components();
        let record = Record { components, layer, created: (self.environment.now)().to_string() };
        store.put_record(&name, &record.layer.iter().map(|layer| layer.diff_id).collect::<Vec<_>>(), &record)?;
        let content = record.layer.map(|layer| layer.content);
        Ok(Remembered { disturbs: miss.is_some_and(|miss| miss.disturbs(content)), record })
    }

    /// The result of an earlier build, compared with that of doing the step again where that is wanted.
    pub(super) fn reuse(
        &self,
        asked: &Asked<'_>,
        key: Digest,
        record: Record,
        make: impl FnOnce(Making) -> Result<Option<Arc<Layer>>, Error>,
    ) -> Result<Remembered, Error> {
        let step = asked.shown.id;
        self.explain(asked, Outcome::Hit);
        if self.request.verify_cache {
            match asked.deterministic {
                Some(true) => {
                    let again = {
                        let _permit = asked.permits(self).take();
                        make(Making { key, told: false })?
                    };
                    verify::same(record.layer, again.map(|layer| result(&layer)), asked.shown.span)?;
                    if let Some(layer) = record.layer {
                        let damaged = |error| verify::damaged(error, asked.shown.span);
                        self.environment.store.verify_layer(&layer.diff_id).map_err(damaged)?;
                    }
                    self.reporter.event(Event::Note { step, text: verify::VERIFIED });
                }
                Some(false) => self.reporter.event(Event::Note { step, text: verify::NATIVE }),
                None => {}
            }
        }
        self.reporter.event(Event::Cached { step });
        Ok(Remembered { record, disturbs: false })
    }

    /// Finds out and says why a step has to be done, where that is asked for.
    pub(super) fn explain_miss(&self, asked: &Asked<'_>) -> Option<Miss> {
        let known = self.known.as_ref()?;
        let miss = known.miss(&asked.key, asked.state, asked.files.as_deref(), &self.environment.store);
        let outcome = if asked.no_cache { Outcome::NotWanted } else { miss.outcome.clone() };
        self.explain(asked, outcome);
        Some(miss)
    }

    fn explain(&self, asked: &Asked<'_>, outcome: Outcome) {
        if self.known.is_some() {
            let explanation = Explanation { executor: asked.executor.clone(), outcome };
            self.reporter.event(Event::Explained { step: asked.shown.id, explanation: &explanation });
        }
    }

    fn wait_for_lock(&self, key: &Digest) -> Result<KeyLock, Error> {
        loop {
            if let Some(lock) = self.environment.store.try_lock_key(key)? {
                return Ok(lock);
            }
            if self.environment.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(WAIT);
        }
    }

    /// A record whose layer is still there, unless the cache is not wanted.
    fn find(&self, asked: &Asked<'_>, key: &Digest) -> Result<Option<Record>, Error> {
        if asked.no_cache {
            return Ok(None);
        }
        let store = &self.environment.store;
        let record: Option<Record> = store.record(key)?;
        Ok(record.filter(|record| record.layer.is_none_or(|layer| store.has_blob(&layer.diff_id))))
    }

    /// The layer of a change set; `None` where nothing changed.
    pub(super) fn layer(&self, shown: &Shown, changes: Vec<Change>) -> Result<Option<Arc<Layer>>, Error> {
        if changes.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.environment.store.add_layer(changes).map_err(layer_not_made(shown))?))
    }

    /// The layer that goes into the image: with an epoch, the same one with no time after it, made once.
    fn clamped(&self, raw: LayerResult) -> Result<LayerResult, Error> {
        let Some(epoch) = self.plan.epoch else { return Ok(raw) };
        let store = &self.environment.store;
        let mut hasher = Hasher::new();
        hasher.field("clamped times, version 1");
        hasher.field(raw.diff_id.as_bytes());
        hasher.field(epoch.to_string());
        let name = hasher.finish();
        if let Some(known) = store.record::<LayerResult>(&name)?
            && store.has_blob(&known.diff_id)
        {
            return Ok(known);
        }
        let layer = store.layer(&raw.diff_id)?;
        let mut changes = layer.changes().collect::<Result<Vec<_>, _>>().map_err(kiln_store::Error::from)?;
        for change in &mut changes {
            change.meta.mtime = change.meta.mtime.min(epoch);
        }
        let clamped = result(&*store.add_layer(changes)?);
        store.put_record(&name, &[clamped.diff_id], &clamped)?;
        Ok(clamped)
    }
}

/// A step whose result is asked for.
pub(super) struct Asked<'a> {
    pub(super) shown: &'a Shown,
    /// What it stands on.
    state: &'a State,
    pub(super) key: Key,
    /// Whatever is recorded, it is done.
    pub(super) no_cache: bool,
    /// Whether doing it is told as `Running in`: COPY and ADD are not.
    announced: bool,
    /// Doing it is waiting for a process of its own.
    native: bool,
    /// Of a RUN: whether doing it again must give the same.
    deterministic: Option<bool>,
    /// For the explanation of a RUN.
    executor: Option<ChosenExecutor>,
    /// For the explanation of a COPY or ADD.
    files: Option<Vec<Listed>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(stage: &Stage, shown: &'a Shown, state: &'a State, key: Key) -> Self {
        let no_cache = stage.no_cache;
        let (announced, native) = (true, false);
        Self { shown, state, key, no_cache, announced, native, deterministic: None, executor: None, files: None }
    }

    /// The name of one that a step would have had.
    pub(super) fn container(&self) -> String {
        Digest::of([&b"container"[..], self.key.digest().as_bytes()].concat()).short()
    }

    fn permits<'b>(&self, build: &'b Build<'_>) -> &'b Permits {
        if self.native { &build.processes } else { &build.processors }
    }
}

/// How a step is done.
pub(super) struct Making {
    key: Digest,
    /// Whether what it says is passed on.
    told: bool,
}

pub(super) struct Remembered {
    pub(super) record: Record,
    /// It was done, and with another result than the nearest earlier one; only where steps are explained.
    pub(super) disturbs: bool,
}

fn layer_not_made(shown: &Shown) -> impl Fn(kiln_store::Error) -> Located {
    let span = shown.span;
    move |error| Located::new("layer-not-made", span, "cannot make the layer of this step").source(error)
}

fn result(layer: &Layer) -> LayerResult {
    LayerResult { diff_id: layer.diff_id, content: layer.index.content_digest() }
}

/// `/bin/sh -c #(nop) …`: history's words for what ran nothing.
pub(super) fn nop(state: &State, comment: &str) -> String {
    format!("{} {COMMENT_MARK}{comment}", shell_of(&state.config.config).join(" "))
}
