//! `kiln tag`: one more name for an image.

use crate::cli::tag::Tag;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Tag, session: &Session) -> anyhow::Result<()> {
    if options.target.digest.is_some() {
        return Err(Failure::new(format!("{} has a digest, which cannot be chosen", options.target.familiar()))
            .hint("leave out what begins with `@`")
            .into());
    }
    let store = session.store()?;
    let image = store.resolve(&options.source)?;
    store.tag(&image.id, &options.target.clone().with_default_tag())?;
    Ok(())
}
