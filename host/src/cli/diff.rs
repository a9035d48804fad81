//! `kiln diff`: its options.

use clap::Args;

/// Show what differs between two images: files, configuration, history, layers
///
/// Nothing is unpacked: what layers hold is read from their indexes. Times, which differ from build to build, count only
/// with --times.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln diff app:1 app:2
  kiln diff --json app:1 app:2 | jq -r '.files[].path'
  kiln diff --exit-code $(kiln build -q .) team/app || echo changed

Exit code: 0; with --exit-code 1 where the images differ, and 2 where they cannot be compared.")]
pub(crate) struct Diff {
    /// Name or id of the first image
    #[arg(value_name = "IMAGE")]
    pub(crate) before: String,

    /// Name or id of the second one
    #[arg(value_name = "OTHER")]
    pub(crate) after: String,

    /// Compare times, too: of files, of the image and of its history
    #[arg(long)]
    pub(crate) times: bool,

    /// Write one JSON document
    #[arg(long)]
    pub(crate) json: bool,

    /// Answer 1 where the images differ
    #[arg(long)]
    pub(crate) exit_code: bool,
}
