//! `kiln rm`: its options.

use clap::Args;

/// Remove containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln rm job
  kiln rm -f web                         also if it runs
  kiln rm -v db                          with its anonymous volumes
  kiln rm $(kiln ps -aq -f status=exited)")]
pub(crate) struct Rm {
    /// Containers by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,

    /// Kill those that run, and do not mind those that do not exist
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Remove their anonymous volumes, too
    #[arg(short, long)]
    pub(crate) volumes: bool,
}
