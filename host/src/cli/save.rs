//! `kiln save`: its options.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Write images into a tar archive
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln save team/app > app.tar
  kiln save team/app | gzip > app.tar.gz
  kiln save -o app.tar --format oci-archive team/app")]
pub(crate) struct Save {
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,

    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// The form of the archive
    #[arg(long, value_enum, default_value = "docker-archive")]
    pub(crate) format: ArchiveFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArchiveFormat {
    /// What `docker load` reads; it is an OCI image layout as well
    DockerArchive,
    /// An OCI image layout only
    OciArchive,
}
