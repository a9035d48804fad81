//! `kiln pull`: images from registries, told as Docker tells it.

use kiln_registry::{Doing, PullOptions, Pulled, Registries};
use kiln_store::Store;
use kiln_types::Reference;

use super::arguments;
use crate::cli::pull::Pull;
use crate::commands::registry_failure::explain;
use crate::report::failure::Failure;
use crate::report::transfer::{Stream, Transfer, heading, status};
use crate::session::Session;

pub(super) fn run(options: &Pull, session: &Session) -> anyhow::Result<()> {
    let name = &options.name;
    if options.all_tags && (name.tag.is_some() || name.digest.is_some()) {
        return Err(Failure::new("tag can't be used with --all-tags/-a").hint("leave out the tag").into());
    }
    let cancel = session.interrupts.catch()?;
    let store = session.store()?;
    let registries = session.registries(&cancel, &options.access, &name.registry)?;
    let what = PullOptions {
        platform: arguments::platform(options.platform.as_ref()),
        all_platforms: options.all_platforms,
        name: true,
    };
    let names = if options.all_tags {
        let mut tags = registries.tags(name).map_err(|error| explain(error, Doing::Pull, name))?;
        tags.sort();
        tags.into_iter().map(|tag| Reference { tag: Some(tag), ..name.clone() }).collect()
    } else {
        let full = name.clone().with_default_tag();
        if full.tag != name.tag && !options.quiet {
            Stream::Out.say("Using default tag: latest")?;
        }
        vec![full]
    };
    if names.is_empty() {
        return Err(Failure::new(format!("{} has no tags", name.familiar_name())).into());
    }
    let stream = (!options.quiet).then_some(Stream::Out);
    let mut news = false;
    for name in &names {
        news |= pull(&registries, &store, name, &what, stream)?.news;
    }
    let asked = if options.all_tags { name } else { &names[0] };
    if !options.quiet {
        Stream::Out.say(&status(asked, news))?;
    }
    Stream::Out.say(&asked.to_string())?;
    super::limit::obey(&store, session)
}

/// Pulls one image and tells of it up to its digest. `name` has a tag or a digest.
pub(super) fn pull(
    registries: &Registries,
    store: &Store,
    name: &Reference,
    options: &PullOptions,
    stream: Option<Stream>,
) -> anyhow::Result<Pulled> {
    let failed = |error| explain(error, Doing::Pull, name);
    let Some(stream) = stream else {
        return registries.pull(store, name, options, &()).map_err(failed);
    };
    let transfer = Transfer::new(stream, Some(heading(name)));
    let pulled = registries.pull(store, name, options, &transfer);
    if pulled.is_ok() {
        // Where all of it was here nothing has been told.
        transfer.head();
    }
    transfer.finish()?;
    let pulled = pulled.map_err(failed)?;
    stream.say(&format!("Digest: {}", pulled.digest))?;
    Ok(pulled)
}
