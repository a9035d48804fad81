//! `kiln build`: its options.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kiln_build::PullPolicy;
use kiln_build::{ContextMode, Unset};
use kiln_exec::Network;
use kiln_exec::wasi::{Limit, Limits};
use kiln_types::Reference;

use super::call::{Call, Form, Method};
use super::legacy::Legacy;
use super::output::OutputOption;
use super::{ExecutorOption, PlatformOption};
use crate::report::explanation::Format;

/// Build an image from a Dockerfile
#[derive(Debug, Args)]
#[command(args_override_self = true, override_usage = "kiln build [OPTIONS] PATH | URL | -")]
#[command(after_help = "\
Examples:
  kiln build -t team/app .                    build the directory, name the image
  kiln build -t app:1.0 -t app:latest .       several names
  kiln build -f docker/Dockerfile.dev .       a Dockerfile elsewhere
  kiln build --target builder .               stop at a stage
  kiln build --platform linux/amd64,linux/arm64 -t app .   one name for the images of two platforms
  kiln build -o out .                         the files of the result into a directory
  kiln build -o type=oci,dest=app.tar .       an archive, as `kiln save` writes it
  kiln build --pull -t host:5000/app --push . newest base images; push the result
  kiln build --build-arg VERSION=2 .          a value for ARG VERSION
  kiln build - < Dockerfile                   a Dockerfile without a context
  tar -c . | kiln build -                     an archive, compressed or not
  kiln build https://host/app.git#v1.2:sub    a repository: a branch, tag or commit, and a directory
  kiln build --build-context src=../src .     COPY --from=src takes files of another directory
  kiln build --secret id=key,src=key.pem .    a file for RUN --mount=type=secret,id=key
  kiln build --ssh default .                  the ssh agent for RUN --mount=type=ssh
  kiln build --print-context .                what COPY and ADD could take
  kiln build --check .                        what is doubtful about the Dockerfile
  kiln build --call=outline --target test .   arguments and secrets that a stage uses
  kiln build --limit time=2h .                more time for each WASI step
  kiln build --untrusted --limit memory=2g .  a stranger's Dockerfile, with more memory than usual
  kiln run --rm $(kiln build -q .)            build, then run

Exit code: 0, or that of the RUN that failed, else 1; --check answers 1 where there is anything to say.")]
pub(crate) struct Build {
    /// The build context: a directory, a git repository, the URL of an archive or Dockerfile, or `-` for either of these
    /// on standard input
    #[arg(value_name = "PATH | URL | -")]
    pub(crate) context: Vec<PathBuf>,

    /// A name for the image, as NAME[:TAG]; may be repeated
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(crate) tags: Vec<Reference>,

    /// Write the result, too: a directory for its files, `-` for a tar of them, or type=local, tar, docker, oci, image,
    /// registry, wasm-artifact or cacheonly with dest=, name=, …; may be repeated
    ///
    /// type=local,dest=DIR   the files of the root filesystem; DIR alone means the same
    /// type=tar,dest=FILE    a tar of them, with owners; `-` alone writes it to standard output
    /// type=docker,dest=FILE, type=oci,dest=FILE, type=oci,tar=false,dest=DIR   as `kiln save` does; also name=, compression=
    /// type=image,name=NAME,push=true, type=registry   names in the store, pushed
    /// type=wasm-artifact,dest=DIR|FILE.tar   the program of a wasip1/wasm image as an OCI artifact
    #[arg(short, long = "output", value_name = "OUTPUT")]
    pub(crate) outputs: Vec<OutputOption>,

    /// The Dockerfile, `-` for standard input [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Files, an image or a stage to use in the place of stages and images of that name: a directory, a URL,
    /// docker-image://NAME, oci-layout://DIR or target:STAGE
    #[arg(long = "build-context", value_name = "NAME=VALUE")]
    pub(crate) build_contexts: Vec<String>,

    /// The ignore file to use [default: FILE.dockerignore beside the Dockerfile, else PATH/.dockerignore]
    #[arg(long, value_name = "FILE")]
    pub(crate) ignorefile: Option<PathBuf>,

    /// Whose modes the files of contexts have: posix as the host has them, git as git would give them on every host
    /// (0755 for directories and programs, else 0644)
    #[arg(long, value_enum, default_value = "posix", value_name = "MODE")]
    pub(crate) context_mode: ContextModeOption,

    /// Print what the build context holds, with sizes, and what the ignore file leaves out; build nothing
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "text", conflicts_with = "quiet")]
    pub(crate) print_context: Option<Listing>,

    /// Look at the Dockerfile in place of building it: check, outline or targets; `check,format=json` writes JSON,
    /// `check,format=sarif` SARIF
    #[arg(long, value_name = "METHOD", conflicts_with_all = ["print_context", "quiet"])]
    pub(crate) call: Option<Call>,

    /// Check the Dockerfile in place of building it: short for --call=check
    #[arg(long, conflicts_with_all = ["call", "print_context", "quiet"])]
    check: bool,

    /// How --check and --call write what they found
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<Form>,

    /// The stage to build, by name or number [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,

    /// A value for an ARG; without `=VALUE` that of the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) build_args: Vec<String>,

    /// A file with a --build-arg on each line; those on the command line override it
    #[arg(long = "build-arg-file", value_name = "FILE")]
    pub(crate) build_arg_files: Vec<PathBuf>,

    /// A label for the image; without `=VALUE` an empty one
    #[arg(long = "label", value_name = "KEY[=VALUE]")]
    pub(crate) labels: Vec<String>,

    /// What the image is not to have, whether its base or the Dockerfile set it: env=NAME, label=KEY, expose=PORT,
    /// volume=PATH, cmd, entrypoint, healthcheck, onbuild, stopsignal, user or workdir; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    pub(crate) unset: Vec<Unset>,

    /// The platform of stages that name none [default: linux on this machine's processor]; of several, an image for each
    /// is built, and the name stands for all of them
    #[arg(long = "platform", value_delimiter = ',', value_name = "OS/ARCH")]
    pub(crate) platforms: Vec<PlatformOption>,

    /// A secret for RUN --mount=type=secret, or for a private server that ADD or a context names, from
    /// a file or a variable; in no layer, record or log of kiln's
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|,env=NAME]", conflicts_with = "untrusted")]
    pub(crate) secrets: Vec<String>,

    /// An ssh agent for RUN --mount=type=ssh: its socket (else that of SSH_AUTH_SOCK), or
    /// private keys without a passphrase, which stay outside the step
    #[arg(long, value_name = "default|ID[=SOCKET|=KEY,…]", conflicts_with = "untrusted")]
    pub(crate) ssh: Vec<String>,

    /// A further line in the /etc/hosts of RUN steps that run Linux programs
    #[arg(long = "add-host", value_name = "NAME:ADDRESS")]
    pub(crate) add_hosts: Vec<String>,

    /// What RUN steps can reach that do not say it themselves: default and host are the host's network
    #[arg(long, value_enum, default_value = "default")]
    pub(crate) network: NetworkMode,

    /// What the Dockerfile may ask for: security.insecure, network.host (which needs no leave here)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT", conflicts_with = "untrusted")]
    pub(crate) allow: Vec<Entitlement>,

    /// Let a RUN leave a secret that it was given in its layer, which is refused otherwise
    #[arg(long)]
    pub(crate) allow_secret_in_layer: bool,

    /// Ask registries for the images of FROM and of --from although they are in the store
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", conflicts_with = "offline")]
    #[arg(value_parser = pull_policy, value_name = "always|missing|never", default_value = "missing")]
    #[arg(hide_default_value = true)]
    pub(crate) pull: PullPolicy,

    /// Pull nothing: whatever the build stands on has to be in the store
    #[arg(long)]
    pub(crate) offline: bool,

    /// Push the image under each of its names when it is built
    #[arg(long, requires = "tags")]
    pub(crate) push: bool,

    /// Do every step anew
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Do the steps of these stages anew; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    pub(crate) no_cache_filter: Vec<String>,

    /// Say for each step why it is done, or need not be, and what chose the executor of a RUN
    #[arg(long, value_enum, value_name = "FORMAT", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "text", conflicts_with = "quiet")]
    pub(crate) explain: Option<Format>,

    /// Do cached WASI steps nevertheless, and fail where one does not give what the cache has
    #[arg(long, conflicts_with = "no_cache")]
    pub(crate) cache_verify: bool,

    /// Print nothing but the image's id
    #[arg(short, long, conflicts_with = "progress")]
    pub(crate) quiet: bool,

    /// How to show what is done
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) progress: Progress,

    /// What runs the commands of RUN
    #[arg(long, value_enum, env = "KILN_EXECUTOR", hide_env_values = true, default_value = "auto")]
    pub(crate) executor: ExecutorOption,

    /// Build for a stranger: only WebAssembly runs (WASI), within tighter limits
    #[arg(long)]
    pub(crate) untrusted: bool,

    /// A limit of each WASI step: memory, fuel, time, output, file-bytes, files or processes; may be repeated
    ///
    /// Sizes are written as 512m or 4g, times as 90s, 10m, 2h or none, fuel (counted instructions) as 500m, 20g or none.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<Limit>,

    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,

    /// Write the image's id, digest and names to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,

    /// Keep the present out of the image: all times are at most 1970-01-01, or --source-date-epoch
    #[arg(long)]
    pub(crate) reproducible: bool,

    /// The time that the image says it was made at: seconds since 1970, or `context` for the context's own
    #[arg(long, value_name = "TIME", env = "SOURCE_DATE_EPOCH", hide_env_values = true)]
    pub(crate) source_date_epoch: Option<String>,

    #[command(flatten)]
    pub(crate) legacy: Legacy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ContextModeOption {
    Posix,
    Git,
}

impl From<ContextModeOption> for ContextMode {
    fn from(option: ContextModeOption) -> Self {
        match option {
            ContextModeOption::Posix => Self::Posix,
            ContextModeOption::Git => Self::Git,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkMode {
    Default,
    None,
    Host,
}

impl NetworkMode {
    pub(crate) fn network(self) -> Network {
        match self {
            Self::Default | Self::Host => Network::Host,
            Self::None => Network::None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Entitlement {
    /// RUN --network=host
    #[value(name = "network.host")]
    Network,
    /// RUN --security=insecure: all capabilities, no filter of system calls
    #[value(name = "security.insecure")]
    Insecure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// What suits the output
    Auto,
    /// Every step with its output, in order
    Plain,
    /// Only the image's id
    Quiet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listing {
    /// A line for each path
    Text,
    /// One document
    Json,
}

/// Docker's yes or no, or podman's words.
pub(super) fn pull_policy(text: &str) -> Result<PullPolicy, String> {
    match text {
        "true" | "always" => Ok(PullPolicy::Always),
        "false" | "missing" => Ok(PullPolicy::Missing),
        "never" => Ok(PullPolicy::Never),
        _ => Err("write always, missing or never".to_owned()),
    }
}

impl Build {
    pub(crate) fn pull(&self) -> PullPolicy {
        if self.offline { PullPolicy::Never } else { self.pull }
    }

    /// What is wrong if not exactly one context was given, in Docker's words.
    pub(super) fn wrong_count(&self) -> Option<String> {
        let message = "\"kiln build\" requires exactly 1 argument.";
        match self.context.len() {
            1 => None,
            0 => Some(format!("{message}\n\n  hint: name the build context; for this directory: kiln build .")),
            count => Some(format!("{message}\n\n  hint: {count} were given; quote a path that has spaces")),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        super::with_limits(if self.untrusted { Limits::UNTRUSTED } else { Limits::BUILD }, &self.limits)
    }

    /// What is to be done in place of a build.
    ///
    /// # Errors
    /// A form that the method does not have.
    pub(crate) fn instead(&self) -> Result<Option<Call>, String> {
        let call =
            self.call.or(self.check.then_some(Call::new(Method::Check))).filter(|call| call.method != Method::Build);
        call.map(|call| call.written(self.format)).transpose()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet || self.progress == Progress::Quiet
    }
}
