//! `kiln port`: its options.

use clap::Args;

/// Show which ports of the host lead to a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln port web
  kiln port web 80
  kiln port web 53/udp")]
pub(crate) struct Port {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    pub(crate) container: String,

    /// Only where this port of the container is reached
    #[arg(value_name = "PRIVATE_PORT[/PROTO]")]
    pub(crate) port: Option<String>,
}
