//! `kiln tag`: its options.

use clap::Args;
use kiln_types::Reference;

/// Give an image one more name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln tag 9a67ab280ca4 team/app:1.0
  kiln tag team/app:1.0 registry.example.com/team/app:1.0")]
pub(crate) struct Tag {
    /// A name or id
    #[arg(value_name = "IMAGE")]
    pub(crate) source: String,

    /// The new name; another image that has it loses it
    #[arg(value_name = "NAME[:TAG]")]
    pub(crate) target: Reference,
}
