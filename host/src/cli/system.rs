//! `kiln system` and `kiln builder`: their commands, and the options of those that have no file of their own.

use clap::{Args, Subcommand};

use super::{Action, Listing, build, info, prune};

/// Of `kiln system`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum SystemCommand {
    Df(DiskUsage),
    Fsck(Fsck),
    Info(info::Info),
    Prune(prune::SystemPrune),
}

/// Of `kiln builder`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum BuilderCommand {
    Build(Box<build::Build>),
    Prune(prune::BuilderPrune),
}

/// Show what takes how much of the disk
///
/// Sizes are what files occupy. What several images have is counted once; SHARED SIZE is what an image has in common
/// with others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln system df
  kiln system df -v          each image and each part of the build cache, and what keeps it
  kiln system df --json
  kiln system df --format '{{.Type}}: {{.Size}}'")]
pub(crate) struct DiskUsage {
    /// Each thing by itself, with what keeps it
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) listing: Listing,
}

/// Look whether the store is whole
///
/// Compares what is in the store with its digests, and what needs something with what is there. What is damaged is told
/// with what depends on it; the exit code is 1 if any damage is left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln system fsck
  kiln system fsck --quick     without reading contents
  kiln system fsck --repair    make again what can be, remove what cannot
  kiln system fsck --json      an object for each damage")]
pub(crate) struct Fsck {
    /// Do not read contents: only look whether everything is there, and as long as it should be
    #[arg(long)]
    pub(crate) quick: bool,

    /// Make again what can be made again, and remove what is damaged, with the images that are not whole without it
    #[arg(long)]
    pub(crate) repair: bool,

    /// Write JSON, an object for each damage
    #[arg(long)]
    pub(crate) json: bool,
}

impl SystemCommand {
    pub(super) fn action(self) -> Action {
        match self {
            Self::Df(options) => Action::DiskUsage(options),
            Self::Fsck(options) => Action::Fsck(options),
            Self::Info(options) => Action::Info(options),
            Self::Prune(options) => Action::SystemPrune(options),
        }
    }
}

impl BuilderCommand {
    pub(super) fn action(self) -> Action {
        match self {
            Self::Build(options) => Action::Build(options),
            Self::Prune(options) => Action::BuilderPrune(options),
        }
    }
}
