//! The stages as a build would see them: variables, what stands on what. Nothing is executed, and a base image may be
//! unknown.

use crate::{
    Dockerfile, ExpandError, Globals, Instruction, Kind, Mount, MountKind, ResolvedMount, Scope, Source, Stage,
    Transfer, Word,
};
use kiln_types::Platform;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What instructions can see of an image that a stage is built upon.
#[derive(Clone, Debug, Default)]
pub struct BaseImage {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// It sets a SHELL of its own.
    pub shell: bool,
    /// Instructions that its ONBUILD kept for the images built upon it.
    pub triggers: Vec<String>,
}

/// The image of that name for that platform, where it is at hand.
pub type Bases<'a> = dyn Fn(&str, Option<&Platform>) -> Option<BaseImage> + 'a;

/// What stands in an image without a PATH of its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes of variables that stages may hand on to one another; hostile input must not make them without end.
const MOST_INHERITED: usize = 64 << 20;
/// What a variable costs beside its text.
const OVERHEAD: usize = 64;
/// Values longer than this are taken for empty: nobody names images or paths with them, and texts full of them would
/// take long to expand.
const LONGEST_VALUE: usize = 1 << 10;

/// A stage before one of its instructions.
#[derive(Clone, Debug)]
pub(crate) struct State {
    env: BTreeMap<String, String>,
    pub(crate) scope: Scope,
    /// False below an image that is not at hand: there may be any variable.
    pub(crate) env_known: bool,
    pub(crate) shell: bool,
    pub(crate) workdir_set: bool,
}

impl State {
    fn of_base(base: Option<BaseImage>) -> Self {
        let env_known = base.is_some();
        let base = base.unwrap_or_default();
        let pairs = base.env.iter().filter_map(|line| line.split_once('='));
        let mut env: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        Self { env, scope: Scope::default(), env_known, shell: base.shell, workdir_set: false }
    }

    /// The state that a stage built upon this one begins with.
    fn inherited(&self) -> Self {
        let mut state = self.clone();
        state.env.keys().for_each(|name| state.scope.hide(name));
        state
    }

    fn size(&self) -> usize {
        let pairs = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.chain(self.scope.visible()).map(|(name, value)| name.len() + value.len() + OVERHEAD).sum()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.scope.get(name).or_else(|| self.env.get(name).map(String::as_str))
    }

    /// How many variables there are, about.
    pub(crate) fn count(&self) -> usize {
        self.env.len() + self.scope.count()
    }

    /// All names that have a value.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.env.keys().map(String::as_str).chain(self.scope.visible().map(|(name, _)| name)).collect()
    }

    /// What `instruction` does to those after it. A value that cannot be expanded is as good as none.
    fn apply(&mut self, instruction: &Instruction, globals: &Globals) {
        match &instruction.kind {
            Kind::Arg(arguments) => {
                for argument in arguments {
                    let default = argument.default.as_ref().filter(|_| !globals.is_given(&argument.name));
                    let default = default.and_then(|word| self.expand(word, globals).ok()).map(short);
                    self.scope.declare(globals, &argument.name, default);
                }
            }
            Kind::Env(pairs) => {
                // All of them are expanded before the first one is set.
                let expanded: Vec<_> = pairs
                    .iter()
                    .filter_map(|pair| {
                        let value = self.expand(&pair.value, globals).unwrap_or_default();
                        Some((self.expand(&pair.key, globals).ok()?, short(value)))
                    })
                    .collect();
                for (name, value) in expanded {
                    self.scope.hide(&name);
                    self.env.insert(name, value);
                }
            }
            Kind::Shell(_) => self.shell = true,
            Kind::Workdir(_) => self.workdir_set = true,
            Kind::Add(_)
            | Kind::Cmd(_)
            | Kind::Copy(_)
            | Kind::Entrypoint(_)
            | Kind::Expose(_)
            | Kind::Healthcheck(_)
            | Kind::Label(_)
            | Kind::Maintainer(_)
            | Kind::OnBuild(_)
            | Kind::Run(_)
            | Kind::StopSignal(_)
            | Kind::User(_)
            | Kind::Volume(_) => {}
        }
    }

    pub(crate) fn expand(&self, word: &Word, globals: &Globals) -> Result<String, ExpandError> {
        crate::expand(word, &|name| self.get(name).map(str::to_owned), globals.escape())
    }
}

fn short(value: String) -> String {
    if value.len() > LONGEST_VALUE { String::new() } else { value }
}

/// One instruction of a stage, or its FROM.
pub(crate) struct At<'a> {
    pub(crate) stage: usize,
    /// A trigger of the base image has FROM's place in the text.
    pub(crate) instruction: &'a Instruction,
    pub(crate) is_trigger: bool,
    pub(crate) state: &'a State,
    pub(crate) globals: &'a Globals,
}

/// Is shown every instruction in the order of the text.
pub(crate) trait Visitor {
    fn from(&mut self, stage: usize, from: &Stage, globals: &Globals);
    fn instruction(&mut self, at: &At<'_>);
}

/// Shows everything to `visitor`; returns for each stage the earlier ones that it stands on or takes from.
pub(crate) fn walk(
    dockerfile: &Dockerfile,
    globals: &Globals,
    bases: &Bases<'_>,
    visitor: &mut dyn Visitor,
) -> Vec<BTreeSet<usize>> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut states: Vec<State> = Vec::new();
    let mut needs = vec![BTreeSet::new(); dockerfile.stages.len()];
    let mut inherited = 0;
    for (number, stage) in dockerfile.stages.iter().enumerate() {
        let needed = &mut needs[number];
        visitor.from(number, stage, globals);
        let image = globals.expand(&stage.from.image).unwrap_or_default();
        let mut triggers = Vec::new();
        let mut state = match names.get(&*image.to_lowercase()) {
            Some(&below) => {
                needed.insert(below);
                inherited += states[below].size();
                states[below].inherited()
            }
            None if image == "scratch" => State::of_base(Some(BaseImage::default())),
            None => {
                let platform = stage.from.platform.as_ref().and_then(|word| globals.expand(word).ok()?.parse().ok());
                let base = bases(&image, platform.as_ref());
                triggers = base.as_ref().map_or(Vec::new(), |base| self::triggers(base, stage));
                inherited += triggers.iter().map(|trigger| trigger.text.len() + OVERHEAD).sum::<usize>();
                State::of_base(base)
            }
        };
        let own = stage.instructions.iter().map(|instruction| (instruction, false));
        for (instruction, is_trigger) in triggers.iter().map(|trigger| (trigger, true)).chain(own) {
            visitor.instruction(&At { stage: number, instruction, is_trigger, state: &state, globals });
            let find = |name: &str| {
                let by_number = || name.parse().ok().filter(|&found: &usize| found < number);
                names.get(&*name.to_lowercase()).copied().or_else(by_number)
            };
            needed.extend(sources(instruction, &state, globals).iter().filter_map(|name| find(name)));
            state.apply(instruction, globals);
        }
        names.extend(stage.name().map(|name| (name, number)));
        if inherited > MOST_INHERITED {
            break;
        }
        states.push(state);
    }
    needs
}

/// The instructions that an image adds to those of a stage built upon it. What is wrong with them is told by the plan.
fn triggers(base: &BaseImage, stage: &Stage) -> Vec<Instruction> {
    let parsed = base.triggers.iter().filter_map(|text| crate::parse_instruction(text).ok());
    parsed.map(|trigger| Instruction { span: stage.span, comments: stage.comments.clone(), ..trigger }).collect()
}

/// What `--from` and the mounts of an instruction name.
pub(crate) fn sources(instruction: &Instruction, state: &State, globals: &Globals) -> Vec<String> {
    match &instruction.kind {
        Kind::Copy(copy) => copy.from.iter().filter_map(|word| from(word, state, globals)).collect(),
        Kind::Run(run) => run.mounts.iter().filter_map(|mount| mount_source(mount, state, globals)).collect(),
        _ => Vec::new(),
    }
}

/// In `--from` an ARG before the first FROM can be used without declaring it again.
pub(crate) fn from(word: &Word, state: &State, globals: &Globals) -> Option<String> {
    let lookup = |name: &str| state.get(name).or_else(|| globals.get(name)).map(str::to_owned);
    crate::expand(word, &lookup, globals.escape()).ok()
}

fn mount_source(mount: &Mount, state: &State, globals: &Globals) -> Option<String> {
    match resolve(mount, state, globals)?.kind {
        MountKind::Bind { from, .. } | MountKind::Cache { from, .. } => from,
        MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => None,
    }
}

pub(crate) fn resolve(mount: &Mount, state: &State, globals: &Globals) -> Option<ResolvedMount> {
    let lookup = |name: &str| state.get(name).or_else(|| globals.get(name)).map(str::to_owned);
    mount.resolve(&mut |text| crate::expand(text, &lookup, globals.escape())).ok()
}

/// The stages that `target` needs, itself included.
pub(crate) fn reachable(needs: &[BTreeSet<usize>], target: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([target]);
    // Stages only refer to earlier ones, so one way down is enough.
    for stage in (0..=target).rev() {
        if found.contains(&stage) {
            found.extend(needs.get(stage).into_iter().flatten());
        }
    }
    found
}

/// The words of an instruction that BuildKit expands one by one, names of variables among them.
pub(crate) fn expanded_words(kind: &Kind) -> Vec<&Word> {
    match kind {
        Kind::Add(add) => transfer(&add.transfer).chain(&add.checksum).collect(),
        Kind::Copy(copy) => transfer(&copy.transfer).collect(),
        Kind::Env(pairs) | Kind::Label(pairs) => pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).collect(),
        Kind::StopSignal(word) | Kind::User(word) | Kind::Workdir(word) => vec![word],
        Kind::Volume(words) => words.iter().collect(),
        Kind::Arg(_)
        | Kind::Cmd(_)
        | Kind::Entrypoint(_)
        | Kind::Expose(_)
        | Kind::Healthcheck(_)
        | Kind::Maintainer(_)
        | Kind::OnBuild(_)
        | Kind::Run(_)
        | Kind::Shell(_) => Vec::new(),
    }
}

fn transfer(transfer: &Transfer) -> impl Iterator<Item = &Word> {
    let paths = transfer.sources.iter().filter_map(|source| match source {
        Source::Path(word) => Some(word),
        Source::Inline(_) => None,
    });
    paths.chain([&transfer.destination]).chain(&transfer.chown).chain(&transfer.chmod)
}
