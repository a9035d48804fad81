//! `kiln kill`: its options.

use clap::Args;

/// Send a signal to containers that run
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln kill web                ends it at once
  kiln kill -s HUP web db      a signal by name or number")]
pub(crate) struct Kill {
    /// Containers by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,

    /// The signal to send
    #[arg(short, long, default_value = "KILL")]
    pub(crate) signal: String,
}
