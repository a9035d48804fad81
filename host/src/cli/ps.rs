//! `kiln ps`: its options.

use clap::Args;

use super::Listing;
use super::filter::{self, Filter};

/// List containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln ps                                      those that run
  kiln ps -a                                   all of them
  kiln ps -l                                   the newest one, whatever its state
  kiln rm $(kiln ps -aq -f status=exited)      remove those that have ended
  kiln ps -f name=web -f health=unhealthy
  kiln ps -f ancestor=alpine -f label=tier=front
  kiln ps --format '{{.Names}}: {{.Status}}'
  kiln ps --format 'table {{.ID}}\\t{{.Ports}}\\t{{.Label \"tier\"}}'
  kiln ps -a --json                            for scripts

Filters; of several with the same key any must be met, of labels all:
  id=ID                    the beginning of an id
  name=PATTERN             a name in which that regular expression is found
  label=KEY[=VALUE]        has that label
  status=created|running|paused|exited
  exited=CODE              has ended with that exit code
  health=starting|healthy|unhealthy|none
  ancestor=IMAGE           made from that image, or from one that was built on it
  before=CONTAINER, since=CONTAINER
  volume=NAME|PATH         has that volume or directory, or something at that path
  network=bridge|host|none
  publish=PORT[-LAST][/tcp|udp], expose=PORT[-LAST][/tcp|udp]

Fields for --format: .ID .Image .Command .CreatedAt .RunningFor .Ports .State .Status .Size .Names .Labels .Label .Mounts \
.LocalVolumes .Networks .Platform .HealthStatus")]
pub(crate) struct Ps {
    /// Also those that do not run
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Ids, commands and names in full
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// So many of those that were created last, whatever their state
    #[arg(short = 'n', long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) last: Option<i64>,

    /// The one that was created last, whatever its state
    #[arg(short, long)]
    pub(crate) latest: bool,

    /// How much each has written, and how much it takes with its image
    #[arg(short, long)]
    pub(crate) size: bool,

    /// Only containers that meet a condition
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(KEYS))]
    pub(crate) filters: Vec<Filter>,

    #[command(flatten)]
    pub(crate) listing: Listing,
}

impl Ps {
    /// The most containers that are listed, if there is a limit: then all states count.
    pub(crate) fn limit(&self) -> Option<usize> {
        let last = self.last.and_then(|last| usize::try_from(last).ok()).filter(|&last| last > 0);
        last.or(self.latest.then_some(1))
    }

    /// Sizes are found out only where they are shown.
    pub(crate) fn shows_size(&self) -> bool {
        self.size || (!self.quiet && self.listing.format().mentions("Size"))
    }
}

const KEYS: &[&str] = &[
    "id", "name", "label", "status", "exited", "health", "ancestor", "before", "since", "volume", "network", "publish",
    "expose",
];
