//! `kiln images`: its options.

use clap::Args;

use super::Listing;
use super::filter::{self, Filter};

/// List images
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln images                                  all images that have a name or nothing built upon them
  kiln images nginx                            only those of a repository
  kiln images 'team/*'                         only those whose names match a pattern
  kiln images -a                               also the images of single steps
  kiln images -f dangling=true                 those that have lost their names
  kiln images -f label=vendor=acme -f since=nginx
  kiln images --format '{{.ID}}: {{.Repository}}'
  kiln images --format 'table {{.ID}}\\t{{.Repository}}\\t{{.Tag}}'
  kiln images --json                           for scripts
  kiln rmi -f $(kiln images -q)                remove them all

Filters, all of which must be met (of references any):
  dangling=true|false      has no tag, or is of several platforms without a name, and nothing is built upon it
  before=IMAGE             made before that image
  since=IMAGE              made after that image
  until=TIME               made before a time: 2022-03-16, 2022-03-16T20:22:09Z, or 24h for a day ago
  label=KEY[=VALUE]        has that label; label!=KEY[=VALUE]: does not have it
  reference=PATTERN        has a name like `nginx`, `team/*`, `*:1.?`

Fields for --format: .ID .Repository .Tag .Digest .CreatedSince .CreatedAt .Size .Containers .SharedSize .UniqueSize \
.VirtualSize")]
pub(crate) struct Images {
    /// Only names of this repository, or like this pattern
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub(crate) repository: Option<String>,

    /// Also the images of single steps of builds, and of further platforms
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Ids in full
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// Also the digests by which registries know the images
    #[arg(long)]
    pub(crate) digests: bool,

    /// Only images that meet a condition
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(KEYS))]
    pub(crate) filters: Vec<Filter>,

    #[command(flatten)]
    pub(crate) listing: Listing,
}

const KEYS: &[&str] = &["dangling", "before", "since", "until", "label", "label!", "reference"];
