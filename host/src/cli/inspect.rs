//! `kiln inspect`: its options.

use clap::{Args, ValueEnum};

use crate::report::format::Format;

/// Show everything about containers, images and volumes, as JSON
///
/// Of things with the same name it is the container, else the image, unless --type says otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln inspect team/app
  kiln inspect --format '{{.State.Status}} {{.State.ExitCode}}' web
  kiln inspect --format '{{range .Mounts}}{{println .Source}}{{end}}' web
  kiln inspect --format '{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}' web
  kiln inspect --format '{{json .State.Health}}' web
  kiln inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' team/app
  kiln inspect --format '{{index .Config.Labels \"vendor\"}}' 9a67ab280ca4
  kiln inspect team/app | jq '.[0].Config.Env'")]
pub(crate) struct Inspect {
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// `json` for one line of JSON, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// Only things of this kind
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub(crate) kind: Option<InspectType>,

    /// Also how much containers have written; sizes of images are always shown
    #[arg(short, long)]
    pub(crate) size: bool,
}

impl Inspect {
    /// Only of one kind: `kiln image inspect`, `kiln container inspect`.
    pub(super) fn only(self, kind: InspectType) -> Self {
        Self { kind: self.kind.or(Some(kind)), ..self }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectType {
    Image,
    Container,
    Volume,
}
