//! `kiln inspect`: its options.

use clap::{Args, ValueEnum};

use crate::report::format::Format;

/// Show everything about images, as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln inspect team/app
  kiln inspect --format '{{.Config.Env}}' team/app
  kiln inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' team/app
  kiln inspect --format '{{index .Config.Labels \"vendor\"}}' 9a67ab280ca4
  kiln inspect --format '{{json .Config}}' team/app
  kiln inspect team/app | jq '.[0].Config.Env'")]
pub(crate) struct Inspect {
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,

    /// `json` for one line of JSON, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// Only things of this kind
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub(crate) kind: Option<InspectType>,

    /// Total sizes of containers; those of images are always shown
    #[arg(short, long)]
    pub(crate) size: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectType {
    Image,
    Container,
}
