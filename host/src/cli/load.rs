//! `kiln load`: its options.

use std::path::PathBuf;

use clap::Args;

/// Read images from a tar archive
///
/// Archives of `save` and OCI image layouts are read, plain or compressed (gzip, bzip2, xz, zstd), whatever their name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln load < app.tar.gz
  kiln load -i app.tar")]
pub(crate) struct Load {
    /// The archive [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// Print nothing
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
