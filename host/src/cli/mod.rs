//! The command line: what can be asked. What is done about it stands in `commands`, under the same names.

pub(crate) mod attach;
pub(crate) mod build;
pub(crate) mod call;
pub(crate) mod commit;
pub(crate) mod completion;
pub(crate) mod container;
pub(crate) mod cp;
pub(crate) mod debug;
pub(crate) mod diff;
pub(crate) mod exec;
pub(crate) mod export;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod legacy;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logs;
pub(crate) mod output;
pub(crate) mod pause;
pub(crate) mod port;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rename;
pub(crate) mod rm;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod search;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod supervise;
pub(crate) mod system;
pub(crate) mod tag;
pub(crate) mod top;
pub(crate) mod tree;
pub(crate) mod volume;
pub(crate) mod wait;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use kiln_exec::Wanted;
use kiln_exec::wasi::{Limit, Limits};
use kiln_types::{ParsePlatformError, Platform};

pub(crate) use container::ContainerAction;

use crate::report::format::Format;

/// Builds OCI images from Dockerfiles, without a daemon
#[derive(Debug, Parser)]
#[command(name = "kiln", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage; `build` and `run` pass on the code of what \
                        they ran, `run` answers 125 when kiln itself failed.")]
struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

/// What holds for every command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where images and build results are kept
    #[arg(long, global = true, env = "KILN_ROOT", hide_env_values = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// The file of configuration [default: ~/.config/kiln/config.toml; /etc/kiln/config.toml for root]
    #[arg(long, global = true, env = "KILN_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Ask this server for images of Docker Hub first; may be repeated
    #[arg(long = "registry-mirror", global = true, value_name = "URL", value_parser = crate::session::mirror)]
    pub(crate) registry_mirrors: Vec<String>,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    #[command(flatten)]
    Plain(Action),
    /// Work with images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Work with containers
    #[command(subcommand)]
    Container(container::ContainerCommand),
    /// Work with volumes
    #[command(subcommand)]
    Volume(volume::VolumeCommand),
    /// Work with the build cache
    #[command(subcommand)]
    Builder(system::BuilderCommand),
    /// Work with the store
    #[command(subcommand)]
    System(system::SystemCommand),
}

/// What there is to do. `kiln image ls` and `kiln images` are the same action.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Action {
    Build(Box<build::Build>),
    Debug(Box<debug::Debug>),
    #[command(flatten)]
    Container(container::ContainerAction),
    Rm(rm::Rm),
    #[command(hide = true)]
    Supervise(supervise::Supervise),
    Images(images::Images),
    History(history::History),
    Inspect(inspect::Inspect),
    Tree(tree::Tree),
    Tag(tag::Tag),
    Rmi(rmi::Rmi),
    Save(save::Save),
    Load(load::Load),
    Import(import::Import),
    Export(export::Export),
    Diff(diff::Diff),
    Ps(ps::Ps),
    Pull(pull::Pull),
    Push(push::Push),
    Search(search::Search),
    Login(login::Login),
    Logout(logout::Logout),
    Version(info::Version),
    Info(info::Info),
    Completion(completion::Completion),
    #[command(skip)]
    ImagePrune(prune::ImagePrune),
    #[command(skip)]
    ContainerPrune(prune::ContainerPrune),
    #[command(skip)]
    Volume(volume::VolumeCommand),
    #[command(skip)]
    BuilderPrune(prune::BuilderPrune),
    #[command(skip)]
    SystemPrune(prune::SystemPrune),
    #[command(skip)]
    DiskUsage(system::DiskUsage),
    #[command(skip)]
    Fsck(system::Fsck),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum ImageCommand {
    Build(Box<build::Build>),
    #[command(visible_alias = "list")]
    Ls(images::Images),
    History(history::History),
    Inspect(inspect::Inspect),
    Tree(tree::Tree),
    Tag(tag::Tag),
    #[command(visible_alias = "remove")]
    Rm(rmi::Rmi),
    Save(save::Save),
    Load(load::Load),
    Import(import::Import),
    Export(export::Export),
    Diff(diff::Diff),
    Prune(prune::ImagePrune),
    Pull(pull::Pull),
    Push(push::Push),
}

/// How listings are written.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Write JSON, one object for each line
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// `table`, `table TEMPLATE`, `json`, or a Go template for each row
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

impl Listing {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format.clone().unwrap_or_default() }
    }

    pub(crate) fn is_json(&self) -> bool {
        matches!(self.format(), Format::Json)
    }
}

/// Which executor runs commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorOption {
    /// What would be executed decides
    Auto,
    /// Linux programs, in namespaces of this kernel
    Namespace,
    /// WebAssembly programs, on any host
    Wasi,
}

/// A platform as the user spelled it.
#[derive(Debug, Clone)]
pub(crate) struct PlatformOption {
    pub(crate) platform: Platform,
    /// What to say about the spelling.
    pub(crate) advice: Option<String>,
}

impl FromStr for PlatformOption {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { platform: text.parse()?, advice: Platform::advice(text) })
    }
}

impl From<ExecutorOption> for Wanted {
    fn from(option: ExecutorOption) -> Self {
        match option {
            ExecutorOption::Auto => Self::Auto,
            ExecutorOption::Namespace => Self::Namespace,
            ExecutorOption::Wasi => Self::Wasi,
        }
    }
}

/// Limits of WASI steps, as the user changes them.
pub(crate) fn with_limits(mut limits: Limits, changes: &[Limit]) -> Limits {
    changes.iter().for_each(|&limit| limits.set(limit));
    limits
}

/// What the user asks for. Wrong usage and `--help` end the process here.
pub(crate) fn parse() -> (Global, Action) {
    let matches = matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let action = cli.command.action();
    if let Action::Build(build) = &action
        && let Some(message) = build.wrong_count()
    {
        let mut command = definition();
        let build = command.find_subcommand_mut("build").expect("defined above");
        build.error(ErrorKind::WrongNumberOfValues, message).exit();
    }
    if let Action::Build(build) = &action
        && build.untrusted
        && build.executor == ExecutorOption::Namespace
    {
        let message = "--untrusted runs WebAssembly only, --executor=namespace (or KILN_EXECUTOR) Linux programs only\n\n  \
                       hint: leave out one of them";
        let mut command = definition();
        let build = command.find_subcommand_mut("build").expect("defined above");
        build.error(ErrorKind::ArgumentConflict, message).exit();
    }
    (cli.global, action)
}

/// Defines only the command that is asked for: all of them take a third of the time of `kiln version`. Help and advice
/// are about all, and so are empty variables.
fn matches() -> ArgMatches {
    let is_plain = std::env::vars_os().all(|(name, value)| !value.is_empty() || !is_for_options(&name));
    if is_plain {
        match Cli::command().try_get_matches() {
            Ok(matches) => return matches,
            Err(error) if error.kind() == ErrorKind::DisplayVersion => error.exit(),
            Err(_) => {}
        }
    }
    without_empty_variables(definition(), &|name| std::env::var_os(name)).get_matches()
}

/// Whether an option may take its value from a variable of that name.
fn is_for_options(name: &OsStr) -> bool {
    name == "SOURCE_DATE_EPOCH" || name.as_encoded_bytes().starts_with(b"KILN_")
}

/// A variable of the environment that is empty is as good as none.
fn without_empty_variables(command: clap::Command, variable: &dyn Fn(&OsStr) -> Option<OsString>) -> clap::Command {
    let is_empty = |name: &OsStr| variable(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if arg.get_env().is_some_and(is_empty) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(|command| without_empty_variables(command, variable))
}

/// All commands and options, for help and completion.
pub(crate) fn definition() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

impl Command {
    fn action(self) -> Action {
        match self {
            Self::Plain(action) => action,
            Self::Image(ImageCommand::Build(build)) => Action::Build(build),
            Self::Image(ImageCommand::Ls(images)) => Action::Images(images),
            Self::Image(ImageCommand::History(history)) => Action::History(history),
            Self::Image(ImageCommand::Inspect(inspect)) => Action::Inspect(inspect.only(inspect::InspectType::Image)),
            Self::Image(ImageCommand::Tree(tree)) => Action::Tree(tree),
            Self::Image(ImageCommand::Tag(tag)) => Action::Tag(tag),
            Self::Image(ImageCommand::Rm(rmi)) => Action::Rmi(rmi),
            Self::Image(ImageCommand::Save(save)) => Action::Save(save),
            Self::Image(ImageCommand::Load(load)) => Action::Load(load),
            Self::Image(ImageCommand::Import(import)) => Action::Import(import),
            Self::Image(ImageCommand::Export(export)) => Action::Export(export.only(inspect::InspectType::Image)),
            Self::Image(ImageCommand::Diff(diff)) => Action::Diff(diff),
            Self::Image(ImageCommand::Prune(prune)) => Action::ImagePrune(prune),
            Self::Image(ImageCommand::Pull(pull)) => Action::Pull(pull),
            Self::Image(ImageCommand::Push(push)) => Action::Push(push),
            Self::Container(command) => command.action(),
            Self::Volume(command) => command.action(),
            Self::Builder(command) => command.action(),
            Self::System(command) => command.action(),
        }
    }
}

impl Action {
    /// Whether Linux programs are run, or directory forms of layers are made, measured or removed.
    pub(crate) fn needs_namespaces(&self) -> bool {
        match self {
            Self::Build(_)
            | Self::Debug(_)
            | Self::Rm(_)
            | Self::Supervise(_)
            | Self::Rmi(_)
            | Self::Load(_)
            | Self::Import(_)
            | Self::Pull(_)
            | Self::Info(_)
            | Self::ImagePrune(_)
            | Self::ContainerPrune(_)
            | Self::BuilderPrune(_)
            | Self::SystemPrune(_)
            | Self::DiskUsage(_)
            | Self::Fsck(_) => true,
            // What containers have written may be other users' of theirs.
            Self::Diff(_) | Self::Export(_) => true,
            Self::Ps(ps) => ps.shows_size(),
            Self::Inspect(inspect) => inspect.size,
            Self::Container(action) => action.needs_namespaces(),
            Self::Volume(command) => command.needs_namespaces(),
            Self::Images(_)
            | Self::History(_)
            | Self::Tree(_)
            | Self::Tag(_)
            | Self::Save(_)
            | Self::Push(_)
            | Self::Search(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Version(_)
            | Self::Completion(_) => false,
        }
    }

    /// The exit code when kiln itself fails: `run` keeps 1 for the command that it runs, `diff` for what differs.
    pub(crate) fn failure_code(&self) -> u8 {
        match self {
            Self::Container(ContainerAction::Run(_)) | Self::Debug(_) => 125,
            Self::Diff(diff) if diff.exit_code => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_variable_of_an_option_is_known() {
        fn look(command: &clap::Command) {
            command
                .get_arguments()
                .filter_map(clap::Arg::get_env)
                .for_each(|name| assert!(is_for_options(name), "{name:?}"));
            command.get_subcommands().for_each(look);
        }
        look(&definition());
    }

    #[test]
    fn every_command_has_examples() {
        for command in definition().get_subcommands() {
            if command.has_subcommands() {
                continue;
            }
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n"), "{}", command.get_name());
        }
    }

    #[test]
    fn what_follows_the_image_belongs_to_the_container() {
        let cli = Cli::try_parse_from(["kiln", "run", "--rm", "-e", "A=1", "img", "-i", "--", "--entrypoint", "x"]);
        let Ok(Cli { command: Command::Plain(Action::Container(ContainerAction::Run(run))), .. }) = cli else {
            panic!("not understood")
        };
        assert_eq!((run.options.image(), run.options.interactive, &run.options.entrypoint), ("img", false, &None));
        assert_eq!(run.options.arguments(), ["-i", "--", "--entrypoint", "x"]);
        assert!(Cli::try_parse_from(["kiln", "run", "--intractive", "img"]).is_err());
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let understood = |option| Cli::try_parse_from(["kiln", "build", option, "."]).is_ok();
        assert!(understood("--rm") && understood("--rm=true") && understood("--force-rm"));
        assert!(!understood("--rm=false"));
    }
}
