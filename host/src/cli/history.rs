//! `kiln history`: its options.

use clap::{ArgAction, Args};

use super::Listing;

/// Show the steps that made an image
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln history team/app
  kiln history --no-trunc team/app      instructions in full
  kiln history --human=false team/app   times and sizes as numbers
  kiln history --format '{{.ID}}: {{.CreatedSince}}' team/app
  kiln history --json team/app          for scripts

The id of a step is `<missing>` where its image is not in the store: those of images from elsewhere never are.

Fields for --format: .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment")]
pub(crate) struct History {
    /// A name or id
    pub(crate) image: String,

    /// Instructions and ids in full
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// Only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Sizes and times as people read them
    #[arg(
        short = 'H',
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true
    )]
    pub(crate) human: bool,

    #[command(flatten)]
    pub(crate) listing: Listing,
}
