//! `kiln info`: its options.

use clap::Args;

/// Show the store, and which executors work on this host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln info
  kiln info --json | jq .Executors")]
pub(crate) struct Info {
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}
