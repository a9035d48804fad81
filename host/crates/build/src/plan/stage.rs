//! One stage: FROM, then each instruction with its variables expanded.

use kiln_dockerfile::{Diagnostic, Dockerfile, Executor, Instruction, Kind, Pragma, Scope, Span, Word};
use kiln_exec::Wanted;
use kiln_image::ImageConfig;
use kiln_types::{Platform, paths};

use super::budget::{Budget, HistorySize};
use super::fold::Fold;
use super::given::Settled;
use super::{Base, Chosen, Copy, CopyFrom, CopySource, Op, named_context};
use crate::images::Images;
use crate::state::State;
use crate::{NamedContext, PulledImage, Request};

/// A stage before it has its numbers; stages are named by their place in the Dockerfile.
pub(super) struct Planned {
    pub(super) text: String,
    pub(super) span: Span,
    pub(super) base: Base,
    pub(super) platform: Platform,
    pub(super) no_cache: bool,
    /// What the user should know about FROM.
    pub(super) note: Option<String>,
    /// The base image was pulled for this build.
    pub(super) pulled: Option<PulledImage>,
    pub(super) triggers: usize,
    pub(super) steps: Vec<PlannedStep>,
    /// Earlier stages that it stands on or copies from.
    pub(super) needs: Vec<usize>,
    /// What a stage built upon this one begins with.
    scope: Scope,
    config: ImageConfig,
    history: HistorySize,
}

pub(super) struct PlannedStep {
    pub(super) text: String,
    pub(super) span: Span,
    /// It stands in the Dockerfile as an instruction of its own.
    pub(super) counted: bool,
    pub(super) op: Op,
}

pub(super) fn plan(
    dockerfile: &Dockerfile,
    ordinal: usize,
    settled: &Settled,
    request: &Request,
    images: &Images<'_>,
    budget: &Budget,
    earlier: &[Result<Planned, Vec<Diagnostic>>],
) -> Result<Planned, Vec<Diagnostic>> {
    let stage = &dockerfile.stages[ordinal];
    let from = &stage.from;
    let globals = &settled.globals;
    let (asked, note) = match &from.platform {
        // BuildKit passes over a flag with nothing behind it.
        Some(word) if !word.text.is_empty() => {
            let text = globals.expand(word).map_err(|problem| vec![problem])?;
            if text.is_empty() {
                return Err(vec![nothing("bad-platform", word)]);
            }
            let wrong = |error: kiln_types::ParsePlatformError| {
                vec![Diagnostic::error("bad-platform", word.span, error.to_string())]
            };
            (Some(text.parse().map_err(wrong)?), Platform::advice(&text))
        }
        _ => (request.platform.clone(), None),
    };
    let image = globals.expand(&from.image).map_err(|problem| vec![problem])?;
    if image.is_empty() {
        return Err(vec![nothing("empty-image", &from.image)]);
    }
    // A named context stands for this whole stage, or for what it begins with.
    let own = stage.name().and_then(|name| named_context(request, name));
    let replaced = own.is_some();
    let named = own.or_else(|| named_context(request, &image).filter(|_| image != "scratch"));
    let (image, files) = match named {
        None => (image, None),
        Some((_, NamedContext::Image(name) | NamedContext::Stage(name))) => (name.clone(), None),
        Some((index, NamedContext::Files { .. })) => ("scratch".to_owned(), Some(index)),
    };
    let mut needs = Vec::new();
    let mut pulled = None;
    let from_nothing = files.is_some() || image == "scratch" && dockerfile.find_stage(&image, ordinal).is_none();
    let mut history = HistorySize::default();
    let (base, platform, config, scope) = if from_nothing {
        let platform = asked.unwrap_or_else(Platform::host);
        let config = State::scratch(&platform).config;
        (Base::Scratch, platform, config, Scope::default())
    } else if let Some(base) = dockerfile.find_stage(&image, ordinal).filter(|_| image.parse::<usize>().is_err()) {
        let Ok(base_stage) = &earlier[base] else {
            // What is wrong is told for that stage.
            return Err(Vec::new());
        };
        needs.push(base);
        let config = base_stage.config.clone();
        history = base_stage.history;
        (Base::Stage(base), base_stage.platform.clone(), config, base_stage.scope.clone())
    } else {
        let (found, news) =
            find_image(images, &image, asked.as_ref(), from.image.span).map_err(|problem| vec![problem])?;
        pulled = news;
        let config = found.config.clone();
        (Base::Image(Box::new(found)), config.platform(), config, Scope::default())
    };
    budget
        .spend(config.config.env.iter().flatten().chain(config.config.labels.values()), stage.span)
        .map_err(|problem| vec![problem])?;
    let mut planner = Planner {
        dockerfile,
        ordinal,
        request,
        images,
        hostname: settled.hostname.as_deref(),
        chosen: {
            let of_stage = stage.executor.map(|pragma| (pragma, 3));
            let of_file = dockerfile.executor.map(|pragma| (pragma, 4));
            chosen(request, of_stage.or(of_file), &platform)
        },
        fold: Fold::new(globals, scope, config),
        budget,
        history,
        needs,
        problems: Vec::new(),
        steps: Vec::new(),
    };
    let triggers = planner.begin();
    if let Some(index) = files {
        planner.steps.push(PlannedStep {
            text: stage.text.clone(),
            span: stage.span,
            counted: false,
            op: Op::Copy(all_of(index, from.image.span)),
        });
    }
    if !replaced {
        for instruction in &stage.instructions {
            planner.instruction(instruction);
        }
    }
    let Planner { fold: Fold { scope, config, .. }, history, needs, problems, steps, .. } = planner;
    if !problems.is_empty() {
        return Err(problems);
    }
    let no_cache = request.no_cache_filter.iter().any(|name| dockerfile.find_stage(name, ordinal + 1) == Some(ordinal));
    let (text, no_cache) = (stage.text.clone(), request.no_cache || no_cache);
    Ok(Planned {
        text,
        span: stage.span,
        base,
        platform,
        no_cache,
        note,
        pulled,
        triggers,
        steps,
        needs,
        scope,
        config,
        history,
    })
}

fn nothing(code: &'static str, word: &Word) -> Diagnostic {
    Diagnostic::error(code, word.span, format!("`{}` expands to nothing", word.text)).hint(
        "FROM can use only an ARG that stands before the first FROM; give it a default, or a value with --build-arg",
    )
}

/// The files of a named context as root filesystem.
fn all_of(index: usize, span: Span) -> Copy {
    let source = CopySource::Path { pattern: ".".to_owned(), span };
    Copy::without_flags(CopyFrom::Files(index), source, "/".to_owned(), b"/".to_vec())
}

pub(super) fn find_image(
    images: &Images<'_>,
    name: &str,
    platform: Option<&Platform>,
    span: Span,
) -> Result<(kiln_store::Image, Option<PulledImage>), Diagnostic> {
    images.find(name, platform).map_err(|missing| missing.diagnostic(format!("base image `{name}`"), span))
}

/// Rules 1 to 5 of the choice; the rest looks at what would be executed.
pub(super) fn chosen(request: &Request, pragma: Option<(Pragma, u8)>, platform: &Platform) -> Chosen {
    if request.untrusted {
        return Chosen { wanted: Wanted::Wasi, by: "--untrusted", rule: 1 };
    }
    if request.executor != Wanted::Auto {
        return Chosen { wanted: request.executor, by: "--executor", rule: 1 };
    }
    match pragma {
        Some((pragma, rule)) => {
            let wanted = match pragma.executor {
                Executor::Namespace => Wanted::Namespace,
                Executor::Wasi => Wanted::Wasi,
            };
            Chosen { wanted, by: "`# kiln:executor=`", rule }
        }
        None if platform.is_wasi() => Chosen { wanted: Wanted::Wasi, by: "the platform", rule: 5 },
        None => Chosen { wanted: Wanted::Auto, by: "the program", rule: 6 },
    }
}

pub(super) struct Planner<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) ordinal: usize,
    pub(super) request: &'a Request,
    pub(super) images: &'a Images<'a>,
    pub(super) hostname: Option<&'a str>,
    pub(super) chosen: Chosen,
    pub(super) fold: Fold<'a>,
    pub(super) budget: &'a Budget,
    history: HistorySize,
    pub(super) needs: Vec<usize>,
    problems: Vec<Diagnostic>,
    steps: Vec<PlannedStep>,
}

impl Planner<'_> {
    /// What FROM does to the configuration; returns how many triggers it added as steps.
    fn begin(&mut self) -> usize {
        State::settle(&mut self.fold.config);
        let triggers = self.fold.config.config.on_build.take().unwrap_or_default();
        let span = self.dockerfile.stages[self.ordinal].span;
        for trigger in &triggers {
            let before = self.problems.len();
            match kiln_dockerfile::parse_instruction(trigger) {
                Ok(instruction) => self.instruction_at(&instruction, Some(span)),
                Err(problems) => self.problems.extend(problems),
            }
            // A trigger stands in no file of ours: its problems point at FROM and name it.
            for problem in &mut self.problems[before..] {
                problem.span = span;
                problem.message = format!("the base image's ONBUILD trigger `{trigger}`: {}", problem.message);
                problem.hint = None;
            }
        }
        triggers.len()
    }

    fn instruction(&mut self, instruction: &Instruction) {
        self.instruction_at(instruction, None);
    }

    fn instruction_at(&mut self, instruction: &Instruction, span: Option<Span>) {
        if self.budget.is_spent() || self.history.is_too_long() {
            return;
        }
        let shown_at = span.unwrap_or(instruction.span);
        match self.op(instruction) {
            Ok(mut op) => {
                if let Some(place) = span {
                    op.stand_at(place);
                }
                if let Err(problem) = self.history.grow(&op, shown_at) {
                    self.problems.push(problem);
                    return;
                }
                self.steps.push(PlannedStep {
                    text: instruction.text.clone(),
                    span: shown_at,
                    counted: span.is_none(),
                    op,
                });
            }
            Err(problem) => self.problems.push(Diagnostic { span: span.unwrap_or(problem.span), ..problem }),
        }
    }

    fn op(&mut self, instruction: &Instruction) -> Result<Op, Diagnostic> {
        Ok(match &instruction.kind {
            Kind::Run(run) => Op::Run(self.run(run, instruction)?),
            Kind::Copy(copy) => Op::Copy(self.copy(copy)?),
            Kind::Add(add) => Op::Copy(self.add(add)?),
            kind @ Kind::Workdir(_) => {
                let (edit, comment) = self.fold.metadata(kind)?;
                Op::Workdir { path: paths::clean(&self.fold.config.config.working_dir), edit, comment }
            }
            kind => {
                let (edit, comment) = self.fold.metadata(kind)?;
                self.budget.spend([&comment, &comment], instruction.span)?;
                Op::Metadata { edit, comment }
            }
        })
    }
}
