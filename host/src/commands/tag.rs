//! `kiln tag`: one more name for an image.

use super::arguments;
use crate::cli::tag::Tag;
use crate::session::Session;

pub(super) fn run(options: &Tag, session: &Session) -> anyhow::Result<()> {
    let name = arguments::new_name(&options.target)?;
    let store = session.store()?;
    let image = store.resolve(&options.source)?;
    store.tag(&image.id, &name)?;
    Ok(())
}
