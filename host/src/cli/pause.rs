//! `kiln pause` and `kiln unpause`: their options.

use clap::Args;

/// Stop all processes of containers where they are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln pause db && cp -r data copy && kiln unpause db")]
pub(crate) struct Pause {
    /// Containers by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}

/// Let the processes of paused containers go on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln unpause db")]
pub(crate) struct Unpause {
    /// Containers by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}
