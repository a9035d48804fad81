//! `kiln images`: its options.

use clap::Args;
use kiln_types::Reference;

use super::Listing;

/// List images
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln images                     all images that have a name or nothing built upon them
  kiln images nginx               only those of a repository
  kiln images -a                  also the images of single steps
  kiln images --json              for scripts
  kiln rmi -f $(kiln images -q)   remove them all")]
pub(crate) struct Images {
    /// Only this repository, or only this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub(crate) repository: Option<Reference>,

    /// Also the images of single steps of builds
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Ids in full
    #[arg(long)]
    pub(crate) no_trunc: bool,

    #[command(flatten)]
    pub(crate) listing: Listing,
}
