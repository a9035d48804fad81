//! `kiln supervise`: what `run` and `start` have look after a container. Not for people.

use clap::Args;

/// Look after a container
#[derive(Debug, Args)]
#[command(hide = true, after_help = "Examples:\n  none: `run` and `start` use it")]
pub(crate) struct Supervise {
    /// Its id
    pub(crate) id: String,
}
