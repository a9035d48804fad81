//! `kiln rename`: its options.

use clap::Args;

/// Give a container another name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln rename stupefied_jepsen web")]
pub(crate) struct Rename {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    pub(crate) container: String,

    /// What it is to be called
    #[arg(value_name = "NEW_NAME")]
    pub(crate) name: String,
}
