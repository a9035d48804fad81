//! `kiln diff`: its options.

use clap::Args;

/// Show what a container has changed, or what differs between two images
///
/// Of a container, the paths that it has added (A), changed (C) and deleted (D). Of two images, files, configuration,
/// history and layers; nothing is unpacked for that, and times, which differ from build to build, count only with --times.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln diff web
  kiln diff app:1 app:2
  kiln diff --json app:1 app:2 | jq -r '.files[].path'
  kiln diff --exit-code $(kiln build -q .) team/app || echo changed

Exit code: 0; with --exit-code 1 where something differs, and 2 where it cannot be told.")]
pub(crate) struct Diff {
    /// Name or id of a container, or of the first image
    #[arg(value_name = "CONTAINER | IMAGE")]
    pub(crate) before: String,

    /// Name or id of the second image
    #[arg(value_name = "OTHER")]
    pub(crate) after: Option<String>,

    /// Compare times of images, too: of files, of the image and of its history
    #[arg(long, requires = "after")]
    pub(crate) times: bool,

    /// Write one JSON document
    #[arg(long)]
    pub(crate) json: bool,

    /// Answer 1 where something differs
    #[arg(long)]
    pub(crate) exit_code: bool,
}
