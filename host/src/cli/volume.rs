//! `kiln volume`: its commands and their options.

use clap::{Args, Subcommand};

use super::filter::{self, Filter};
use super::inspect::{Inspect, InspectType};
use super::prune::Consent;
use super::{Action, Listing};

const LIST_KEYS: &[&str] = &["dangling", "driver", "label", "name"];
const PRUNE_KEYS: &[&str] = &["label", "label!", "all"];

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum VolumeCommand {
    Create(Create),
    Inspect(Inspect),
    #[command(visible_alias = "list")]
    Ls(Ls),
    Prune(Prune),
    #[command(visible_alias = "remove")]
    Rm(Rm),
}

/// Create a volume
///
/// A volume is a directory that containers mount and that outlives them. One that exists already stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln volume create data
  kiln volume create --label project=shop data
  kiln volume create                                 an anonymous one; its name is printed
  kiln run -v data:/var/lib/postgresql postgres      makes it where there is none")]
pub(crate) struct Create {
    /// Its name [default: 64 random digits]
    #[arg(value_name = "VOLUME")]
    pub(crate) name: Option<String>,

    /// Note something about it; may be repeated
    #[arg(long = "label", value_name = "KEY[=VALUE]")]
    pub(crate) labels: Vec<String>,

    /// `local`, the only one there is
    #[arg(short, long, default_value = "local")]
    pub(crate) driver: String,

    /// Refused: volumes are plain directories
    #[arg(short, long = "opt", value_name = "KEY=VALUE")]
    pub(crate) options: Vec<String>,
}

/// List volumes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln volume ls
  kiln volume ls -q -f dangling=true                  names of those that no container has
  kiln volume ls --format '{{.Name}}: {{.Mountpoint}}'

Filters, all of which must be met (of names and drivers any):
  dangling=true|false      no container has it
  name=PATTERN             its name contains that, or matches that regular expression
  label=KEY[=VALUE]        has that label
  driver=local

Fields for --format: .Name .Driver .Scope .Mountpoint .Labels .Links .Size, {{.Label \"KEY\"}}; what takes how much shows \
`kiln system df -v`")]
pub(crate) struct Ls {
    /// Only names
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Only volumes that meet a condition
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(LIST_KEYS))]
    pub(crate) filters: Vec<Filter>,

    #[command(flatten)]
    pub(crate) listing: Listing,
}

/// Remove volumes that no container has
///
/// Without -a only those that nobody gave a name. What is in them is lost.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln volume prune                          anonymous ones, after a question
  kiln volume prune -af                      all that no container has
  kiln volume prune -a --filter label!=keep
  kiln volume prune -a --dry-run             what that would free")]
pub(crate) struct Prune {
    /// Also those that have a name
    #[arg(short, long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) consent: Consent,

    /// Only those that match, as `label=project`; may be repeated
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(PRUNE_KEYS))]
    pub(crate) filters: Vec<Filter>,
}

/// Remove volumes
///
/// What is in them is lost. One that a container has, running or not, is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln volume rm data
  kiln volume rm $(kiln volume ls -q -f dangling=true)")]
pub(crate) struct Rm {
    /// Names
    #[arg(required = true, value_name = "VOLUME")]
    pub(crate) names: Vec<String>,

    /// Do not mind volumes that do not exist
    #[arg(short, long)]
    pub(crate) force: bool,
}

impl VolumeCommand {
    pub(super) fn action(self) -> Action {
        Action::Volume(match self {
            Self::Inspect(inspect) => Self::Inspect(inspect.only(InspectType::Volume)),
            command => command,
        })
    }

    /// Whether files of containers' users are measured or removed.
    pub(super) fn needs_namespaces(&self) -> bool {
        match self {
            Self::Prune(_) | Self::Rm(_) => true,
            Self::Create(_) | Self::Inspect(_) | Self::Ls(_) => false,
        }
    }
}
