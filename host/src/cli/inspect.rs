//! `kiln inspect`: its options.

use clap::Args;

/// Show everything about images, as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln inspect team/app
  kiln inspect 9a67ab280ca4 | jq '.[0].Config.Env'")]
pub(crate) struct Inspect {
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
}
