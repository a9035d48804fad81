//! What can be given to a build: `--call=outline` and `--call=targets`.

use crate::walk::{self, At, Bases, Visitor};
use crate::{Dockerfile, Given, Globals, Instruction, Kind, MountKind, Span, Stage};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The arguments, secrets and agents that a target uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The stage's name, where it has one.
    pub name: Option<String>,
    pub description: Option<String>,
    /// In the order of the text, as the others.
    pub args: Vec<OutlineArg>,
    pub secrets: Vec<OutlineMount>,
    pub ssh: Vec<OutlineMount>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineArg {
    pub name: String,
    pub description: Option<String>,
    /// That it would have; empty where it has none.
    pub value: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineMount {
    pub name: String,
    pub required: bool,
    pub span: Span,
}

/// A stage that can be built by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: Option<String>,
    pub description: Option<String>,
    /// Built where no target is given.
    pub default: bool,
    /// As written.
    pub base: String,
    pub platform: Option<String>,
    pub span: Span,
}

/// The comment `# name description` among those above a definition.
fn description(comments: &[String], name: &str) -> Option<String> {
    comments.iter().find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned)
}

pub fn targets(dockerfile: &Dockerfile) -> Vec<Target> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let target = |(number, stage): (usize, &Stage)| Target {
        name: stage.name().map(str::to_owned),
        description: stage.name().and_then(|name| description(&stage.comments, name)),
        default: number == last,
        base: stage.from.image.text.clone(),
        platform: stage.from.platform.as_ref().map(|word| word.text.clone()),
        span: stage.span,
    };
    dockerfile.stages.iter().enumerate().map(target).collect()
}

/// What the stage number `target` and all that it needs can be given.
pub fn outline(dockerfile: &Dockerfile, given: &Given, bases: &Bases<'_>, target: usize) -> Outline {
    let (globals, _) = Globals::new(dockerfile, given);
    let mut seen =
        Seen { stages: vec![Found::default(); dockerfile.stages.len()], global: global_args(dockerfile, given) };
    let needs = walk::walk(dockerfile, &globals, bases, &mut seen);
    let mut outline = Outline::default();
    if let Some(stage) = dockerfile.stages.get(target) {
        outline.name = stage.name().map(str::to_owned);
        outline.description = stage.name().and_then(|name| description(&stage.comments, name));
    }
    let mut used = BTreeSet::new();
    for stage in walk::reachable(&needs, target) {
        let Some(found) = seen.stages.get(stage) else { continue };
        used.extend(found.globals.iter().cloned());
        outline.args.extend(found.args.values().cloned());
        merge(&mut outline.secrets, &found.secrets);
        merge(&mut outline.ssh, &found.ssh);
    }
    // What a used ARG is made of is used as well.
    let mut open: Vec<String> = used.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let Some(global) = seen.global.get(&name) else { continue };
        open.extend(global.made_of.iter().filter(|name| used.insert((*name).clone())).cloned());
    }
    outline.args.extend(used.iter().filter_map(|name| Some(seen.global.get(name)?.arg.clone())));
    outline.args.sort_by(|a, b| (a.span.start, &a.name).cmp(&(b.span.start, &b.name)));
    outline.args.dedup();
    outline
}

fn merge(all: &mut Vec<OutlineMount>, more: &[OutlineMount]) {
    for mount in more {
        if !all.iter().any(|known| known.name == mount.name) {
            all.push(mount.clone());
        }
    }
    all.sort_by_key(|mount| mount.span.start);
}

/// An ARG before the first FROM.
struct Global {
    arg: OutlineArg,
    /// Names in its default.
    made_of: BTreeSet<String>,
}

fn global_args(dockerfile: &Dockerfile, given: &Given) -> BTreeMap<String, Global> {
    let mut found: BTreeMap<String, Global> = BTreeMap::new();
    for instruction in &dockerfile.global_args {
        let Kind::Arg(arguments) = &instruction.kind else { continue };
        for argument in arguments {
            let name = argument.name.text.clone();
            let mut made_of = BTreeSet::new();
            if let Some(default) = argument.default.as_ref().filter(|_| given.build_arg(&name).is_none()) {
                made_of = names_in(default, dockerfile.directives.escape);
            }
            // Of several of one name each may stand upon the one before.
            if made_of.remove(&name)
                && let Some(earlier) = found.get(&name)
            {
                made_of.extend(earlier.made_of.iter().cloned());
            }
            let arg = arg(&name, None, instruction);
            found.insert(name, Global { arg, made_of });
        }
    }
    let (globals, _) = Globals::new(dockerfile, given);
    for (name, global) in &mut found {
        global.arg.value = globals.get(name).unwrap_or_default().to_owned();
    }
    found
}

/// The variables in a text, whatever else may be wrong with it.
fn names_in(text: &str, escape: u8) -> BTreeSet<String> {
    let names = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        Some(String::new())
    };
    let _ = crate::expand(text, &lookup, escape);
    names.into_inner()
}

fn arg(name: &str, value: Option<&str>, instruction: &Instruction) -> OutlineArg {
    OutlineArg {
        name: name.to_owned(),
        description: description(&instruction.comments, name),
        value: value.unwrap_or_default().to_owned(),
        span: instruction.span,
    }
}

#[derive(Clone, Default)]
struct Found {
    /// By name: the last one counts.
    args: BTreeMap<String, OutlineArg>,
    /// Names of ARG before the first FROM that the stage uses.
    globals: BTreeSet<String>,
    secrets: Vec<OutlineMount>,
    ssh: Vec<OutlineMount>,
}

struct Seen {
    stages: Vec<Found>,
    global: BTreeMap<String, Global>,
}

impl Visitor for Seen {
    fn from(&mut self, stage: usize, from: &Stage, globals: &Globals) {
        for word in [&from.from.image].into_iter().chain(&from.from.platform) {
            self.stages[stage].globals.extend(names_in(word, globals.escape()));
        }
    }

    fn instruction(&mut self, at: &At<'_>) {
        let found = &mut self.stages[at.stage];
        match &at.instruction.kind {
            Kind::Arg(arguments) => {
                for argument in arguments {
                    let name = &argument.name.text;
                    let default = argument.default.as_ref().and_then(|word| at.state.expand(word, at.globals).ok());
                    if default.is_none() && !at.globals.is_given(name) && self.global.contains_key(name) {
                        found.globals.insert(name.clone());
                        continue;
                    }
                    let value = at.globals.value(name, default);
                    let value = value.as_deref().or(at.state.scope.value(name));
                    found.args.insert(name.clone(), arg(name, value, at.instruction));
                }
            }
            Kind::Run(run) => {
                for mount in &run.mounts {
                    let Some(mount) = walk::resolve(mount, at.state, at.globals) else { continue };
                    let span = at.instruction.span;
                    match mount.kind {
                        MountKind::Secret { id, required, .. } => {
                            merge(&mut found.secrets, &[OutlineMount { name: id, required, span }]);
                        }
                        MountKind::Ssh { id, required, .. } => {
                            merge(&mut found.ssh, &[OutlineMount { name: id, required, span }]);
                        }
                        MountKind::Bind { .. } | MountKind::Cache { .. } | MountKind::Tmpfs { .. } => {}
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use kiln_types::Platform;

    const TEXT: &str = "\
ARG part=b
ARG unused=x
# name is what it is called
ARG name=a${part}
FROM $name AS first
# level of detail
# other is described
ARG level=1 other=2
RUN --mount=type=secret,id=key$level,required --mount=type=ssh true

# last is the end
FROM scratch AS last
ARG name
ARG own
COPY --from=first /a /b
RUN --mount=type=secret,id=key1 --mount=type=secret,target=/etc/x true
";

    fn of(text: &str, target: usize) -> Outline {
        let platform = Platform::new("linux", "amd64");
        let given = Given {
            build_args: vec![("other".to_owned(), "3".to_owned())],
            target_platform: platform.clone(),
            build_platform: platform,
            target: None,
        };
        outline(&parse(text.as_bytes(), "Dockerfile").unwrap(), &given, &|_, _| None, target)
    }

    #[test]
    fn a_target_is_described_with_all_it_needs() {
        let found = of(TEXT, 1);
        assert_eq!((found.name.as_deref(), found.description.as_deref()), (Some("last"), Some("is the end")));
        let args: Vec<_> = found.args.iter().map(|arg| (&*arg.name, &*arg.value, arg.description.as_deref())).collect();
        assert_eq!(
            args,
            [
                ("part", "b", None),
                ("name", "ab", Some("is what it is called")),
                ("level", "1", Some("of detail")),
                ("other", "3", Some("is described")),
                ("own", "", None),
            ]
        );
        let secrets: Vec<_> = found.secrets.iter().map(|secret| (&*secret.name, secret.required)).collect();
        assert_eq!(secrets, [("key1", true), ("x", false)]);
        assert_eq!(found.ssh.iter().map(|ssh| &*ssh.name).collect::<Vec<_>>(), ["default"]);
    }

    #[test]
    fn what_a_target_does_not_need_is_left_out() {
        assert_eq!(of(TEXT, 0).args.len(), 4);
        assert_eq!(of("FROM scratch\n", 0), Outline::default());
    }

    /// Of a file with errors there may be no stage at all.
    #[test]
    fn nothing_has_an_outline_too() {
        let platform = Platform::new("linux", "amd64");
        let given =
            Given { build_args: Vec::new(), target_platform: platform.clone(), build_platform: platform, target: None };
        let (dockerfile, _) = crate::parse_all(b"", "Dockerfile");
        assert_eq!(outline(&dockerfile, &given, &|_, _| None, 0), Outline::default());
    }

    #[test]
    fn targets_are_listed() {
        let found = targets(&parse(TEXT.as_bytes(), "Dockerfile").unwrap());
        let shown: Vec<_> = found.iter().map(|each| (each.name.as_deref(), &*each.base, each.default)).collect();
        assert_eq!(shown, [(Some("first"), "$name", false), (Some("last"), "scratch", true)]);
        assert_eq!(found[1].description.as_deref(), Some("is the end"));
    }
}
