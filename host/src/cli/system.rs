//! `kiln system` and `kiln builder`: their commands, and the options of those that have no file of their own.

use clap::{Args, Subcommand};

use super::{Action, Listing, build, info, prune};

/// Of `kiln system`.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemCommand {
    Df(DiskUsage),
    Info(info::Info),
    Prune(prune::SystemPrune),
}

/// Of `kiln builder`.
#[derive(Debug, Subcommand)]
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

impl SystemCommand {
    pub(super) fn action(self) -> Action {
        match self {
            Self::Df(options) => Action::DiskUsage(options),
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
