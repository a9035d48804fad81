//! `kiln exec`: its options.

use std::path::PathBuf;

use clap::Args;

use kiln_container::keys::DetachKeys;

/// Run another command in a container that runs
#[derive(Debug, Args)]
#[command(override_usage = "kiln exec [OPTIONS] CONTAINER COMMAND [ARG]...")]
#[command(after_help = "\
Examples:
  kiln exec web ls -l /etc
  kiln exec -it web sh                         a shell, in a terminal of its own
  kiln exec -i db psql < dump.sql              with standard input
  kiln exec -d -e LEVEL=2 -u app -w /srv web ./collect

Exit code: that of the command; 126 when it cannot be executed, 127 when there is no such command.")]
pub(crate) struct Exec {
    /// A container by name or id; then a command and its arguments
    #[arg(value_name = "CONTAINER COMMAND [ARG…]", required = true, num_args = 2.., trailing_var_arg = true)]
    command: Vec<String>,

    /// Connect standard input
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// Run it in the background
    #[arg(short, long)]
    pub(crate) detach: bool,

    /// Set a variable; without `=VALUE` to that of the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// Set the variables of a file's lines
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,

    /// The user, as NAME|UID[:GROUP|GID] [default: the container's]
    #[arg(short, long)]
    pub(crate) user: Option<String>,

    /// The working directory [default: the container's]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// All capabilities, nothing filtered
    #[arg(long)]
    pub(crate) privileged: bool,

    /// The keys that leave the command [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    pub(crate) detach_keys: Option<DetachKeys>,
}

impl Exec {
    pub(crate) fn container(&self) -> &str {
        &self.command[0]
    }

    pub(crate) fn argv(&self) -> &[String] {
        &self.command[1..]
    }
}
