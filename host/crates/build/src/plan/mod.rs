//! Dockerfile → plan: which stages, which steps in them, and what each does, with every variable expanded.
//!
//! Planning is static: it reads the Dockerfile, the build's arguments and the configurations of base images, and
//! executes nothing. So everything that can be wrong without running a step is wrong here, with its place in the
//! Dockerfile. ENV, LABEL and the like become [`Edit`]s of the configuration.

mod budget;
mod fold;
mod given;
mod mounts;
mod run;
mod stage;
mod transfer;
mod words;

use std::collections::BTreeSet;

use kiln_dockerfile::{Diagnostic, Dockerfile, Instruction, ModeChange, Span};
use kiln_exec::{Network, Wanted};
use kiln_fetch::git::Reference;
use kiln_fetch::{Checksum, Url};
use kiln_image::Edit;
use kiln_types::Platform;

pub use fold::change_config;
pub(crate) use given::given;
pub(crate) use mounts::{Access, Mount, MountKind};
pub(crate) use words::{COMMENT_MARK, shell_of};

use crate::images::Images;
use crate::{Error, NamedContext, PulledImage, Request, StepId};

/// Everything the target needs, in the order of the Dockerfile.
pub(crate) struct Plan {
    /// ARG before the first FROM: shown as steps, done by planning.
    pub(crate) global_args: Vec<Shown>,
    pub(crate) stages: Vec<Stage>,
    /// Instructions in all stages; triggers of base images are not counted.
    pub(crate) total: usize,
    /// Names given with `--build-arg` that no ARG declares.
    pub(crate) unconsumed: Vec<String>,
    /// Options that fit nothing in the Dockerfile, and why.
    pub(crate) idle: Vec<String>,
    /// Seconds since 1970 that `created` says, and that times of files in new layers do not exceed.
    pub(crate) epoch: Option<i64>,
}

/// A step as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) id: StepId,
    pub(crate) number: Option<usize>,
    pub(crate) text: String,
    pub(crate) span: Span,
}

pub(crate) struct Stage {
    pub(crate) from: Shown,
    pub(crate) base: Base,
    pub(crate) platform: Platform,
    /// Its steps are done anew.
    pub(crate) no_cache: bool,
    /// What the user should know about FROM.
    pub(crate) note: Option<String>,
    /// The base image was pulled for this build.
    pub(crate) pulled: Option<PulledImage>,
    /// Steps that the base image's ONBUILD adds; they come first in `steps`.
    pub(crate) triggers: usize,
    pub(crate) steps: Vec<Step>,
}

/// What a stage begins with. Stages are numbered as in [`Plan::stages`].
pub(crate) enum Base {
    Scratch,
    Image(Box<kiln_store::Image>),
    Stage(usize),
}

pub(crate) struct Step {
    pub(crate) shown: Shown,
    pub(crate) op: Op,
}

pub(crate) enum Op {
    /// Only the configuration changes; `comment` is what history says after `#(nop) `.
    Metadata {
        edit: Edit,
        comment: String,
    },
    Workdir {
        path: Vec<u8>,
        edit: Edit,
        comment: String,
    },
    Copy(Copy),
    Run(Run),
}

impl Op {
    /// All that takes files from somewhere.
    pub(crate) fn copies(&self) -> Vec<&Copy> {
        match self {
            Self::Copy(copy) => vec![copy],
            Self::Run(run) => run.mounts.iter().filter_map(Mount::files).collect(),
            Self::Metadata { .. } | Self::Workdir { .. } => Vec::new(),
        }
    }

    /// What a trigger of the base image asks for stands nowhere in the Dockerfile: all of it is at its FROM.
    fn stand_at(&mut self, place: Span) {
        if let Self::Run(run) = self {
            run.mounts.iter_mut().for_each(|mount| mount.span = place);
            if let Some((_, span)) = &mut run.only_native {
                *span = place;
            }
        }
        for source in self.copies_mut().into_iter().flat_map(|copy| &mut copy.sources) {
            match source {
                CopySource::Path { span, .. }
                | CopySource::Exactly { span, .. }
                | CopySource::Url { span, .. }
                | CopySource::Git { span, .. } => *span = place,
                CopySource::Inline { .. } => {}
            }
        }
    }

    fn copies_mut(&mut self) -> Vec<&mut Copy> {
        match self {
            Self::Copy(copy) => vec![copy],
            Self::Run(run) => run.mounts.iter_mut().filter_map(Mount::files_mut).collect(),
            Self::Metadata { .. } | Self::Workdir { .. } => Vec::new(),
        }
    }
}

/// COPY and ADD.
pub(crate) struct Copy {
    /// `COPY` or `ADD`.
    pub(crate) keyword: &'static str,
    pub(crate) sources: Vec<CopySource>,
    pub(crate) from: CopyFrom,
    /// As written, for history.
    pub(crate) destination: String,
    /// Absolute; ends with a slash where a directory is meant.
    pub(crate) target: Vec<u8>,
    pub(crate) chown: Option<String>,
    pub(crate) chmod: Option<ModeChange>,
    /// A layer that does not depend on what is below it.
    pub(crate) link: bool,
    /// The directories above the sources come along.
    pub(crate) parents: bool,
    pub(crate) exclude: Vec<String>,
    /// ADD: archives of the context are unpacked.
    pub(crate) unpack: bool,
    /// ADD: archives from elsewhere are, too.
    pub(crate) unpack_remote: bool,
}

impl Copy {
    /// COPY of one source, as kiln itself needs it.
    fn without_flags(from: CopyFrom, source: CopySource, destination: String, target: Vec<u8>) -> Self {
        Self {
            keyword: "COPY",
            sources: vec![source],
            from,
            destination,
            target,
            chown: None,
            chmod: None,
            link: false,
            parents: false,
            exclude: Vec::new(),
            unpack: false,
            unpack_remote: false,
        }
    }
}

pub(crate) enum CopySource {
    Path {
        pattern: String,
        span: Span,
    },
    /// No pattern.
    Exactly {
        path: String,
        span: Span,
    },
    Inline {
        name: String,
        content: Vec<u8>,
    },
    Url {
        url: Url,
        checksum: Option<Checksum>,
        span: Span,
    },
    Git {
        reference: Box<Reference>,
        span: Span,
    },
}

pub(crate) enum CopyFrom {
    Context,
    /// The named context with that number in the request.
    Files(usize),
    Stage(usize),
    Image(Box<SourceImage>),
}

/// An image that files are taken from.
pub(crate) struct SourceImage {
    pub(crate) image: kiln_store::Image,
    /// It was pulled for this build.
    pub(crate) pulled: Option<PulledImage>,
}

pub(crate) struct Run {
    /// With the shell in front, in shell form.
    pub(crate) argv: Vec<String>,
    /// Of the image and of ARG, names unique.
    pub(crate) env: Vec<(String, String)>,
    /// Visible to the process but without influence on the cache: proxies.
    pub(crate) unkeyed_env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) user: String,
    pub(crate) mounts: Vec<Mount>,
    /// The name of the machine, where the user gives one.
    pub(crate) hostname: Option<String>,
    pub(crate) network: Network,
    /// `--security=insecure`
    pub(crate) insecure: bool,
    /// What of it WASI steps cannot have: why, and what is to be left out.
    pub(crate) only_native: Option<(&'static str, Span)>,
    pub(crate) chosen: Chosen,
    /// The wall clock of a WASI step.
    pub(crate) clock: i64,
    /// As history and errors show it.
    pub(crate) command: String,
}

/// Which executor the user, a comment in the Dockerfile or the platform chose, and the words that say so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen {
    pub(crate) wanted: Wanted,
    pub(crate) by: &'static str,
    /// The number of the rule in the documentation. With [`Wanted::Auto`] the program decides between 6 and 7.
    pub(crate) rule: u8,
}

/// Plans the stages that `request.target` needs.
pub(crate) fn plan(dockerfile: &Dockerfile, request: &Request, images: &Images<'_>) -> Result<Plan, Error> {
    let target = target(dockerfile, request)?;
    let settled = given::settle(dockerfile, request).map_err(Error::Dockerfile)?;
    let mut planned: Vec<Result<stage::Planned, Vec<Diagnostic>>> = Vec::new();
    let budget = budget::Budget::default();
    for ordinal in 0..=target {
        let stage = stage::plan(dockerfile, ordinal, &settled, request, images, &budget, &planned);
        planned.push(stage);
    }
    let needed = needed(&planned, target);
    if needed.iter().any(|&stage| planned[stage].is_err()) {
        let problems = |stage: &usize| planned[*stage].as_ref().err().into_iter().flatten().cloned();
        let mut told: Vec<Diagnostic> = needed.iter().flat_map(problems).collect();
        if told.is_empty() {
            // A stage that stands on one that is wrong says nothing itself.
            told = (0..=target).flat_map(|stage| problems(&stage).collect::<Vec<_>>()).collect();
        }
        return Err(Error::Dockerfile(told));
    }
    let stages = planned
        .into_iter()
        .enumerate()
        .filter(|(ordinal, _)| needed.contains(ordinal))
        .filter_map(|(_, stage)| stage.ok());
    let unconsumed = settled.globals.unconsumed(dockerfile);
    let epoch = settled.epoch;
    Ok(Plan { unconsumed, idle: idle(dockerfile, request), epoch, ..number(dockerfile, stages.collect(), &needed) })
}

/// Options that fit nothing: what other builders silently pass over is worth a word.
fn idle(dockerfile: &Dockerfile, request: &Request) -> Vec<String> {
    let args = request.build_args.iter().filter_map(|(name, _)| {
        kiln_dockerfile::without_effect(name).map(|why| format!("--build-arg {name} has no effect: {why}"))
    });
    let count = dockerfile.stages.len();
    let stages = request.no_cache_filter.iter().filter(|name| dockerfile.find_stage(name, count).is_none());
    let stages = stages.map(|name| format!("--no-cache-filter {name} has no effect: no stage has that name"));
    args.chain(stages).collect()
}

/// Gives steps their ids and numbers, and stages their places among the needed ones.
fn number(dockerfile: &Dockerfile, planned: Vec<stage::Planned>, needed: &BTreeSet<usize>) -> Plan {
    let place = |ordinal: usize| needed.range(..ordinal).count();
    let mut ids = (0..).map(StepId);
    let mut numbers = 1..;
    let mut show = |text: &str, span: Span, counted: bool| Shown {
        id: ids.next().expect("endless"),
        number: if counted { numbers.next() } else { None },
        text: text.to_owned(),
        span,
    };
    let shown_arg = |arg: &Instruction| show(&arg.text, arg.span, true);
    let global_args = dockerfile.global_args.iter().map(shown_arg).collect();
    let mut stages = Vec::with_capacity(planned.len());
    for stage in planned {
        let from = show(&stage.text, stage.span, true);
        let triggers = stage.triggers;
        let steps = stage.steps.into_iter().map(|mut step| {
            for copy in step.op.copies_mut() {
                if let CopyFrom::Stage(ordinal) = &mut copy.from {
                    *ordinal = place(*ordinal);
                }
            }
            Step { shown: show(&step.text, step.span, step.counted), op: step.op }
        });
        let steps = steps.collect();
        let base = match stage.base {
            Base::Stage(ordinal) => Base::Stage(place(ordinal)),
            base @ (Base::Scratch | Base::Image(_)) => base,
        };
        let (platform, no_cache, note, pulled) = (stage.platform, stage.no_cache, stage.note, stage.pulled);
        stages.push(Stage { from, base, platform, no_cache, note, pulled, triggers, steps });
    }
    let total = numbers.next().expect("endless") - 1;
    Plan { global_args, stages, total, unconsumed: Vec::new(), idle: Vec::new(), epoch: None }
}

/// The target and everything it stands on or copies from.
fn needed(planned: &[Result<stage::Planned, Vec<Diagnostic>>], target: usize) -> BTreeSet<usize> {
    let mut needed = BTreeSet::from([target]);
    // Stages only refer to earlier ones, so one way down is enough.
    for ordinal in (0..=target).rev() {
        if needed.contains(&ordinal)
            && let Ok(stage) = &planned[ordinal]
        {
            needed.extend(&stage.needs);
        }
    }
    needed
}

pub(crate) fn target(dockerfile: &Dockerfile, request: &Request) -> Result<usize, Error> {
    let Some(wanted) = &request.target else {
        return Ok(dockerfile.stages.len() - 1);
    };
    dockerfile.find_stage(wanted, dockerfile.stages.len()).ok_or_else(|| Error::UnknownTarget {
        wanted: wanted.clone(),
        known: dockerfile.stages.iter().filter_map(|stage| stage.name().map(str::to_owned)).collect(),
    })
}

/// What `--build-context` put in the place of a stage or image of that name. Images have several ways to be written.
pub(crate) fn named_context<'a>(request: &'a Request, name: &str) -> Option<(usize, &'a NamedContext)> {
    let usual = |name: &str| match name.parse::<kiln_types::Reference>() {
        Ok(reference) => {
            let familiar = reference.familiar();
            familiar.strip_suffix(":latest").map_or(familiar.clone(), str::to_owned)
        }
        Err(_) => name.to_ascii_lowercase(),
    };
    let contexts = request.named_contexts.iter().enumerate();
    let same = |known: &str| known.eq_ignore_ascii_case(name) || usual(known) == usual(name);
    contexts.rev().find(|(_, (known, _))| same(known)).map(|(index, (_, context))| (index, context))
}
