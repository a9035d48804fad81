//! `kiln export`: its options.

use std::path::PathBuf;

use clap::Args;

/// Write an image's root filesystem as a tar
///
/// All its layers as one, with owners, modes, hard links and extended attributes; the same files always give the same
/// bytes. Docker exports containers, which kiln does not keep: it exports images.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln export team/app > rootfs.tar
  kiln export -o rootfs.tar team/app
  kiln export team/app | tar -x -C rootfs
  kiln export team/app | kiln import -c 'CMD [\"/app\"]' - team/flat")]
pub(crate) struct Export {
    /// Name or id
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
