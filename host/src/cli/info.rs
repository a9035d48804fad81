//! `kiln info` and `kiln version`: their options.

use clap::Args;

use crate::report::format::Format;

/// Show the store, registries, and which executors work on this host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln info
  kiln info --format '{{.RootDir}}'
  kiln info --format '{{range .Executors}}{{println .Name .Available}}{{end}}'
  kiln info --json | jq .Executors")]
pub(crate) struct Info {
    /// Write JSON
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,

    /// `json` for one line of JSON, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
}

/// Show kiln's version
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln version
  kiln version --format '{{.Client.Version}}'
  kiln version --format json")]
pub(crate) struct Version {
    /// `json` for one line of JSON, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
}
