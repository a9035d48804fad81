//! One build; or one for each of several platforms, one after another, and an index of what they gave.
//!
//! One after another because they share much: a step that WASI runs and a stage for this machine are the same for all
//! platforms, so all but the first find them in the cache.

use std::io;

use kiln_build::{Built, Environment, Error, Request};
use kiln_store::Store;
use kiln_types::{Digest, Platform, Reference};

use crate::cli::build::Build;
use crate::report::explanation::Format;
use crate::report::failure::Failure;
use crate::report::plain::Plain;
use crate::report::quiet::Quiet;
use crate::report::text::Manner;

/// What was built.
#[derive(Debug)]
pub(super) struct Results {
    /// The image; of several the one that is taken where no platform is asked for.
    pub(super) image: Digest,
    /// Those of several platforms, in the order in which these were given.
    pub(super) platforms: Vec<(Platform, Digest)>,
    /// What the names of several stand for.
    pub(super) index: Option<Digest>,
    pub(super) unconsumed: Vec<String>,
    pub(super) idle: Vec<String>,
}

/// A build that did not come to its end.
pub(super) struct Failed {
    pub(super) error: Error,
    /// As `2/3`.
    pub(super) step: Option<String>,
    /// Of several.
    pub(super) platform: Option<Platform>,
}

/// Builds for all platforms, and gives the names if nothing failed.
pub(super) fn build(
    options: &Build,
    request: &Request,
    platforms: &[Platform],
    environment: &Environment,
) -> anyhow::Result<Result<Results, Failed>> {
    if platforms.len() < 2 {
        let built = one(options, request, None, false, environment)?;
        return Ok(built.map(|Built { image, unconsumed, idle }| Results {
            image,
            platforms: Vec::new(),
            index: None,
            unconsumed,
            idle,
        }));
    }
    request.tags.iter().try_for_each(Store::check_name)?;
    let mut all: Vec<(Platform, Built)> = Vec::new();
    for platform in platforms {
        let own = Request { platform: Some(platform.clone()), tags: Vec::new(), ..request.clone() };
        match one(options, &own, Some(platform), !all.is_empty(), environment)? {
            Ok(built) => {
                check(&built, platform, &environment.store)?;
                all.push((platform.clone(), built));
            }
            Err(failed) => return Ok(Err(failed)),
        }
    }
    let platforms: Vec<_> = all.iter().map(|(platform, built)| (platform.clone(), built.image)).collect();
    let (index, image) = environment.store.make_index(&platforms)?;
    let (mut unconsumed, mut idle) = (all[0].1.unconsumed.clone(), Vec::new());
    for (_, built) in all {
        // What one of them has a use for is no mistake.
        unconsumed.retain(|name| built.unconsumed.contains(name));
        idle.extend(built.idle);
    }
    idle.sort();
    idle.dedup();
    let results = Results { image, platforms, index: Some(index), unconsumed, idle };
    results.name(&request.tags, &environment.store)?;
    Ok(Ok(results))
}

fn one(
    options: &Build,
    request: &Request,
    platform: Option<&Platform>,
    context_is_told: bool,
    environment: &Environment,
) -> anyhow::Result<Result<Built, Failed>> {
    let (result, step) = if options.is_quiet() {
        let quiet = Quiet::default();
        let result = kiln_build::build(request, environment, &quiet);
        (result, quiet.finish(&mut io::stderr().lock())?)
    } else {
        let explanations = options.explain.unwrap_or(Format::Text);
        let manner = Manner { explanations, platform: platform.cloned(), context_is_told };
        let plain = Plain::new(super::words(options), io::stderr(), manner, environment.cancel.clone());
        let result = kiln_build::build(request, environment, &plain);
        (result, plain.finish()?)
    };
    Ok(result.map_err(|error| Failed { error, step, platform: platform.cloned() }))
}

/// An index must not promise what an image is not.
fn check(built: &Built, platform: &Platform, store: &Store) -> anyhow::Result<()> {
    let made_for = store.resolve(&built.image.to_string())?.config.stated_platform();
    if platform.rank(&made_for).is_some() {
        return Ok(());
    }
    let message = format!("the build for {platform} gave an image for {made_for}; nothing is tagged");
    let hint = "the FROM of the last stage decides: leave out its --platform, or build for one platform only";
    Err(Failure::new(message).hint(hint).into())
}

impl Results {
    /// What the build is called by programs: of several platforms it is their index.
    pub(super) fn id(&self) -> Digest {
        self.index.unwrap_or(self.image)
    }

    /// Gives names to the image, or to those of all platforms.
    pub(super) fn name(&self, names: &[Reference], store: &Store) -> anyhow::Result<()> {
        for name in names {
            match &self.index {
                Some(index) => store.name_received(&self.image, name, Some(index))?,
                None => store.tag(&self.image, name)?,
            };
        }
        match &self.index {
            Some(index) if names.is_empty() => Ok(store.keep_unnamed(&self.image, index)?),
            _ => Ok(()),
        }
    }

    /// How each image is told: its short id, and the platform where there are several.
    pub(super) fn told(&self) -> Vec<String> {
        if self.index.is_none() {
            return vec![self.image.short()];
        }
        self.platforms.iter().map(|(platform, id)| format!("{} for {platform}", id.short())).collect()
    }
}
