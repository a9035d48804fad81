//! `kiln run` and `kiln create`: their options, most of which are the same.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use kiln_build::PullPolicy;
use kiln_container::RestartPolicy;
use kiln_container::keys::DetachKeys;
use kiln_exec::wasi::Limit;

use super::{ExecutorOption, PlatformOption};

/// Run a command in a new container
///
/// In the foreground unless -d is given: signals to kiln are passed on, and ctrl-p ctrl-q leaves a container that has a
/// terminal (-t) running.
#[derive(Debug, Args)]
#[command(override_usage = "kiln run [OPTIONS] IMAGE [ARG]...", disable_help_flag = true)]
#[command(after_help = "\
Examples:
  kiln run --rm team/app                             what CMD and ENTRYPOINT say; nothing is kept
  kiln run --rm -it debian bash                      a shell, in a terminal of its own
  kiln run -d --name web -p 8080:80 nginx            in the background, reached as localhost:8080
  kiln run -d --restart on-failure:5 --log-opt max-size=10m --log-opt max-file=3 team/app
  kiln run -i --rm team/app sh < script.sh           with standard input
  kiln run --entrypoint /bin/ls team/app -l /        another entry point
  kiln run -v data:/var/lib/db -v ./conf:/etc/db:ro team/db
  kiln run --rm -e DEBUG=1 -u 1000 -w /src --memory 512m --cpus 1.5 team/app
  kiln run --rm --limit time=10s team/app            no longer than that (WebAssembly programs)

Exit code: that of the command; 125 when kiln failed, 126 when the command cannot be executed, 127 when there is no \
                        such command.")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) options: Box<Options>,

    /// Run in the background and print the container's id
    #[arg(short, long)]
    pub(crate) detach: bool,

    /// The keys that leave the container [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    pub(crate) detach_keys: Option<DetachKeys>,

    /// Pass signals on to the command
    #[arg(long, value_name = "true|false", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) sig_proxy: bool,
}

/// Create a container without starting it
#[derive(Debug, Args)]
#[command(override_usage = "kiln create [OPTIONS] IMAGE [ARG]...", disable_help_flag = true)]
#[command(after_help = "\
Examples:
  kiln create --name job team/app         prints its id
  kiln start -a job                       runs it in the foreground
  kiln cp config.toml job:/etc/app/       before it is started")]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) options: Box<Options>,
}

/// What a container is to be.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// An image by name or id; then a command and its arguments, in place of CMD
    #[arg(value_name = "IMAGE [ARG…]", required = true, trailing_var_arg = true)]
    command: Vec<String>,

    /// Its name; otherwise one is made up
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Remove the container and its anonymous volumes when it ends
    #[arg(long)]
    pub(crate) rm: bool,

    /// Connect standard input
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// Connect only these: stdin, stdout, stderr; may be repeated
    #[arg(short, long, value_name = "STREAM", value_parser = ["stdin", "stdout", "stderr", "STDIN", "STDOUT", "STDERR"])]
    pub(crate) attach: Vec<String>,

    /// When to pull the image
    #[arg(long, value_name = "always|missing|never", default_value = "missing", value_parser = super::build::pull_policy)]
    pub(crate) pull: PullPolicy,

    /// The image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<PlatformOption>,

    /// Do not tell what is pulled
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Set a variable; without `=VALUE` to that of the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// Set the variables of a file's lines
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,

    /// The working directory
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// The user, as NAME|UID[:GROUP|GID]
    #[arg(short, long)]
    pub(crate) user: Option<String>,

    /// Further groups, by name or number
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_add: Vec<String>,

    /// A program in place of ENTRYPOINT and CMD; the empty string for none
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,

    /// The name that the command sees as the machine's [default: the short id]
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,

    /// private (or bridge): a network of its own, with a way out; host: this machine's; none
    #[arg(long, alias = "net", value_name = "MODE", default_value = "private")]
    pub(crate) network: String,

    /// Publish a port, as [[ADDRESS:][PORT]:]CONTAINER_PORT[/udp]; both may be ranges
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<String>,

    /// Publish all exposed ports, on any free ones
    #[arg(short = 'P', long)]
    pub(crate) publish_all: bool,

    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORT[/udp]")]
    pub(crate) expose: Vec<String>,

    /// A line of /etc/hosts, as NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(crate) add_host: Vec<String>,

    /// A name server
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<std::net::IpAddr>,

    /// Mount a volume or a path of this host, as [NAME|PATH:]DIR[:ro]
    #[arg(short, long, value_name = "VOLUME")]
    pub(crate) volume: Vec<String>,

    /// The same in words: type=bind|volume|tmpfs,source=…,target=…[,readonly]
    #[arg(long, value_name = "MOUNT")]
    pub(crate) mount: Vec<String>,

    /// What another container has mounted
    #[arg(long, value_name = "CONTAINER[:ro]")]
    pub(crate) volumes_from: Vec<String>,

    /// An empty filesystem in memory, as DIR[:size=64m,mode=1777,uid=…,gid=…,exec,ro]
    #[arg(long, value_name = "DIR")]
    pub(crate) tmpfs: Vec<String>,

    /// Nothing of the image can be written to
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Most memory, as 512m or 2g
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,

    /// Most memory and swap together; -1 for any amount of swap
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) memory_swap: Option<String>,

    /// Most processors, as 1.5
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cpus: Option<String>,

    /// Its share of the processors when they are all busy; 1024 is everyone's
    #[arg(short, long, value_name = "WEIGHT")]
    pub(crate) cpu_shares: Option<u64>,

    /// Most processes; -1 for any number
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) pids_limit: Option<i64>,

    /// The size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm_size: Option<String>,

    /// A limit of each process, as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(crate) ulimit: Vec<String>,

    /// Give a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_add: Vec<String>,

    /// Take a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_drop: Vec<String>,

    /// All capabilities and the host's devices, nothing filtered or masked
    #[arg(long)]
    pub(crate) privileged: bool,

    /// A device of this host, as DEVICE[:PLACE][:rwm]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,

    /// A setting of the kernel that the container has for itself: net.*, kernel.msg*, .sem, .shm*, fs.mqueue.*
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) sysctl: Vec<String>,

    /// no-new-privileges; seccomp=FILE (a profile in Docker's JSON form), seccomp=unconfined or seccomp=builtin
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,

    /// The signal that `stop` sends
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,

    /// Seconds until `stop` kills; -1 never does [default: 10]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) stop_timeout: Option<i64>,

    /// Accepted for Docker's sake: there is always an init that reaps processes
    #[arg(long)]
    pub(crate) init: bool,

    /// Set a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) label: Vec<String>,

    /// Set the labels of a file's lines
    #[arg(long, value_name = "FILE")]
    pub(crate) label_file: Vec<PathBuf>,

    /// A command that tells whether the container is healthy
    #[arg(long, value_name = "COMMAND")]
    pub(crate) health_cmd: Option<String>,

    /// Time between two checks [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) health_interval: Option<i64>,

    /// Most time of a check [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) health_timeout: Option<i64>,

    /// Failures in a row that make it unhealthy [default: 3]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) health_retries: Option<i64>,

    /// Time in which failures do not count [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) health_start_period: Option<i64>,

    /// Time between two checks in that time [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) health_start_interval: Option<i64>,

    /// Without the image's healthcheck
    #[arg(long, conflicts_with_all = ["health_cmd", "health_interval", "health_timeout", "health_retries"])]
    pub(crate) no_healthcheck: bool,

    /// Write the container's id to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<PathBuf>,

    /// When to start it again after it ended: no, on-failure[:NUMBER], always, unless-stopped; not after this machine
    /// was restarted
    #[arg(long, value_name = "POLICY", default_value = "no", value_parser = RestartPolicy::parse)]
    pub(crate) restart: RestartPolicy,

    /// Where its output is kept: json-file, local (20 MiB in each of 5 files), or none [default: json-file]
    #[arg(long, value_name = "DRIVER")]
    pub(crate) log_driver: Option<String>,

    /// How much of it: max-size=10m for one file, max-file=3 for their number; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) log_opt: Vec<String>,

    /// What runs the command
    #[arg(long, value_enum, env = "KILN_EXECUTOR", hide_env_values = true, default_value = "auto")]
    pub(crate) executor: ExecutorOption,

    /// A limit of a WebAssembly program: memory, fuel, time, output, file-bytes, files or processes; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limit)]
    pub(crate) limits: Vec<String>,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

impl Options {
    pub(crate) fn image(&self) -> &str {
        &self.command[0]
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.command[1..]
    }
}

fn duration(text: &str) -> Result<i64, String> {
    let duration = kiln_dockerfile::parse_duration(text).map_err(|reason| format!("it {reason}"))?;
    i64::try_from(duration.as_nanos()).map_err(|_| "it is too long".to_owned())
}

/// Kept as it was written: the container's specification has it.
fn limit(text: &str) -> Result<String, <Limit as std::str::FromStr>::Err> {
    text.parse::<Limit>().map(|_| text.to_owned())
}
