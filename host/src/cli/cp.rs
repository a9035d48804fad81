//! `kiln cp`: its options.

use std::ffi::OsString;

use clap::Args;

/// Copy files between a container and this machine
///
/// The container may run or not; its volumes are included. A directory in the place of the destination gets the source
/// into it; with `/.` at the source's end, what is in the source. `-` is a tar on standard input or output.
#[derive(Debug, Args)]
#[command(override_usage = "kiln cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       \
                            kiln cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH")]
#[command(after_help = "\
Examples:
  kiln cp web:/etc/nginx/nginx.conf .
  kiln cp web:/var/log ./logs                  the directory log, as logs unless there is one
  kiln cp web:/var/log/. ./logs                what is in it
  kiln cp index.html web:/usr/share/nginx/html/
  kiln cp web:/data - | tar -t
  tar -c site | kiln cp - web:/usr/share/nginx/html
  kiln cp ./file:name web:/tmp                 a name with a colon: written with ./ or / before it")]
pub(crate) struct Cp {
    /// CONTAINER:PATH, a path of this machine, or - for a tar on standard input
    #[arg(value_name = "SOURCE", allow_hyphen_values = true)]
    pub(crate) source: OsString,

    /// A path of this machine, CONTAINER:PATH, or - for a tar on standard output
    #[arg(value_name = "DESTINATION", allow_hyphen_values = true)]
    pub(crate) destination: OsString,

    /// Keep owners; else files are root's in the container, and yours on this machine
    #[arg(short, long)]
    pub(crate) archive: bool,

    /// Where SOURCE is a symbolic link, copy what it leads to
    #[arg(short = 'L', long)]
    pub(crate) follow_link: bool,

    /// Do not tell how much was copied
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
