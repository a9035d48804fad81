//! The image to run: the store's, or one that is pulled first.

use kiln_build::PullPolicy;
use kiln_exec::Cancel;
use kiln_registry::PullOptions;
use kiln_store::{Error, Image, Store};
use kiln_types::Reference;

use crate::cli::pull::Access;
use crate::cli::run::Options;
use crate::commands::{arguments, limit, pull};
use crate::report::transfer::{Stream, status};
use crate::session::Session;

pub(super) fn get(options: &Options, session: &Session, store: &Store) -> anyhow::Result<Image> {
    let text = options.image();
    let platform = arguments::platform(options.platform.as_ref());
    let name = text.parse::<Reference>().ok().map(Reference::with_default_tag);
    let here = match (&platform, &name) {
        (Some(platform), Some(name)) if store.named(name)?.is_some() => {
            store.for_platform(name, platform)?.ok_or_else(|| Error::NoSuchImage { name: name.familiar() })
        }
        _ => store.resolve(text),
    };
    let missing = matches!(here, Err(Error::NoSuchImage { .. } | Error::LostImage { .. }));
    let name = match (options.pull, name) {
        (PullPolicy::Missing, Some(name)) if missing => name,
        // An id is what it is.
        (PullPolicy::Always, Some(name)) if missing || store.named(&name)?.is_some() => name,
        _ => return Ok(here?),
    };
    let stream = (!options.quiet).then_some(Stream::Err);
    if let Some(stream) = stream
        && missing
    {
        stream.say(&format!("Unable to find image '{}' locally", name.familiar()))?;
    }
    // Signals still end the process; what came so far is used by the next pull.
    let registries = session.registries(&Cancel::new(), &Access::default(), &name.registry)?;
    let what = PullOptions { platform, all_platforms: false, name: true };
    let pulled = pull::pull(&registries, store, &name, &what, stream)?;
    if let Some(stream) = stream {
        stream.say(&status(&name, pulled.news))?;
    }
    limit::obey(store, session)?;
    let image = store.image(&pulled.id)?;
    Ok(image.ok_or_else(|| Error::NoSuchImage { name: name.familiar() })?)
}
