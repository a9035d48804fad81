//! Images into the store, exactly as a registry has them.
//!
//! First the manifests, then the blobs that are missing, at last the records and names: whatever ends a pull leaves no
//! half image, and what has arrived serves the next attempt. What is in the store already is not asked for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;

use kiln_fetch::{Client, Url};
use kiln_image::config::MAX_DOCUMENT;
use kiln_image::manifest::is_image_config;
use kiln_image::{Descriptor, FlatIndex, ImageConfig, Manifest, ManifestList};
use kiln_store::{Named, Store};
use kiln_types::{Digest, Reference};

use crate::blobs::{Watch, reserve};
use crate::choose::choose;
use crate::error::excerpt;
use crate::manifests::Document;
use crate::parallel::{Failed, in_parallel};
use crate::route::Route;
use crate::session::Session;
use crate::{Error, Event, LayerState, Progress, PullOptions, Pulled, Result};

/// All manifests that an index lists are kept in memory at once: a hundred are some hundred kilobytes.
const MOST_LISTED: u64 = 64 << 20;
/// Smaller layers are verified too fast to tell.
const WORTH_TELLING: u64 = 1 << 20;
/// URLs of a layer that is kept elsewhere; one is usual.
const MOST_URLS: usize = 4;

pub(crate) struct Pull<'a> {
    pub(crate) store: &'a Store,
    pub(crate) route: Route<'a>,
    /// With a tag or a digest.
    pub(crate) wanted: Reference,
    pub(crate) options: &'a PullOptions,
    pub(crate) parallel: usize,
    pub(crate) progress: &'a dyn Progress,
}

/// An image whose manifest is here.
struct Found {
    document: Document,
    manifest: Manifest,
}

impl Pull<'_> {
    pub(crate) fn run(self) -> Result<Pulled> {
        let known = self.store.named(&self.wanted)?;
        let document = self.find(known.as_ref())?;
        let digest = document.digest;
        let (image, further, index) = self.images(document)?;
        let mut news = self.fetch(&image, &further)?;
        for found in &further {
            self.store.put_blob(&found.document.bytes)?;
            if found.is_image() {
                self.store.add_received(&found.document.bytes)?;
            }
        }
        let id = self.store.add_received(&image.document.bytes)?;
        if self.options.name {
            news |= known.is_none_or(|known| known.id != id || known.index != index);
            let by_digest = Reference { tag: None, digest: Some(digest), ..self.wanted.clone() };
            for name in [&self.wanted, &by_digest] {
                self.store.name_received(&id, name, index.as_ref()).map_err(|error| match error {
                    kiln_store::Error::NoSuchImage { .. } => Error::RemovedMeanwhile { name: name.familiar() },
                    error => error.into(),
                })?;
            }
        }
        Ok(Pulled { id, digest, news })
    }

    /// What the reference leads to. Where it has a name here already, most likely that is what it still is, and `HEAD`
    /// tells.
    fn find(&self, known: Option<&Named>) -> Result<Document> {
        if known.is_some()
            && let Some(head) = self.route.ask(|session| session.head_manifest(&self.wanted))?
        {
            let wanted = Reference { digest: Some(head.digest), ..self.wanted.clone() };
            return self.document(&wanted, head.digest);
        }
        let (document, endpoint) =
            self.route.ask(|session| Ok((session.get_manifest(&self.wanted)?, &session.endpoint.name)))?;
        self.progress.event(Event::From { endpoint });
        Ok(document)
    }

    /// A manifest or index, out of the store if it is there.
    fn document(&self, wanted: &Reference, digest: Digest) -> Result<Document> {
        if let Some(bytes) = self.known_document(&digest) {
            let media_type = crate::manifests::media_type(&wanted.familiar(), "", &bytes);
            if let Ok(media_type) = media_type {
                return Ok(Document { bytes, digest, media_type });
            }
        }
        self.route.ask(|session| session.get_manifest(wanted))
    }

    fn known_document(&self, digest: &Digest) -> Option<Vec<u8>> {
        // One that is damaged comes anew.
        self.store.has_blob(digest).then(|| self.store.read_blob(digest, MAX_DOCUMENT).ok()).flatten()
    }

    /// The image that is wanted, what comes along with it, and the index if all that is one's.
    fn images(&self, document: Document) -> Result<(Found, Vec<Found>, Option<Digest>)> {
        if !document.is_index() {
            let image = self.image(document)?;
            self.check_platform(&image)?;
            return Ok((image, Vec::new(), None));
        }
        let mut within = Vec::new();
        let flat = FlatIndex::new(ManifestList::parse(&document.bytes)?, |entry| {
            self.check_sizes(within.iter().map(|document: &Document| document.bytes.len() as u64).chain([entry.size]))?;
            let Some(document) = self.index_within(entry)? else { return Ok(None) };
            let list = ManifestList::parse(&document.bytes)?;
            within.push(document);
            Ok::<_, Error>(Some(list))
        })?;
        let choice = choose(&self.wanted.familiar(), &flat.entries, self.options)?;
        self.check_sizes(std::iter::once(choice.image).chain(choice.further.iter().copied()).map(|entry| entry.size))?;
        let image = self.entry(choice.image)?;
        let further = in_parallel(self.parallel, &choice.further, |entry, _| self.entry(entry))?;
        for index in within.iter().chain([&document]) {
            self.store.put_blob(&index.bytes)?;
        }
        Ok((self.checked(image)?, further, Some(document.digest)))
    }

    fn check_sizes(&self, sizes: impl Iterator<Item = u64>) -> Result<()> {
        if sizes.fold(0, u64::saturating_add) > MOST_LISTED {
            let what = format!("what the index of {} lists", self.wanted.familiar());
            return Err(Error::TooLarge { what, limit: MOST_LISTED });
        }
        Ok(())
    }

    /// An index that another one lists; nothing where the registry has it not, as its images may not be wanted.
    fn index_within(&self, entry: &Descriptor) -> Result<Option<Document>> {
        match self.listed(entry) {
            Ok(document) => Ok(document.is_index().then_some(document)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The image that an entry of an index leads to, or what tells of one.
    fn entry(&self, entry: &Descriptor) -> Result<Found> {
        let document = self.listed(entry)?;
        if document.is_index() {
            return Err(Error::NestedIndex { what: self.wanted.familiar() });
        }
        self.progress.event(Event::Image { digest: &entry.digest, platform: entry.platform.as_ref() });
        Ok(Found { manifest: Manifest::parse(&document.bytes)?, document })
    }

    /// What an entry of an index leads to.
    fn listed(&self, entry: &Descriptor) -> Result<Document> {
        let wanted = Reference { tag: None, digest: Some(entry.digest), ..self.wanted.clone() };
        let document = self.document(&wanted, entry.digest)?;
        if document.bytes.len() as u64 != entry.size {
            let (expected, found) = (entry.size, document.bytes.len() as u64);
            let (registry, what) = (self.wanted.registry.clone(), wanted.familiar());
            return Err(Error::WrongSize { registry, what, expected, found });
        }
        Ok(document)
    }

    fn image(&self, document: Document) -> Result<Found> {
        self.checked(Found { manifest: Manifest::parse(&document.bytes)?, document })
    }

    fn checked(&self, found: Found) -> Result<Found> {
        if !found.is_image() {
            let media_type = excerpt(&found.manifest.config.media_type);
            return Err(Error::NotAnImage { what: self.wanted.familiar(), media_type });
        }
        if found.manifest.config.size > MAX_DOCUMENT {
            let what = format!("the configuration of {}", self.wanted.familiar());
            return Err(Error::TooLarge { what, limit: MAX_DOCUMENT });
        }
        Ok(found)
    }

    /// A single image is of one platform: only its configuration tells which.
    fn check_platform(&self, image: &Found) -> Result<()> {
        let Some(wanted) = &self.options.platform else { return Ok(()) };
        let config = &image.manifest.config;
        self.blob(config, None, &Failed::default())?;
        let offered = ImageConfig::parse(&self.store.read_blob(&config.digest, MAX_DOCUMENT)?)?.platform();
        if offered.os.is_empty() || wanted.rank(&offered).is_some() {
            return Ok(());
        }
        Err(Error::NoPlatform { what: self.wanted.familiar(), wanted: wanted.clone(), offered: vec![offered] })
    }

    /// Fetches all blobs that are missing; each once, whoever has it. Answers whether there were any.
    fn fetch(&self, image: &Found, further: &[Found]) -> Result<bool> {
        let images = || std::iter::once(image).chain(further);
        let blobs = || images().flat_map(|found| found.manifest.layers.iter().chain([&found.manifest.config]));
        // An image that is here is no news, and neither are its layers.
        let whole = blobs().all(|blob| self.store.has_whole(&blob.digest, blob.size));
        if whole && self.store.image(&image.manifest.config.digest)?.is_some() {
            return Ok(false);
        }
        let mut seen = HashSet::new();
        let configs: Vec<_> =
            images().map(|found| &found.manifest.config).filter(|config| seen.insert(config.digest)).collect();
        let mut arrivals = in_parallel(self.parallel, &configs, |config, failed| self.blob(config, None, failed))?;
        let mut diff_ids: HashMap<Digest, BTreeSet<Digest>> = HashMap::new();
        for found in images().filter(|found| found.is_image()) {
            for (layer, diff_id) in found.manifest.layers.iter().zip(self.diff_ids(found)?) {
                diff_ids.entry(layer.digest).or_default().insert(diff_id);
            }
        }
        let jobs: Vec<_> = blobs().filter(|blob| seen.insert(blob.digest)).collect();
        for blob in jobs.iter().filter(|blob| diff_ids.contains_key(&blob.digest)) {
            self.tell(&blob.digest, LayerState::Waiting);
        }
        arrivals.extend(in_parallel(self.parallel, &jobs, |blob, failed| {
            let Some(diff_ids) = diff_ids.get(&blob.digest) else { return self.blob(blob, None, failed) };
            let arrived = self.blob(blob, diff_ids.first(), failed)?;
            diff_ids.iter().try_for_each(|diff_id| self.verify(blob, diff_id, failed))?;
            self.tell(&blob.digest, if arrived { LayerState::PullComplete } else { LayerState::AlreadyExists });
            Ok(arrived)
        })?);
        Ok(arrivals.contains(&true))
    }

    /// What the layers of an image shall decompress to. Its configuration is here.
    fn diff_ids(&self, found: &Found) -> Result<Vec<Digest>> {
        let config = &found.manifest.config.digest;
        Ok(ImageConfig::parse(&self.store.read_blob(config, MAX_DOCUMENT)?)?.rootfs.diff_ids)
    }

    /// A layer that is here is what its image says. For most that was found out while they came.
    fn verify(&self, blob: &Descriptor, diff_id: &Digest, failed: &Failed) -> Result<()> {
        let origin = &self.route.stops.last().expect("the registry itself comes last").session;
        let watch = LayerWatch { layer: Some(blob), diff_id: Some(diff_id), failed, progress: self.progress };
        let verified = self.store.verify_source(diff_id, &blob.digest, &watch.verifying(origin.client));
        watch.goes_on(origin.client)?;
        Ok(verified?)
    }

    /// Brings one blob into the store, of a layer with that diff id. Answers whether it was missing.
    fn blob(&self, blob: &Descriptor, diff_id: Option<&Digest>, failed: &Failed) -> Result<bool> {
        let watch = LayerWatch { layer: diff_id.map(|_| blob), diff_id, failed, progress: self.progress };
        let from_registry = self.route.ask(|session| self.receive(session, blob, None, &watch));
        match (from_registry, urls(blob)) {
            (Err(Error::NotFound { .. }), Some(urls)) => self.foreign(blob, &urls, &watch),
            (result, _) => result,
        }
    }

    fn receive(
        &self,
        session: &Session<'_>,
        blob: &Descriptor,
        from: Option<&Url>,
        watch: &LayerWatch<'_>,
    ) -> Result<bool> {
        loop {
            let reserved = reserve(self.store, session.client, blob, watch.diff_id, watch)?;
            let Some(mut receiver) = reserved else { return Ok(false) };
            let had = receiver.received();
            let downloaded = session.download(blob, from, &mut receiver, watch);
            if let Err(error) = downloaded {
                if matches!(error, Error::WrongSize { .. }) {
                    // Nobody shall go on with what comes from there.
                    receiver.restart()?;
                }
                return Err(error);
            }
            let finished = receiver.finish(&watch.verifying(session.client));
            watch.goes_on(session.client)?;
            match finished {
                Ok(()) => return Ok(true),
                // What another has begun may be to blame.
                Err(kiln_store::Error::WrongContent { .. }) if had > 0 => {}
                Err(kiln_store::Error::WrongContent { digest, found }) => {
                    let (registry, what) = (session.endpoint.name.clone(), format!("blob {}", digest.short()));
                    return Err(Error::WrongDigest { registry, what, expected: digest, found });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A layer that may not be distributed by registries comes from where its manifest says: over https only.
    fn foreign(&self, blob: &Descriptor, urls: &[String], watch: &LayerWatch<'_>) -> Result<bool> {
        let refused = |url: &str, reason| {
            let (what, url) = (self.wanted.familiar(), excerpt(url));
            Error::Foreign { what, digest: blob.digest, url, reason }
        };
        let origin = &self.route.stops.last().expect("the registry itself comes last").session;
        let mut failure = None;
        for text in urls.iter().take(MOST_URLS) {
            let result = match text.parse::<Url>() {
                Ok(url) if url.is_secure() => self.receive(origin, blob, Some(&url), watch),
                Ok(_) => Err(refused(text, "only https will do")),
                Err(error) => Err(refused(text, error.0)),
            };
            match result {
                Ok(arrived) => return Ok(arrived),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| refused("", "there is no URL")))
    }

    fn tell(&self, layer: &Digest, state: LayerState<'_>) {
        self.progress.event(Event::Layer { layer, state });
    }
}

impl Found {
    fn is_image(&self) -> bool {
        is_image_config(&self.manifest.config.media_type)
    }
}

/// Where a layer is kept that the registry need not have.
fn urls(blob: &Descriptor) -> Option<Vec<String>> {
    let urls: Vec<String> = serde_json::from_value(blob.unknown.get("urls")?.clone()).ok()?;
    (!urls.is_empty()).then_some(urls)
}

struct LayerWatch<'a> {
    /// `None`: it is no layer, and nothing is told of it.
    layer: Option<&'a Descriptor>,
    diff_id: Option<&'a Digest>,
    failed: &'a Failed,
    progress: &'a dyn Progress,
}

impl LayerWatch<'_> {
    fn goes_on(&self, client: &Client) -> Result<()> {
        self.failed.check()?;
        Ok(client.check_cancelled()?)
    }

    /// Tells how many bytes of how many are verified.
    fn verifying(&self, client: &Client) -> impl Fn(u64, u64) -> io::Result<()> + Sync {
        |done, total| {
            if total >= WORTH_TELLING {
                self.state(LayerState::Verifying { done, total });
            }
            self.goes_on(client).map_err(io::Error::other)
        }
    }
}

impl Watch for LayerWatch<'_> {
    fn state(&self, state: LayerState<'_>) {
        if let Some(layer) = self.layer {
            self.progress.event(Event::Layer { layer: &layer.digest, state });
        }
    }

    fn check(&self) -> Result<()> {
        self.failed.check()
    }
}
