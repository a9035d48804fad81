//! `kiln start`: its options.

use clap::Args;

use kiln_container::keys::DetachKeys;

/// Start containers that do not run
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln start web db            in the background
  kiln start -a job            in the foreground, with its exit code
  kiln start -ai shell         with standard input, too")]
pub(crate) struct Start {
    /// Containers by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,

    /// Show what it writes and pass signals on; for one container
    #[arg(short, long)]
    pub(crate) attach: bool,

    /// Connect standard input
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// The keys that leave the container [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    pub(crate) detach_keys: Option<DetachKeys>,
}
