//! Does the plan: stages side by side, the steps of each in order, nothing twice.
//!
//! Every needed stage has a thread; the target's is the caller's. It waits where it needs another stage's result (FROM, COPY --from) and for a permit
//! where it does real work.

mod failed;
mod fetch;
mod metadata;
mod mounts;
mod permits;
mod results;
mod said;
mod steps;
mod verify;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use kiln_types::Digest;

use crate::explain::Known;
use crate::failed::FailedStep;
use crate::plan::{Base, CopyFrom, Op, Plan, Shown, Stage};
use crate::redact::Redactor;
use crate::state::State;
use crate::{Context, Environment, Error, Event, Reporter, Request, StepId, check, images, outputs};
use metadata::Row;
use permits::Permits;
use results::Results;

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The image's id.
    pub image: Digest,
    /// Names given with `--build-arg` that no ARG declares.
    pub unconsumed: Vec<String>,
    /// Sentences about options that changed nothing.
    pub idle: Vec<String>,
}

/// Builds what `request` asks for.
pub fn build(request: &Request, environment: &Environment, reporter: &dyn Reporter) -> Result<Built, Error> {
    let (dockerfile, _) = check::parse(request)?;
    let plan = images::plan(&dockerfile, request, environment, reporter)?;
    let context = request
        .context
        .as_ref()
        .map(|source| Context::open(source, request.ignore.as_deref(), request.context_mode, environment))
        .transpose()?;
    if let Some(context) = &context {
        reporter.event(Event::Context { size: context.tar_size() });
    }
    let build = Build {
        request,
        environment,
        reporter,
        plan: &plan,
        context,
        named: request.named_contexts.iter().map(|_| Mutex::default()).collect(),
        fetched: AtomicBool::new(false),
        results: Results::new(plan.stages.len()),
        processors: Permits::one_per_processor(),
        processes: Permits::for_processes(),
        failure: Mutex::new(None),
        failed: Mutex::default(),
        failed_at: OnceLock::new(),
        told_of_shell: AtomicBool::new(false),
        metadata: Mutex::default(),
        redactor: Redactor::new(&request.secrets),
        known: request.explain.then(|| Known::load(&environment.store)).transpose()?,
    };
    let mut result = build.run();
    if build.fetched.load(Ordering::Relaxed) {
        environment.remote.trim();
    }
    // What the context's files hash to stays true whether or not the build succeeded.
    let saved = environment.store.context_hashes().save();
    let superfluous = build.keep_failed(&mut result)?;
    drop(build);
    if superfluous {
        environment.store.collect()?;
    }
    let state = result?;
    saved?;

    let mut idle = plan.idle;
    let image = outputs::publish(&state, request, &environment.store, &mut idle)?;
    Ok(Built { image, unconsumed: plan.unconsumed, idle })
}

struct Build<'a> {
    request: &'a Request,
    environment: &'a Environment,
    reporter: &'a dyn Reporter,
    plan: &'a Plan,
    context: Option<Context>,
    /// Contexts of the request, each opened when it is first needed.
    named: Vec<Mutex<Option<Arc<Context>>>>,
    /// Something came from elsewhere.
    fetched: AtomicBool,
    results: Results,
    processors: Permits,
    /// Who has one of these may wait for one of `processors`, never the other way round.
    processes: Permits,
    /// The first one; what follows from it is not told.
    failure: Mutex<Option<Error>>,
    /// Steps that failed, and which of them was the first.
    failed: Mutex<Vec<(StepId, FailedStep)>>,
    failed_at: OnceLock<StepId>,
    told_of_shell: AtomicBool,
    metadata: metadata::Known,
    /// Keeps secrets out of what steps say.
    redactor: Option<Redactor>,
    /// The records of earlier builds, where steps are to be explained.
    known: Option<Known>,
}

/// Another stage failed, or the user gave up: nothing more to do here.
struct Abandoned;

impl Build<'_> {
    /// The state of the last stage, which is the target.
    fn run(&self) -> Result<Arc<State>, Error> {
        for arg in &self.plan.global_args {
            self.started(arg);
            self.reporter.event(Event::Finished { step: arg.id, image: None });
        }
        let target = self.plan.stages.len() - 1;
        std::thread::scope(|scope| {
            for index in 0..target {
                let stage = std::thread::Builder::new().name(format!("stage-{index}"));
                let spawned = stage.spawn_scoped(scope, move || self.stage_thread(index));
                if let Err(source) = spawned {
                    self.fail(Error::Threads(source));
                    self.results.abandon(index);
                    return;
                }
            }
            self.stage_thread(target);
        });
        if let Some(error) = self.failure.lock().expect("no thread panics holding it").take() {
            return Err(error);
        }
        self.results.wait(target).ok_or(Error::Cancelled)
    }

    fn stage_thread(&self, index: usize) {
        // A mistake of ours must not leave the others waiting for this stage.
        match catch_unwind(AssertUnwindSafe(|| self.stage(&self.plan.stages[index]))) {
            Ok(Ok(state)) => self.results.finish(index, state),
            Ok(Err(Abandoned)) => self.results.abandon(index),
            Err(panic) => {
                self.results.abandon(index);
                resume_unwind(panic)
            }
        }
    }

    fn stage(&self, stage: &Stage) -> Result<State, Abandoned> {
        let mut state = match &stage.base {
            Base::Scratch => State::scratch(&stage.platform),
            Base::Image(image) => {
                State::of_image(image, &self.environment.store).map_err(|error| self.fail(error.into()))?
            }
            Base::Stage(index) => State::clone(&*self.results.wait(*index).ok_or(Abandoned)?),
        };
        State::settle(&mut state.config);
        state.config.config.on_build = None;
        self.started(&stage.from);
        if let Some(image) = &stage.pulled {
            self.reporter.event(Event::Pulled { step: stage.from.id, image });
        }
        if let Some(text) = &stage.note {
            self.reporter.event(Event::Note { step: stage.from.id, text });
        }
        if stage.triggers > 0 {
            self.reporter.event(Event::Triggers { step: stage.from.id, count: stage.triggers });
        }
        self.reporter.event(Event::Finished { step: stage.from.id, image: state.image });
        let mut row = Row::default();
        let done = self.steps(stage, &mut state, &mut row);
        let is_result = done.is_ok() && self.makes_result(stage);
        // Also where it was broken off: their images have been told of.
        let kept = self.keep(&mut row, &state, is_result).map_err(|(shown, error)| self.fail_at(shown.id, error));
        done.and(kept).map(|()| state)
    }

    /// Whether what this stage ends with is what the build was asked for, as it is.
    fn makes_result(&self, stage: &Stage) -> bool {
        self.plan.stages.last().is_some_and(|target| std::ptr::eq(target, stage)) && self.request.amendments.is_empty()
    }

    fn steps<'a>(&self, stage: &'a Stage, state: &mut State, row: &mut Row<'a>) -> Result<(), Abandoned> {
        for (at, step) in stage.steps.iter().enumerate() {
            if !matches!(step.op, Op::Metadata { .. }) {
                self.keep(row, state, false).map_err(|(shown, error)| self.fail_at(shown.id, error))?;
            }
            // A step begins only when it can: what never begins is never shown.
            for copy in step.op.copies() {
                if let CopyFrom::Stage(index) = copy.from {
                    self.results.wait(index).ok_or(Abandoned)?;
                }
            }
            if self.stopped() {
                return Err(Abandoned);
            }
            self.started(&step.shown);
            for copy in step.op.copies() {
                if let CopyFrom::Image(from) = &copy.from
                    && let Some(image) = &from.pulled
                {
                    self.reporter.event(Event::Pulled { step: step.shown.id, image });
                }
            }
            let is_result = at + 1 == stage.steps.len() && self.makes_result(stage);
            if let Err(error) = self.step(stage, step, state, row, is_result) {
                self.reporter.event(Event::Failed { step: step.shown.id });
                // What a step says that was cut off is of no interest.
                let cancelled = self.environment.cancel.is_cancelled();
                return Err(self.fail_at(step.shown.id, if cancelled { Error::Cancelled } else { error }));
            }
            self.reporter.event(Event::Finished { step: step.shown.id, image: state.image });
        }
        Ok(())
    }

    fn started(&self, shown: &Shown) {
        let Shown { id, number, text, .. } = shown;
        self.reporter.event(Event::Started { step: *id, number: *number, total: self.plan.total, text });
    }

    fn fail(&self, error: Error) -> Abandoned {
        self.failure.lock().expect("no thread panics holding it").get_or_insert(error);
        Abandoned
    }

    fn fail_at(&self, step: StepId, error: Error) -> Abandoned {
        let mut failure = self.failure.lock().expect("no thread panics holding it");
        if failure.is_none() {
            *failure = Some(error);
            self.failed_at.get_or_init(|| step);
        }
        Abandoned
    }

    fn stopped(&self) -> bool {
        if self.environment.cancel.is_cancelled() {
            self.fail(Error::Cancelled);
        }
        self.failure.lock().expect("no thread panics holding it").is_some()
    }

    /// Says once per build that kiln's own shell is at work.
    fn note_shell(&self, step: &Shown, note: Option<&str>) {
        if let Some(text) = note
            && !self.told_of_shell.swap(true, Ordering::Relaxed)
        {
            self.reporter.event(Event::Note { step: step.id, text });
        }
    }
}
