//! The tree that [`crate::parse`] makes: stages and instructions, variables not yet expanded.

use crate::lint::Warning;
use crate::{Directives, Pragma, Span};
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Dockerfile {
    pub directives: Directives,
    /// `# kiln:executor=…` at the top of the file, followed by a blank line or by ARG.
    pub executor: Option<Pragma>,
    /// The ARG instructions before the first FROM.
    pub global_args: Vec<Instruction>,
    /// Never empty, unless there were errors.
    pub stages: Vec<Stage>,
    /// What is doubtful about the text itself; [`crate::lint()`] finds more.
    pub warnings: Vec<Warning>,
}

impl Dockerfile {
    /// The last stage of that name among the first `count`, or the one of that number.
    pub fn find_stage(&self, wanted: &str, count: usize) -> Option<usize> {
        let stages = &self.stages[..count];
        let named = stages.iter().rposition(|stage| stage.name().is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
        named.or_else(|| wanted.parse().ok().filter(|&number: &usize| number < count))
    }
}

/// FROM and all that follows it up to the next FROM.
#[derive(Clone, Debug)]
pub struct Stage {
    pub from: From,
    /// The FROM instruction as `Step i/N : ` prints it.
    pub text: String,
    /// Of the FROM instruction.
    pub span: Span,
    /// Of the FROM instruction, counted from 1.
    pub line: usize,
    /// `# kiln:executor=…` directly above FROM.
    pub executor: Option<Pragma>,
    /// The comments directly above FROM, one for each line, without directives and pragmas.
    pub comments: Vec<String>,
    pub instructions: Vec<Instruction>,
}

impl Stage {
    pub fn name(&self) -> Option<&str> {
        self.from.name.as_deref()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// Unexpanded: an image, `scratch` or the name of an earlier stage.
    pub image: Word,
    /// `--platform`, unexpanded.
    pub platform: Option<Word>,
    /// `AS name`, in lower case: stage names do not distinguish case.
    pub name: Option<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// As written with continuation lines joined, without the bodies of heredocs: what `Step i/N : ` prints.
    pub text: String,
    /// From the keyword to the last character, bodies of heredocs included.
    pub span: Span,
    /// Counted from 1.
    pub line: usize,
    /// `# kiln:executor=…` directly above (RUN only).
    pub executor: Option<Pragma>,
    /// The comments directly above, one for each line, without directives and pragmas.
    pub comments: Vec<String>,
    pub kind: Kind,
}

impl Instruction {
    pub fn keyword(&self) -> Keyword {
        self.kind.keyword()
    }
}

/// A piece of an instruction and where it stands.
///
/// A word that may hold variables keeps its quotes and escapes: [`crate::expand()`] takes them away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub span: Span,
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Add(Add),
    /// `ARG name[=default] …`
    Arg(Vec<Argument>),
    Cmd(Command),
    Copy(Copy),
    Entrypoint(Command),
    Env(Vec<Pair>),
    /// Each word may expand to several ports: [`crate::expand_words`].
    Expose(Vec<Word>),
    Healthcheck(Healthcheck),
    Label(Vec<Pair>),
    /// Never expanded.
    Maintainer(Word),
    OnBuild(OnBuild),
    Run(Run),
    /// Not empty, never expanded.
    Shell(Vec<String>),
    StopSignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

impl Kind {
    pub fn keyword(&self) -> Keyword {
        match self {
            Self::Add(_) => Keyword::Add,
            Self::Arg(_) => Keyword::Arg,
            Self::Cmd(_) => Keyword::Cmd,
            Self::Copy(_) => Keyword::Copy,
            Self::Entrypoint(_) => Keyword::Entrypoint,
            Self::Env(_) => Keyword::Env,
            Self::Expose(_) => Keyword::Expose,
            Self::Healthcheck(_) => Keyword::Healthcheck,
            Self::Label(_) => Keyword::Label,
            Self::Maintainer(_) => Keyword::Maintainer,
            Self::OnBuild(_) => Keyword::OnBuild,
            Self::Run(_) => Keyword::Run,
            Self::Shell(_) => Keyword::Shell,
            Self::StopSignal(_) => Keyword::StopSignal,
            Self::User(_) => Keyword::User,
            Self::Volume(_) => Keyword::Volume,
            Self::Workdir(_) => Keyword::Workdir,
        }
    }
}

macro_rules! keywords {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// The name of an instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Keyword { $($name),* }

        impl Keyword {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// In capitals, as it is usually written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

keywords! {
    Add = "ADD", Arg = "ARG", Cmd = "CMD", Copy = "COPY", Entrypoint = "ENTRYPOINT", Env = "ENV", Expose = "EXPOSE",
    From = "FROM", Healthcheck = "HEALTHCHECK", Label = "LABEL", Maintainer = "MAINTAINER", OnBuild = "ONBUILD",
    Run = "RUN", Shell = "SHELL", StopSignal = "STOPSIGNAL", User = "USER", Volume = "VOLUME", Workdir = "WORKDIR",
}

impl Keyword {
    /// Case does not matter.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|keyword| keyword.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two forms of CMD, ENTRYPOINT and HEALTHCHECK CMD. Neither is expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Given to the SHELL as one argument.
    Shell(String),
    /// `["program", "argument"]`; empty for CMD and ENTRYPOINT that reset the inherited value.
    Exec(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub program: Program,
    pub mounts: Vec<Mount>,
    /// `--network`: default, none or host; unexpanded.
    pub network: Option<Word>,
    /// `--security`: sandbox or insecure.
    pub security: Option<Word>,
    /// `--device`, as written.
    pub devices: Vec<Word>,
}

/// What RUN executes. Heredocs are resolved; nothing is expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Given to the SHELL as one argument.
    Shell(String),
    /// Not empty.
    Exec(Vec<String>),
    /// A heredoc that begins with `#!`: an executable file outside the image that the SHELL is told to run.
    Script(Heredoc),
}

/// One `--mount=key=value,flag,…`; keys are known ones in lower case, values unexpanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub options: Vec<(String, Option<String>)>,
    pub span: Span,
}

/// What COPY and ADD share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Not empty.
    pub sources: Vec<Source>,
    pub destination: Word,
    pub chown: Option<Word>,
    /// A valid [`crate::ModeChange`] unless it holds variables.
    pub chmod: Option<Word>,
    pub link: bool,
    pub exclude: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Path(Word),
    /// A file whose content stands in the Dockerfile.
    Inline(Heredoc),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub transfer: Transfer,
    /// `--from`: a stage, its number, an image or a named context.
    pub from: Option<Word>,
    pub parents: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    pub transfer: Transfer,
    pub checksum: Option<Word>,
    pub keep_git_dir: Option<bool>,
    pub unpack: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    pub name: String,
    /// Tabs of `<<-` already taken away.
    pub content: String,
    /// False where a part of the name was quoted: then [`crate::expand_heredoc`] must not touch the content.
    pub expand: bool,
    /// Of the `<<name` word.
    pub span: Span,
}

/// `key=value`, or `key value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub key: Word,
    pub value: Word,
    /// In the old form, without `=`.
    pub legacy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub name: Word,
    pub default: Option<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// Switches off what the base image has.
    None,
    Check {
        command: Command,
        /// Zero here and below: not given, inherit the default.
        interval: Duration,
        timeout: Duration,
        start_period: Duration,
        start_interval: Duration,
        retries: u32,
    },
}

/// An instruction kept for images built upon this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnBuild {
    /// What the image's configuration keeps; [`crate::parse_instruction`] reads it again.
    pub trigger: String,
    /// The same, parsed.
    pub instruction: Box<Instruction>,
}
