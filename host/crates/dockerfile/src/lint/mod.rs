//! What is doubtful about a Dockerfile: one file for each group of rules, one table of all of them.
//!
//! Rules see the text alone, or an instruction together with what a build would know there ([`crate::walk`]).

mod casing;
mod context;
mod descriptions;
mod expose;
mod from;
mod instructions;
mod names;
mod options;
pub(crate) mod rules;
mod run;
mod secrets;
mod shell;
mod undefined;

use crate::walk::{self, At, Bases, Visitor};
use crate::{Diagnostic, Dockerfile, Given, Globals, IgnoreFile, Span, Stage};
use std::collections::{BTreeSet, HashSet};

pub use options::{CheckOptions, CheckOptionsError};
pub use rules::{RULES, Rule, rule};

/// A rule that is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub rule: &'static Rule,
    /// One sentence without its final stop.
    pub detail: String,
    pub span: Span,
}

/// More warnings than this help nobody, and hostile input must not make them without end.
const MOST: usize = 2000;

/// The warnings found so far.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(crate) fn push(&mut self, warning: Warning) {
        if self.0.len() < MOST {
            self.0.push(warning);
        }
    }

    /// In the order of the text.
    pub(crate) fn into_sorted(mut self) -> Vec<Warning> {
        self.0.sort_by(|a, b| (a.span.start, a.rule.name, &a.detail).cmp(&(b.span.start, b.rule.name, &b.detail)));
        self.0.dedup();
        self.0
    }
}

/// What rules know beside the Dockerfile.
pub struct Facts<'a> {
    pub given: &'a Given,
    pub bases: &'a Bases<'a>,
    /// What keeps files out of the build context.
    pub ignore: Option<&'a IgnoreFile>,
    /// Look at every stage, needed or not: what a check without a target does.
    pub all_stages: bool,
}

/// What was found, and what is to follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// In the order of the text.
    pub warnings: Vec<Warning>,
    /// Names of rules, sorted, whose violation stops a build: `# check=error=true`.
    pub fatal: Vec<&'static str>,
}

/// The options that the Dockerfile gives, or the user in their place.
fn options(dockerfile: &Dockerfile, given: &Given) -> Result<CheckOptions, Diagnostic> {
    let directive = dockerfile.directives.check.as_ref();
    let (text, span) = match (given.build_arg(crate::CHECK_ARG), directive) {
        (Some(given), _) => (given, Span::default()),
        (None, Some(word)) => (word.text.as_str(), word.span),
        (None, None) => return Ok(CheckOptions::default()),
    };
    CheckOptions::parse(text).map_err(|error| {
        Diagnostic::error("invalid-check", span, error.to_string())
            .hint("# check= and the build argument BUILDKIT_DOCKERFILE_CHECK take e.g. skip=RuleOne,RuleTwo;error=true")
    })
}

/// Looks for violations of every rule that the Dockerfile and the user want to hear of.
///
/// # Errors
/// Check options that cannot be read.
pub fn lint(dockerfile: &Dockerfile, facts: &Facts<'_>) -> Result<Findings, Diagnostic> {
    let options = options(dockerfile, facts.given)?;
    // What is wrong with the defaults is told by the plan.
    let (globals, _) = Globals::new(dockerfile, facts.given);
    let mut lint = Lint {
        options: &options,
        facts,
        local: None,
        warnings: Vec::new(),
        stage: None,
        earlier: HashSet::new(),
        trigger: None,
    };
    for warning in &dockerfile.warnings {
        lint.local = comments_at(dockerfile, warning.span).and_then(|comments| options.with_comments(comments));
        lint.warn(warning.rule, warning.span, warning.detail.clone());
    }
    lint.local = None;
    lint.unknown_rules(dockerfile);
    lint.newer_syntax(dockerfile);
    lint.names(dockerfile);
    lint.casing(dockerfile);
    lint.default_args(dockerfile, facts.given);
    for instruction in &dockerfile.global_args {
        lint.local = options.with_comments(&instruction.comments);
        lint.arg_description(instruction);
    }
    lint.local = None;
    let mut stages = Stages { lint, used: Default::default() };
    let needs = walk::walk(dockerfile, &globals, facts.bases, &mut stages);
    let count = dockerfile.stages.len();
    let target = match &facts.given.target {
        Some(target) => dockerfile.find_stage(target, count),
        None => count.checked_sub(1),
    };
    let needed: Option<BTreeSet<usize>> = match (facts.all_stages && facts.given.target.is_none(), target) {
        (false, Some(target)) => Some(walk::reachable(&needs, target)),
        (true, _) | (_, None) => None,
    };
    let mut warnings = Warnings::default();
    for (stage, warning) in stages.lint.warnings {
        if stage.is_none_or(|stage| needed.as_ref().is_none_or(|needed| needed.contains(&stage))) {
            warnings.push(warning);
        }
    }
    let warnings = warnings.into_sorted();
    let fatal: BTreeSet<&str> =
        warnings.iter().filter(|warning| options.is_error(warning.rule)).map(|warning| warning.rule.name).collect();
    Ok(Findings { warnings, fatal: fatal.into_iter().collect() })
}

/// The comments above the instruction that `span` lies in.
fn comments_at(dockerfile: &Dockerfile, span: Span) -> Option<&[String]> {
    let stage = dockerfile.stages.partition_point(|stage| stage.span.start <= span.start).checked_sub(1);
    let Some(stage) = stage.map(|number| &dockerfile.stages[number]) else {
        return instruction_at(&dockerfile.global_args, span);
    };
    if span.start < stage.span.end { Some(&stage.comments) } else { instruction_at(&stage.instructions, span) }
}

fn instruction_at(instructions: &[crate::Instruction], span: Span) -> Option<&[String]> {
    let after = instructions.partition_point(|instruction| instruction.span.start <= span.start);
    let instruction = instructions.get(after.checked_sub(1)?)?;
    (span.start < instruction.span.end).then_some(&instruction.comments)
}

/// The rules at work.
struct Lint<'a> {
    options: &'a CheckOptions,
    facts: &'a Facts<'a>,
    /// What the comments above the present instruction make of the options.
    local: Option<CheckOptions>,
    /// The stage that each belongs to; none where it does not matter whether the stage is needed.
    warnings: Vec<(Option<usize>, Warning)>,
    /// The stage whose instructions are being looked at.
    stage: Option<usize>,
    /// Names of the stages so far.
    earlier: HashSet<String>,
    /// The trigger of a base image that is being looked at: the text does not show it.
    trigger: Option<String>,
}

impl Lint<'_> {
    fn wants(&self, rule: &Rule) -> bool {
        self.warnings.len() < MOST && self.local.as_ref().unwrap_or(self.options).wants(rule)
    }

    fn warn(&mut self, rule: &'static Rule, span: Span, detail: impl Into<String>) {
        if self.wants(rule) {
            let mut detail = detail.into();
            if let Some(trigger) = &self.trigger {
                detail.push_str(&format!(" (in the base image's ONBUILD {trigger})"));
            }
            self.warnings.push((self.stage, Warning { rule, detail, span }));
        }
    }
}

/// The rules that look at one instruction after the other.
struct Stages<'a> {
    lint: Lint<'a>,
    used: instructions::Used,
}

impl Visitor for Stages<'_> {
    fn from(&mut self, _: usize, stage: &Stage, globals: &Globals) {
        self.used = Default::default();
        let lint = &mut self.lint;
        (lint.stage, lint.trigger) = (None, None);
        lint.local = lint.options.with_comments(&stage.comments);
        lint.from(stage, globals);
        lint.stage_description(stage);
    }

    fn instruction(&mut self, at: &At<'_>) {
        let lint = &mut self.lint;
        lint.local = lint.options.with_comments(&at.instruction.comments);
        lint.trigger = at.is_trigger.then(|| at.instruction.text.clone());
        // What the text of an instruction says matters in every stage.
        lint.stage = None;
        lint.arg_description(at.instruction);
        lint.maintainer(at.instruction);
        lint.stage = Some(at.stage);
        lint.instruction(at, &mut self.used);
        lint.undefined(at);
        lint.secrets(at.instruction);
        lint.expose(at);
        lint.context(at);
        lint.run(at);
    }
}
