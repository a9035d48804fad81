//! `kiln logs`: its options.

use clap::Args;
use jiff::Timestamp;

/// Show what a container has written
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln logs web
  kiln logs -f --tail 20 web             the last lines, and all that come
  kiln logs --since 10m -t web           of the last ten minutes, with times
  kiln logs --since 2026-11-22T12:00:00Z --until 2026-11-22T13:00 web")]
pub(crate) struct Logs {
    /// A container by name or id
    #[arg(value_name = "CONTAINER")]
    pub(crate) container: String,

    /// Go on until the container ends
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only the last so many lines
    #[arg(short = 'n', long, value_name = "NUMBER|all", default_value = "all")]
    pub(crate) tail: String,

    /// Begin each line with its time
    #[arg(short, long)]
    pub(crate) timestamps: bool,

    /// Only what was written since then: a time, seconds since 1970, or how long ago (10m)
    #[arg(long, value_name = "TIME", value_parser = super::filter::parse_time)]
    pub(crate) since: Option<Timestamp>,

    /// Only what was written until then
    #[arg(long, value_name = "TIME", value_parser = super::filter::parse_time)]
    pub(crate) until: Option<Timestamp>,
}
