//! `kiln tag`: one more name for an image.

use super::arguments;
use crate::cli::tag::Tag;
use crate::session::Session;

pub(super) fn run(options: &Tag, session: &Session) -> anyhow::Result<()> {
    let name = arguments::new_name(&options.target)?;
    session.store()?.copy_name(&options.source, &name)?;
    Ok(())
}
