//! `kiln commit`: its options.

use clap::{ArgAction, Args};
use kiln_types::Reference;

/// Make an image from what a container has changed
///
/// The image has the container's configuration, all layers of the container's image, and one more; what is in volumes is
/// not included. The container may run, and stands still meanwhile. How such an image came about cannot be told from it:
/// where it matters, write a Dockerfile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln commit web team/web:fixed
  kiln commit -a 'Jane <jane@example.com>' -m 'with vim' stupefied_jepsen stt/centos-vim
  kiln commit -c 'CMD redis-server' $(kiln ps -lq)
  kiln commit -c 'ENV DEBUG=1' -c 'EXPOSE 80' web
  kiln commit --no-pause web                   without stopping it: files may be taken half written

Instructions for -c: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR")]
pub(crate) struct Commit {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    pub(crate) container: String,

    /// A name for the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub(crate) name: Option<Reference>,

    /// Who has made it
    #[arg(short, long, value_name = "NAME")]
    pub(crate) author: Option<String>,

    /// A message for the image's history
    #[arg(short, long)]
    pub(crate) message: Option<String>,

    /// A Dockerfile instruction for the image's configuration; may be repeated
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    pub(crate) changes: Vec<String>,

    /// Let the container stand still meanwhile
    #[arg(short, long, num_args = 0..=1, require_equals = true, value_name = "BOOL", default_value = "true",
        default_missing_value = "true", action = ArgAction::Set)]
    pause: bool,

    /// Do not: what it writes meanwhile may be taken half
    #[arg(long, conflicts_with = "pause")]
    no_pause: bool,
}

impl Commit {
    pub(crate) fn pauses(&self) -> bool {
        self.pause && !self.no_pause
    }
}
