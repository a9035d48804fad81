//! `kiln logout`: its options.

use std::path::PathBuf;

use clap::Args;

/// Forget the user and password for a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln logout                   from Docker Hub
  kiln logout 127.0.0.1:5000")]
pub(crate) struct Logout {
    /// The registry [default: Docker Hub]
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,

    /// The file they are kept in [default: $REGISTRY_AUTH_FILE, else config.json in $DOCKER_CONFIG or ~/.docker]
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
}
