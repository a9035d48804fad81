//! The images that a build stands on or takes files from: out of the store, and pulled into it where they are missing.
//!
//! All that the Dockerfile names are had at once, before it is planned; what only shows while planning (a trigger of a
//! base image, a name made of its variables) is had then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kiln_dockerfile::{Diagnostic, Dockerfile, Span};
use kiln_registry::{Doing, LayerState, Progress, PullOptions, Registries};
use kiln_store::{Image, Store};
use kiln_types::{Digest, Platform, Reference};

use crate::plan::{self, Plan, given, named_context};
use crate::{Environment, Error, Event, NamedContext, PullPolicy, Reporter, Request};

/// Images that are pulled at once, several layers of each.
const AT_ONCE: usize = 4;

/// An image that was pulled for a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    pub name: Reference,
    /// In the order of the image.
    pub layers: Vec<PulledLayer>,
    /// What the registry knows it by.
    pub digest: Digest,
    /// `false`: it was all here already.
    pub news: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulledLayer {
    pub digest: Digest,
    pub was_here: bool,
}

/// Where images come from.
pub(crate) struct Images<'a> {
    request: &'a Request,
    store: &'a Store,
    /// Without them nothing is pulled.
    registries: Option<(&'a Registries, &'a dyn Reporter)>,
    found: Mutex<BTreeMap<Key, Arc<Place>>>,
}

type Key = (String, Option<Platform>);
type Place = OnceLock<Result<Found, Missing>>;

/// An image as it is used.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) image: Image,
    pulled: Option<PulledImage>,
}

/// Why there is none.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    code: &'static str,
    pub(crate) message: String,
    hint: String,
}

impl Missing {
    /// `before` says what was to be done with it.
    pub(crate) fn diagnostic(self, before: String, span: Span) -> Diagnostic {
        Diagnostic::error(self.code, span, format!("{before}: {}", self.message)).hint(self.hint)
    }
}

/// Plans a build, with all images that it needs in the store.
pub(crate) fn plan(
    dockerfile: &Dockerfile,
    request: &Request,
    environment: &Environment,
    reporter: &dyn Reporter,
) -> Result<Plan, Error> {
    let store = &environment.store;
    // What is wrong whatever the images are is told before anything is downloaded.
    match plan::plan(dockerfile, request, &Images::of_store(request, store)) {
        Err(Error::Dockerfile(mut problems)) => {
            problems.retain(|problem| !PULLED_AWAY.contains(&problem.code));
            if !problems.is_empty() {
                return Err(Error::Dockerfile(problems));
            }
        }
        Ok(plan) if request.pull != PullPolicy::Always => return Ok(plan),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let images = Images::pulled(request, store, environment.registries.as_deref(), reporter);
    images.have(dockerfile, plan::target(dockerfile, request)?);
    let plan = plan::plan(dockerfile, request, &images);
    // What was broken off is no fault of the Dockerfile's.
    if environment.cancel.is_cancelled() { Err(Error::Cancelled) } else { plan }
}

impl<'a> Images<'a> {
    /// Those of the store and no others.
    pub(crate) fn of_store(request: &'a Request, store: &'a Store) -> Self {
        Self { request, store, registries: None, found: Mutex::default() }
    }

    /// Those of the store, and by the request's policy those of registries.
    pub(crate) fn pulled(
        request: &'a Request,
        store: &'a Store,
        registries: Option<&'a Registries>,
        reporter: &'a dyn Reporter,
    ) -> Self {
        let registries = registries.map(|registries| (registries, reporter));
        Self { request, store, registries, found: Mutex::default() }
    }

    /// Has everything that the Dockerfile names, side by side. What fails, fails again when it is planned, at its place.
    pub(crate) fn have(&self, dockerfile: &Dockerfile, target: usize) {
        if self.registries.is_none() || self.request.pull == PullPolicy::Never {
            return;
        }
        let bases =
            |name: &str, platform: Option<&Platform>| crate::check::base(self.request, self.store, name, platform);
        let wanted: Vec<Key> = kiln_dockerfile::images(dockerfile, &given(self.request), &bases, target)
            .into_iter()
            .filter_map(|image| {
                let name = match named_context(self.request, &image.name) {
                    None => image.name,
                    Some((_, NamedContext::Image(name))) => name.clone(),
                    Some((_, NamedContext::Stage(_) | NamedContext::Files { .. })) => return None,
                };
                Some((name, image.platform.or_else(|| self.request.platform.clone())))
            })
            .collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..wanted.len().min(AT_ONCE) {
                scope.spawn(|| {
                    while let Some(key) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let _ = self.place(key);
                    }
                });
            }
        });
    }

    /// The image of that name. It says to one caller only that it was pulled.
    pub(crate) fn find(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<(Image, Option<PulledImage>), Missing> {
        let key = (name.to_owned(), platform.cloned());
        let found = self.place(&key)?;
        let mut places = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let pulled = found.pulled.clone();
        if pulled.is_some() {
            let told = Found { pulled: None, ..found.clone() };
            places.insert(key, Arc::new(OnceLock::from(Ok(told))));
        }
        Ok((found.image, pulled))
    }

    fn place(&self, key: &Key) -> Result<Found, Missing> {
        let place = {
            let mut places = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(places.entry(key.clone()).or_default())
        };
        place.get_or_init(|| self.get(&key.0, key.1.as_ref())).clone()
    }

    fn get(&self, name: &str, platform: Option<&Platform>) -> Result<Found, Missing> {
        let here = self.here(name, platform);
        let reference = name.parse::<Reference>().map(Reference::with_default_tag);
        let (Ok(reference), Some((registries, reporter))) = (reference, self.registries) else {
            return here.map(|image| Found { image, pulled: None });
        };
        let by_name = self.store.named(&reference).ok().flatten();
        let wanted = match (self.request.pull, &here) {
            // An id is what it is.
            (PullPolicy::Always, Ok(_)) => by_name.is_some(),
            (PullPolicy::Always, Err(missing)) => missing.can_be_pulled(),
            (PullPolicy::Missing, Ok(_)) | (PullPolicy::Never, _) => false,
            (PullPolicy::Missing, Err(missing)) => missing.can_be_pulled(),
        };
        if !wanted {
            return here
                .map(|image| Found { image, pulled: None })
                .map_err(|missing| missing.offline(self.request.pull, name));
        }
        // The name goes on to stand for what it stands for where only another platform's image is wanted.
        let is_usual = platform.is_none_or(|wanted| wanted.normal() == Platform::host());
        let named = is_usual || by_name.is_none();
        let options = PullOptions { platform: platform.cloned(), all_platforms: false, name: named };
        let watch = Watch { name: &reference, reporter, layers: Mutex::default() };
        let pulled = registries.pull(self.store, &reference, &options, &watch);
        let pulled = pulled.map_err(|error| not_pulled(&error, &reference, here.err()))?;
        let image = self.store.image(&pulled.id).map_err(|error| Missing::of_store(&error))?;
        let image =
            image.ok_or_else(|| Missing::of_store(&kiln_store::Error::NoSuchImage { name: name.to_owned() }))?;
        let layers = watch.layers.into_inner().unwrap_or_else(PoisonError::into_inner);
        let pulled = PulledImage { name: reference, layers, digest: pulled.digest, news: pulled.news };
        Ok(Found { image, pulled: Some(pulled) })
    }

    /// What the store has of that name.
    fn here(&self, name: &str, platform: Option<&Platform>) -> Result<Image, Missing> {
        let image = self.store.resolve_written(name).map_err(|error| Missing::of_store(&error))?;
        let Some(platform) = platform else { return Ok(image) };
        // Of several the best, though the usual one might do, too.
        let best = name.parse().ok().and_then(|name| self.store.for_platform(&name, platform).transpose());
        match best {
            Some(found) => found.map_err(|error| Missing::of_store(&error)),
            None if platform.rank(&image.config.stated_platform()).is_some() => Ok(image),
            None => Err(Missing {
                code: WRONG_PLATFORM,
                message: format!("what the store has is for {}, not for {platform}", image.config.platform()),
                hint: "pull, load or import the image for the platform that is wanted".to_owned(),
            }),
        }
    }
}

impl Missing {
    fn of_store(error: &kiln_store::Error) -> Self {
        let code = match error {
            kiln_store::Error::NoSuchImage { .. } | kiln_store::Error::LostImage { .. } => NOT_FOUND,
            _ => "bad-image",
        };
        let hint = match error {
            kiln_store::Error::Name(_) => "write NAME, NAME:TAG or NAME@sha256:DIGEST, with names in lower case",
            _ => "`kiln images` lists what the store has; `kiln pull`, `kiln load` and `kiln import` add to it",
        };
        Self { code, message: error.to_string(), hint: hint.to_owned() }
    }

    fn can_be_pulled(&self) -> bool {
        self.code != "bad-image"
    }

    fn offline(self, policy: PullPolicy, name: &str) -> Self {
        if policy != PullPolicy::Never || !self.can_be_pulled() {
            return self;
        }
        let hint = format!("nothing is pulled with --offline; before: kiln pull {name}");
        Self { hint, ..self }
    }
}

/// Problems that there may be no more when images were pulled; a name like a stage's may be an image's.
const PULLED_AWAY: [&str; 3] = [NOT_FOUND, WRONG_PLATFORM, UNKNOWN_SOURCE];
const WRONG_PLATFORM: &str = "wrong-platform";
/// Of an image that is not at hand `build --check` can say nothing; it may well be there when the build is done.
pub(crate) const NOT_FOUND: &str = "image-not-found";
/// No image, and nearly the name of a stage.
pub(crate) const UNKNOWN_SOURCE: &str = "unknown-source";

fn not_pulled(error: &kiln_registry::Error, name: &Reference, here: Option<Missing>) -> Missing {
    let mut text = error.to_string();
    for cause in std::iter::successors(std::error::Error::source(error), |cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    let (message, hint) = match error.refusal(Doing::Pull, name) {
        Some(refusal) if refusal.is_all => (refusal.message, refusal.hint),
        Some(refusal) => (format!("{}: {text}", refusal.message), refusal.hint),
        None => (text, "`kiln images` lists what the store has; `kiln load` and `kiln import` add to it".to_owned()),
    };
    match here {
        Some(here) if here.code != NOT_FOUND => {
            Missing { code: here.code, message: format!("{}, and it cannot be pulled: {message}", here.message), hint }
        }
        _ => Missing { code: NOT_FOUND, message, hint },
    }
}

/// Passes on what happens to one image, and remembers its layers.
struct Watch<'a> {
    name: &'a Reference,
    reporter: &'a dyn Reporter,
    layers: Mutex<Vec<PulledLayer>>,
}

impl Progress for Watch<'_> {
    fn event(&self, event: kiln_registry::Event<'_>) {
        if let kiln_registry::Event::Layer { layer, state } = event {
            let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
            match layers.iter_mut().find(|known| known.digest == *layer) {
                Some(known) => known.was_here |= matches!(state, LayerState::AlreadyExists),
                None => {
                    layers.push(PulledLayer { digest: *layer, was_here: matches!(state, LayerState::AlreadyExists) });
                }
            }
        }
        self.reporter.event(Event::Pulling { name: self.name, event });
    }
}
