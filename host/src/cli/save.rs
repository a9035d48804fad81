//! `kiln save`: its options.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Write images into an archive or a directory
///
/// Blobs that were pulled or loaded are written as they came, so digests stay; the same images give the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln save team/app > app.tar
  kiln save team/app | gzip > app.tar.gz
  kiln save -o both.tar team/app:1 team/db:2
  kiln save -o app.tar --format oci-archive team/app    all platforms of it
  kiln save -o layout --format oci-dir team/app
  kiln save team/app | ssh host docker load")]
pub(crate) struct Save {
    /// Names, ids, or digests of indexes; a repository without a tag means all its tags
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,

    /// The file or directory to write, or `-` [default: standard output]
    #[arg(short, long, value_name = "FILE | DIR")]
    pub(crate) output: Option<PathBuf>,

    /// The form of the archive
    #[arg(long, value_enum, default_value = "docker-archive")]
    pub(crate) format: SaveFormat,

    /// How layers made here are compressed; those that came from elsewhere stay as they came [default: gzip, and none in
    /// a docker-archive]
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) compression: Option<LayerCompression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SaveFormat {
    /// What `docker load` reads, an OCI image layout as well; one platform of each image
    DockerArchive,
    /// An OCI image layout in a tar, with all platforms
    OciArchive,
    /// An OCI image layout in a directory, with all platforms
    OciDir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayerCompression {
    None,
    Gzip,
    Zstd,
}
