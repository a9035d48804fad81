//! `kiln debug`: its options.

use clap::Args;
use kiln_exec::wasi::Limit;

use super::{ExecutorOption, Listing};

/// Open the RUN that a build failed with
///
/// A shell, or COMMAND, with the files as the failed command left them, and the variables, directory, user, network and
/// mounts that it had. What is changed there is forgotten, but for what caches hold.
#[derive(Debug, Args)]
#[command(override_usage = "kiln debug [OPTIONS] [ID] [-- COMMAND [ARG]...]")]
#[command(after_help = "\
Examples:
  kiln debug                              a shell where the last build of this directory failed
  kiln debug --before                     with the files as they were before the command
  kiln debug -- cat build/config.log      one command; its exit code is kiln's
  kiln debug --secret id=key,src=key.pem  with the secret that the RUN had: kiln keeps none
  kiln debug --list                       failed steps that are kept
  kiln debug 1a2b3c4d5e6f                 one of these

For each directory, Dockerfile, target and platform the step that failed last is kept, until a build succeeds there.
Without an ID the last of this directory is opened, else the last of all. Where an image has no shell, kiln's own is
used, which runs no Linux programs (WASI).

Fields for --format: .ID .CreatedSince .CreatedAt .Code .Step .Instruction .Directory .Dockerfile .Target .Platform

Exit code: that of the command; 125 when kiln failed, 126 when the command cannot be executed, 127 when there is none.")]
pub(crate) struct Debug {
    /// A failed step, as --list names it
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,

    /// What to run in place of a shell
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<String>,

    /// The files as they were before the command
    #[arg(long)]
    pub(crate) before: bool,

    /// List the failed steps that are kept
    #[arg(short, long, conflicts_with_all = ["id", "command", "before"])]
    pub(crate) list: bool,

    /// With --list: ids in full
    #[arg(long, requires = "list")]
    pub(crate) no_trunc: bool,

    #[command(flatten)]
    pub(crate) listing: Listing,

    /// A secret that the RUN had, from a file or a variable
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub(crate) secrets: Vec<String>,

    /// An ssh agent that the RUN had: its socket (else that of SSH_AUTH_SOCK), or
    /// private keys without a passphrase, which stay outside the step
    #[arg(long, value_name = "default|ID[=SOCKET|=KEY,…]")]
    pub(crate) ssh: Vec<String>,

    /// Set a variable; without `=VALUE` to that of the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// The working directory, in place of the step's
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// The user, in place of the step's
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    pub(crate) user: Option<String>,

    /// What runs the command
    #[arg(long, value_enum, env = "KILN_EXECUTOR", hide_env_values = true, default_value = "auto")]
    pub(crate) executor: ExecutorOption,

    /// A limit of a WebAssembly program: memory, fuel, time, output, file-bytes, files or processes; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub(crate) limits: Vec<Limit>,
}
