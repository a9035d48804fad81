//! `kiln export`: its options.

use std::path::PathBuf;

use clap::Args;

use super::inspect::InspectType;

/// Write the root filesystem of a container or an image as a tar
///
/// All layers as one, with owners, modes, hard links and extended attributes; the same files always give the same bytes.
/// What is in volumes is not included. Where a container and an image have the same name, it is the container.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln export web > rootfs.tar
  kiln export -o rootfs.tar team/app
  kiln export team/app | tar -x -C rootfs
  kiln export team/app | kiln import -c 'CMD [\"/app\"]' - team/flat")]
pub(crate) struct Export {
    /// Name or id
    #[arg(value_name = "CONTAINER | IMAGE")]
    pub(crate) name: String,

    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Of `kiln image export` and `kiln container export`.
    #[arg(skip)]
    pub(crate) kind: Option<InspectType>,
}

impl Export {
    pub(super) fn only(self, kind: InspectType) -> Self {
        Self { kind: Some(kind), ..self }
    }
}
