//! `kiln wait`: its options.

use clap::Args;

/// Wait until containers end, and print their exit codes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln wait job
  kiln wait one two            in this order, one line for each")]
pub(crate) struct Wait {
    /// Containers by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}
