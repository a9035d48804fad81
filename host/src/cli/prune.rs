//! `kiln image prune`, `kiln container prune`, `kiln builder prune` and `kiln system prune`: their options.

use clap::Args;

use super::filter::{self, Filter};
use crate::report::size;

/// Of images and containers.
const KEYS: &[&str] = &["until", "label", "label!"];
const CACHE_KEYS: &[&str] = &["until", "unused-for"];

/// Whether to ask, and whether to do it.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Remove images that have no name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln image prune                              images without a name, after a question
  kiln image prune -af                          all that no container has
  kiln image prune -a --filter until=240h       all made more than ten days ago
  kiln image prune -a --filter label!=keep
  kiln image prune -a --dry-run                 what that would free

Filters: until=TIME (made before: 2022-03-16, or 24h for a day ago), label=KEY[=VALUE], label!=KEY[=VALUE]")]
pub(crate) struct ImagePrune {
    /// Also those that have a name, unless a container has them
    #[arg(short, long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) consent: Consent,

    /// Only those that match, as `until=24h`; may be repeated
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(KEYS))]
    pub(crate) filters: Vec<Filter>,
}

/// Remove containers that do not run
///
/// What they have written is lost, but for volumes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln container prune                          after a question
  kiln container prune -f --filter until=24h    those made more than a day ago
  kiln container prune --filter label!=keep
  kiln container prune --dry-run                what that would free

Filters: until=TIME (made before: 2022-03-16, or 24h for a day ago), label=KEY[=VALUE], label!=KEY[=VALUE]")]
pub(crate) struct ContainerPrune {
    #[command(flatten)]
    pub(crate) consent: Consent,

    /// Only those that match, as `until=24h`; may be repeated
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(KEYS))]
    pub(crate) filters: Vec<Filter>,
}

/// Remove the build cache
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln builder prune                            what no image has: steps, cache mounts, downloads
  kiln builder prune -af                        also what makes builds upon existing images fast
  kiln builder prune -af --filter until=24h     what was not used for a day
  kiln builder prune -af --max-used-space 10GB  what was used last stays, up to 10 GB
  kiln builder prune -a --dry-run               what that would free")]
pub(crate) struct BuilderPrune {
    /// Also what belongs to images that stay; it is made again when it is needed
    #[arg(short, long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) consent: Consent,

    /// Only what was not used since then, as `until=24h`
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(CACHE_KEYS))]
    pub(crate) filters: Vec<Filter>,

    /// Keep so much of it, what was used last first
    #[arg(long, visible_aliases = ["keep-storage", "reserved-space"], value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_used_space: Option<u64>,
}

/// Remove containers that do not run, images that have no name, and the build cache that no image has
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln system prune                             after a question
  kiln system prune -af                         all images that no container that runs has, and all build cache
  kiln system prune -a --filter until=240h      what was made or used more than ten days ago
  kiln system prune --volumes                   also volumes that nobody gave a name, and no container has
  kiln system prune -a --dry-run                what that would free")]
pub(crate) struct SystemPrune {
    /// All images that no container has then, and all build cache
    #[arg(short, long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) consent: Consent,

    /// Also anonymous volumes that no container has then
    #[arg(long)]
    pub(crate) volumes: bool,

    /// Only what matches, as `until=24h`; may be repeated
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(KEYS))]
    pub(crate) filters: Vec<Filter>,
}

fn parse_size(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| format!("`{text}` is no size; write for example 50GB"))
}
