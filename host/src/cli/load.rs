//! `kiln load`: its options.

use std::path::PathBuf;

use clap::Args;

/// Read images from an archive
///
/// Archives of `save` (docker-archive, oci-archive) are read, plain or compressed (gzip, bzip2, xz, zstd), whatever their
/// name, and OCI image layouts in directories. Either everything is kept, or where something is wrong nothing. An image for
/// several platforms comes with all that the archive has of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln load < app.tar.gz
  kiln load -i app.tar
  kiln load -i layout/        an OCI image layout
  curl -s https://host/app.tar.zst | kiln load")]
pub(crate) struct Load {
    /// The archive or the layout's directory [default: standard input]
    #[arg(short, long, value_name = "FILE | DIR")]
    pub(crate) input: Option<PathBuf>,

    /// Show no progress, which kiln never does; taken for Docker's sake
    #[arg(short, long)]
    quiet: bool,
}
