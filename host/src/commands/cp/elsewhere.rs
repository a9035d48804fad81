//! `kiln cp` on systems that have no containers of Linux programs.

use crate::cli::cp::Cp;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Cp, _: &Session) -> anyhow::Result<()> {
    let Cp { source, destination, .. } = options;
    let what = format!("cannot copy {} to {}", source.display(), destination.display());
    let failure = Failure::new(format!("{what}: files go to and from containers of Linux programs on Linux only"));
    Err(failure.hint("kiln export CONTAINER writes all its files as a tar").into())
}
