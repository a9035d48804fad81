//! `kiln stop` and `kiln restart`: their options.

use clap::Args;

/// Stop containers that run
///
/// Sends the signal that the image or `run --stop-signal` names, SIGTERM otherwise, and kills what does not end in time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln stop web
  kiln stop -t 0 web db        at once
  kiln stop -s INT -t -1 job   by SIGINT, however long it takes")]
pub(crate) struct Stop {
    #[command(flatten)]
    pub(crate) how: How,
}

/// Stop containers and start them again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln restart web
  kiln restart -t 30 db")]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
pub(crate) struct How {
    /// Containers by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,

    /// The signal to send
    #[arg(short, long)]
    pub(crate) signal: Option<String>,

    /// Seconds until it is killed; -1 never does [default: 10, or as the container was created]
    #[arg(short, long, alias = "time", value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) timeout: Option<i64>,
}
