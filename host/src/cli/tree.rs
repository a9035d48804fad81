//! `kiln tree`: its options.

use clap::Args;

use super::Listing;

/// Show what each step of an image added, changed and removed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln tree team/app                    the upper directories of each layer, with sizes
  kiln tree --depth 99 team/app         every file
  kiln tree --layer 2 team/app          only the second layer from below
  kiln tree team/app /etc/passwd        which steps touched that file
  kiln tree --json team/app             for scripts: every file
  kiln tree --format '{{range .Layers}}{{println .Size .CreatedBy}}{{end}}' team/app

`+` was added, `~` changed, `-` removed. Sizes of directories are those of the files that the layer has beneath them.")]
pub(crate) struct Tree {
    /// A name or id
    pub(crate) image: String,

    /// Only the steps that touched what is there
    pub(crate) path: Option<String>,

    /// Only this layer: its number, 1 being the lowest, or the beginning of its digest
    #[arg(long, value_name = "LAYER")]
    pub(crate) layer: Option<String>,

    /// How many levels of directories to show; what is deeper is summed up
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) depth: usize,

    #[command(flatten)]
    pub(crate) listing: Listing,
}
