//! `kiln login`: its options.

use std::path::PathBuf;

use clap::Args;

/// Log in to a registry
///
/// User and password are checked, then kept where Docker keeps them: in config.json, or with the credential helper that
/// it names. They are good for every registry command of kiln, docker and podman.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln login                                   to Docker Hub; asks for user and password
  kiln login 127.0.0.1:5000
  kiln login -u joe --password-stdin host < password.txt
  kiln logout host")]
pub(crate) struct Login {
    /// The registry [default: Docker Hub]
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,

    /// The user
    #[arg(short, long, value_name = "NAME")]
    pub(crate) username: Option<String>,

    /// The password; others can see it in the list of processes
    #[arg(short, long, conflicts_with = "password_stdin")]
    pub(crate) password: Option<String>,

    /// Read the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// The file to keep them in [default: $REGISTRY_AUTH_FILE, else config.json in $DOCKER_CONFIG or ~/.docker]
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
}
