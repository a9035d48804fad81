//! `kiln push`: images to registries, told as Docker tells it.

use kiln_registry::{Doing, PushOptions, Registries};
use kiln_store::Store;
use kiln_types::{Digest, Platform, Reference};

use super::arguments;
use crate::cli::push::Push;
use crate::commands::registry_failure::explain;
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::report::transfer::{Stream, Transfer};
use crate::session::Session;

pub(super) fn run(options: &Push, session: &Session) -> anyhow::Result<()> {
    let name = &options.name;
    if name.digest.is_some() {
        return Err(Failure::new("cannot push a digest reference").hint("push it by a tag").into());
    }
    if options.all_tags && name.tag.is_some() {
        return Err(Failure::new("tag can't be used with --all-tags/-a").hint("leave out the tag").into());
    }
    let cancel = session.interrupts.catch()?;
    let store = session.store_to_read()?;
    let names = if options.all_tags { tags(&store, name)? } else { vec![name.clone().with_default_tag()] };
    if !options.quiet {
        if !options.all_tags && name.tag.is_none() {
            Stream::Out.say("Using default tag: latest")?;
        }
        Stream::Out.say(&refers_to(name))?;
    }
    let registries = session.registries(&cancel, &options.access, &name.registry)?;
    let what = PushOptions {
        compression: options.compression.into(),
        platform: arguments::platform(options.platform.as_ref()),
    };
    let stream = (!options.quiet).then_some(Stream::Out);
    for name in &names {
        push(&registries, &store, name, &what, stream)?;
    }
    if options.quiet {
        let asked = if options.all_tags { name } else { &names[0] };
        Stream::Out.say(&asked.to_string())?;
    }
    Ok(())
}

pub(super) fn refers_to(name: &Reference) -> String {
    format!("The push refers to repository [{}/{}]", name.registry, name.repository)
}

/// Pushes one tag and tells of it. Answers the digest under which the registry has it.
pub(super) fn push(
    registries: &Registries,
    store: &Store,
    name: &Reference,
    options: &PushOptions,
    stream: Option<Stream>,
) -> anyhow::Result<Digest> {
    let failed = |error| explain(error, Doing::Push, name);
    let pushed = match stream {
        None => registries.push(store, name, options, &()).map_err(failed)?,
        Some(stream) => {
            let transfer = Transfer::new(stream, None);
            let pushed = registries.push(store, name, options, &transfer);
            transfer.finish()?;
            let pushed = pushed.map_err(failed)?;
            let tag = name.tag_or_latest().unwrap_or_default();
            stream.say(&format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size))?;
            pushed
        }
    };
    if !pushed.missing.is_empty() {
        // What only tells of an image is for no platform.
        let called = |platform: &Platform| match platform.os.as_str() {
            "unknown" => "attestations".to_owned(),
            _ => platform.to_string(),
        };
        let mut missing: Vec<String> = pushed.missing.iter().map(called).collect();
        missing.dedup();
        let message = format!("{} was pushed for one platform only: without {}", name.familiar(), missing.join(", "));
        let mut problem = Problem::warning(message);
        problem.hints.push(format!("to have them all here first: kiln pull --all-platforms {}", name.familiar()));
        problem.show();
    }
    Ok(pushed.digest)
}

/// All tags of the repository that are here.
fn tags(store: &Store, repository: &Reference) -> anyhow::Result<Vec<Reference>> {
    let mut names: Vec<Reference> = store
        .images()?
        .into_iter()
        .flat_map(|image| image.names.into_iter().map(|(name, _)| name))
        .filter(|name| (&name.registry, &name.repository) == (&repository.registry, &repository.repository))
        .filter(|name| name.tag.is_some())
        .collect();
    names.sort();
    if names.is_empty() {
        let message = format!("An image does not exist locally with the tag: {}", repository.familiar_name());
        return Err(Failure::new(message).hint("`kiln images` lists what there is").into());
    }
    Ok(names)
}
