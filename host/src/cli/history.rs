//! `kiln history`: its options.

use clap::Args;

use super::Listing;

/// Show the steps that made an image
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln history team/app
  kiln history --no-trunc team/app      instructions in full
  kiln history --json team/app          for scripts")]
pub(crate) struct History {
    /// A name or id
    pub(crate) image: String,

    /// Instructions and ids in full
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// Only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) listing: Listing,
}
