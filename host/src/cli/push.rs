//! `kiln push`: its options.

use clap::{Args, ValueEnum};
use kiln_image::Compression;
use kiln_types::Reference;

use super::PlatformOption;
use super::pull::Access;

/// Upload an image to a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln push team/app:1.0                        to Docker Hub, after `kiln login`
  kiln tag app 127.0.0.1:5000/app && kiln push 127.0.0.1:5000/app
  kiln push -a host:5000/team/app               all tags
  kiln push --compression zstd host:5000/app    layers that were built here as zstd

What a registry has already is not sent again, and taken from other repositories of it where that is allowed.")]
pub(crate) struct Push {
    /// The image, by the name that says where it goes
    #[arg(value_name = "NAME[:TAG]")]
    pub(crate) name: Reference,

    /// All tags of the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,

    /// Print only the image's full name
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Of an image for several platforms only that for this one
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<PlatformOption>,

    /// How layers that were built here are compressed; others go as they came
    #[arg(long, value_enum, value_name = "FORM", default_value = "gzip")]
    pub(crate) compression: CompressionOption,

    #[command(flatten)]
    pub(crate) access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionOption {
    Gzip,
    Zstd,
    None,
}

impl From<CompressionOption> for Compression {
    fn from(option: CompressionOption) -> Self {
        match option {
            CompressionOption::Gzip => Self::Gzip,
            CompressionOption::Zstd => Self::Zstd,
            CompressionOption::None => Self::None,
        }
    }
}
