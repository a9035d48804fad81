//! `kiln search`: its options.

use clap::Args;

use super::filter::{self, Filter};
use crate::report::format::Format;

/// Search Docker Hub, or another registry, for images
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln search centos
  kiln search centos --filter stars=20 --filter is-official=true
  kiln search --no-trunc --limit 100 redis
  kiln search 127.0.0.1:5000/redis                   a registry of one's own, if it can search
  kiln search --format '{{.Name}}: {{.StarCount}}' centos")]
pub(crate) struct Search {
    /// What to look for
    #[arg(value_name = "[REGISTRY/]TERM")]
    pub(crate) term: String,

    /// Only what fits: stars=N (at least), is-official=true|false, is-automated=true|false; may be repeated
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter::among(KEYS))]
    pub(crate) filters: Vec<Filter>,

    /// The most to show
    #[arg(long, value_name = "N", default_value_t = 25)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(kiln_registry::MOST_FOUND)))]
    pub(crate) limit: u32,

    /// Descriptions in full
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// How to write what was found: a Go template, `table …` or json
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// Only with as many stars: --filter stars=N of old
    #[arg(short, long, value_name = "N", hide = true)]
    pub(crate) stars: Option<u64>,

    /// Only automated builds: --filter is-automated=true of old
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) automated: Option<bool>,
}

const KEYS: &[&str] = &["stars", "is-official", "is-automated"];
