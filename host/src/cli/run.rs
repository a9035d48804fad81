//! `kiln run`: its options.

use clap::{Args, ValueEnum};

use kiln_build::PullPolicy;
use kiln_exec::wasi::Limit;

use super::{ExecutorOption, PlatformOption};

/// Run a command in an image, in the foreground
///
/// What the command changes is forgotten when it ends. Signals to kiln are passed on to it, and end a WebAssembly program;
/// a second SIGINT ends any.
#[derive(Debug, Args)]
#[command(override_usage = "kiln run [OPTIONS] IMAGE [ARG]...")]
#[command(after_help = "\
Examples:
  kiln run team/app                             what CMD and ENTRYPOINT say
  kiln run team/app cat /etc/os-release         another command
  kiln run -i team/app sh < script.sh           with standard input
  kiln run --entrypoint /bin/ls team/app -l /   another entry point
  kiln run --limit time=10s team/app            no longer than that (WebAssembly programs)
  kiln run --pull always team/app               the newest one of its registry
  kiln run -e DEBUG=1 -u 1000 -w /src team/app

Exit code: that of the command; 125 when kiln failed, 126 when the command cannot be executed, 127 when there is no \
                        such command.")]
pub(crate) struct Run {
    /// An image by name or id; then a command and its arguments, in place of CMD
    #[arg(value_name = "IMAGE [ARG…]", required = true, trailing_var_arg = true)]
    command: Vec<String>,

    /// Accepted for Docker's sake: containers are always removed
    #[arg(long)]
    pub(crate) rm: bool,

    /// When to pull the image
    #[arg(long, value_name = "always|missing|never", default_value = "missing", value_parser = super::build::pull_policy)]
    pub(crate) pull: PullPolicy,

    /// The image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<PlatformOption>,

    /// Do not tell what is pulled
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Connect standard input
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Set TERM; the command has this terminal as it is
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// Set a variable; without `=VALUE` to that of the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// The working directory
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// The user, as NAME|UID[:GROUP|GID]
    #[arg(short, long)]
    pub(crate) user: Option<String>,

    /// A program in place of ENTRYPOINT and CMD; the empty string for none
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,

    /// The name that the command sees as the machine's
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,

    /// The network that the command sees
    #[arg(long, value_enum, default_value = "host")]
    pub(crate) network: NetworkOption,

    /// What runs the command
    #[arg(long, value_enum, env = "KILN_EXECUTOR", hide_env_values = true, default_value = "auto")]
    pub(crate) executor: ExecutorOption,

    /// A limit of a WebAssembly program: memory, fuel, time, output, file-bytes, files or processes; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub(crate) limits: Vec<Limit>,
}

impl Run {
    pub(crate) fn image(&self) -> &str {
        &self.command[0]
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.command[1..]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkOption {
    /// That of this machine
    Host,
    /// None
    None,
}
