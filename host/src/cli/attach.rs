//! `kiln attach`: its options.

use clap::Args;

use kiln_container::keys::DetachKeys;

/// Connect to a container that runs
///
/// What it writes from now on is shown, and what is typed goes to it if it was created with -i. ctrl-p ctrl-q leaves it
/// running, if it has a terminal.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln attach shell
  kiln attach --no-stdin --sig-proxy=false web      only look")]
pub(crate) struct Attach {
    /// A container by name or id
    #[arg(value_name = "CONTAINER")]
    pub(crate) container: String,

    /// Do not connect standard input
    #[arg(long)]
    pub(crate) no_stdin: bool,

    /// The keys that leave the container [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    pub(crate) detach_keys: Option<DetachKeys>,

    /// Pass signals on to the container
    #[arg(long, value_name = "true|false", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) sig_proxy: bool,
}
