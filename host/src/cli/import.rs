//! `kiln import`: its options.

use std::path::PathBuf;

use clap::Args;
use kiln_types::Reference;

use super::PlatformOption;

/// Make an image of one layer from a tar archive of a root filesystem
///
/// The archive may be compressed (gzip, bzip2, xz, zstd).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln import rootfs.tar.xz team/base:1
  kiln import https://host/rootfs.tar.gz team/base
  tar -C rootfs -c . | kiln import -c 'CMD [\"/bin/sh\"]' - team/base")]
pub(crate) struct Import {
    /// The archive, `-` for standard input
    #[arg(value_name = "FILE | URL | -")]
    pub(crate) source: PathBuf,

    /// A name for the image
    #[arg(value_name = "NAME[:TAG]")]
    pub(crate) name: Option<Reference>,

    /// A Dockerfile instruction for the image's configuration; may be repeated
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    pub(crate) changes: Vec<String>,

    /// A message for the image's history
    #[arg(short, long)]
    pub(crate) message: Option<String>,

    /// What the root filesystem runs on [default: linux on this machine's processor]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<PlatformOption>,
}
