//! Images out of the store to a registry.
//!
//! Blobs first, several at once; then manifests, an index, and with the last of them the tag: whatever ends a push, the
//! tag never leads to something that is not whole. Layers are compressed one after the other, each by all processors,
//! while it and others are on their way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use kiln_fetch::{Body, Method};
use kiln_image::config::MAX_DOCUMENT;
use kiln_image::manifest::{is_image_config, is_manifest_list};
use kiln_image::{Descriptor, IndexTree, Manifest};
use kiln_store::{Growing, Named, Store};
use kiln_types::{Digest, Platform, Reference};

use crate::blobs::Watch;
use crate::parallel::{Failed, in_parallel};
use crate::session::{Call, Session, Target};
use crate::upload::{Begun, Failure, what};
use crate::{Error, Event, LayerState, Progress, PushOptions, Pushed, Result};

/// Repositories that are asked for a blob before it is sent.
const MOST_MOUNTS: usize = 3;

pub(crate) struct Push<'a> {
    store: &'a Store,
    session: Session<'a>,
    /// With a tag.
    name: Reference,
    options: &'a PushOptions,
    parallel: usize,
    progress: &'a dyn Progress,
    /// In which repositories of this registry blobs are known to be; made when first needed.
    repositories: OnceLock<HashMap<Digest, BTreeSet<String>>>,
    compressing: Mutex<()>,
}

/// All images of a name.
struct Index {
    tree: IndexTree,
    /// Manifests of images, and of what tells of them; each once.
    entries: Vec<Descriptor>,
}

/// One image, or what tells of one.
struct Item {
    manifest: Manifest,
    /// As it was received; one that was made here gets its bytes when its layers are compressed.
    bytes: Option<Vec<u8>>,
    /// How each layer is known to people.
    shown: Vec<Digest>,
}

enum Piece<'a> {
    Blob {
        blob: &'a Descriptor,
        shown: Option<Digest>,
    },
    /// A layer that was made here.
    Layer(Digest),
}

impl<'a> Push<'a> {
    pub(crate) fn new(
        store: &'a Store,
        session: Session<'a>,
        name: Reference,
        options: &'a PushOptions,
        parallel: usize,
        progress: &'a dyn Progress,
    ) -> Self {
        let (repositories, compressing) = (OnceLock::new(), Mutex::default());
        Self { store, session, name, options, parallel, progress, repositories, compressing }
    }

    pub(crate) fn run(self) -> Result<Pushed> {
        let known = self.store.named(&self.name)?;
        let known = known.ok_or_else(|| Error::NoSuchName { name: self.name.familiar() })?;
        let (index, missing) = self.index(&known)?;
        let items: Vec<Item> = match &index {
            Some(index) => index.entries.iter().map(|entry| self.received(&entry.digest)).collect::<Result<_>>()?,
            None => vec![self.chosen(&known)?],
        };
        let forms = self.blobs(&items)?;
        let mut documents: Vec<(Vec<u8>, String)> = Vec::new();
        for item in items {
            let media_type = item.manifest.media_type();
            documents.push((item.finished(&forms), media_type));
        }
        let indexes = index.as_ref().map(|index| index.leading_to(&documents)).unwrap_or_default();
        let manifests = documents.len() - usize::from(index.is_none());
        documents.extend(indexes);
        let (top, below) = documents.split_last().expect("there is one at least");
        let put = |(bytes, media_type): &(Vec<u8>, String)| {
            self.put_manifest(&Digest::of(bytes).to_string(), bytes, media_type)
        };
        in_parallel(self.parallel, &below[..manifests], |document, _| put(document))?;
        // Each index after those that it lists: a registry may look for them.
        below[manifests..].iter().try_for_each(put)?;
        // The name keeps what was pushed, with all that it leads to.
        for (bytes, _) in below {
            self.store.put_blob(bytes)?;
        }
        let digest = self.store.put_blob(&top.0)?;
        self.put_manifest(self.name.tag.as_deref().unwrap_or_default(), &top.0, &top.1)?;
        let by_digest = Reference { tag: None, digest: Some(digest), ..self.name.clone() };
        let id = match index {
            Some(_) => known.id,
            None => Manifest::parse(&top.0)?.config.digest,
        };
        if !self.store.is_read_only() {
            self.store.name_received(&id, &by_digest, index.map(|_| digest).as_ref())?;
        }
        Ok(Pushed { digest, size: top.0.len() as u64, missing })
    }

    /// The index to push, if the name has one that is complete here; else what is missing of it.
    fn index(&self, known: &Named) -> Result<(Option<Index>, Vec<Platform>)> {
        let Some(index) = known.index.filter(|_| self.options.platform.is_none()) else {
            return Ok((None, Vec::new()));
        };
        let images: HashSet<Digest> =
            self.store.index_images(&index)?.into_iter().filter_map(|(entry, id)| id.map(|_| entry.digest)).collect();
        let (tree, mut entries) = self.store.index_tree(&index)?;
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.digest));
        let is_here = |entry: &&Descriptor| match entry.is_image() {
            true => images.contains(&entry.digest),
            // An index here is one that is missing, or nested too deeply.
            false => !is_manifest_list(&entry.media_type) && self.store.has_blob(&entry.digest),
        };
        let mut missing = entries.iter().filter(|entry| !is_here(entry)).peekable();
        if missing.peek().is_none() {
            return Ok((Some(Index { tree, entries }), Vec::new()));
        }
        let nowhere = || Platform::new("unknown", "unknown");
        let missing = missing.map(|entry| entry.platform.clone().unwrap_or_else(nowhere)).collect();
        Ok((None, missing))
    }

    /// The single image to push.
    fn chosen(&self, known: &Named) -> Result<Item> {
        let id = match &self.options.platform {
            None => known.id,
            Some(platform) => {
                let image = self.store.for_platform(&self.name, platform)?;
                let offered = || Ok::<_, Error>(self.store.image(&known.id)?.map(|image| image.config.platform()));
                match image {
                    Some(image) => image.id,
                    None => {
                        return Err(Error::NoPlatform {
                            what: self.name.familiar(),
                            wanted: platform.clone(),
                            offered: offered()?.into_iter().collect(),
                        });
                    }
                }
            }
        };
        let (_, bytes) = self.store.manifest(&id)?;
        let manifest = Manifest::parse(&bytes)?;
        let made_here = self.store.is_made_here(&id)?;
        let shown = self.shown(&manifest)?;
        Ok(Item { manifest, bytes: (!made_here).then_some(bytes), shown })
    }

    fn received(&self, digest: &Digest) -> Result<Item> {
        let bytes = self.store.read_blob(digest, MAX_DOCUMENT)?;
        let manifest = Manifest::parse(&bytes)?;
        let made_here = self.store.is_of_this_store(&manifest)?;
        let shown = if is_image_config(&manifest.config.media_type) { self.shown(&manifest)? } else { Vec::new() };
        Ok(Item { manifest, bytes: (!made_here).then_some(bytes), shown })
    }

    fn shown(&self, manifest: &Manifest) -> Result<Vec<Digest>> {
        let image = self.store.image(&manifest.config.digest)?;
        Ok(image.map(|image| image.config.rootfs.diff_ids).unwrap_or_default())
    }

    /// Sees to it that the repository has all blobs. Answers what became of the layers that were made here.
    fn blobs(&self, items: &[Item]) -> Result<HashMap<Digest, Descriptor>> {
        let mut seen = HashSet::new();
        let mut pieces = Vec::new();
        for item in items {
            pieces.extend(item.pieces().filter(|piece| seen.insert(*piece.key())));
        }
        // As Docker lists them: from the top.
        for layer in pieces.iter().filter_map(Piece::shown).rev() {
            self.progress.event(Event::Layer { layer, state: LayerState::Preparing });
        }
        let forms = in_parallel(self.parallel, &pieces, |piece, failed| {
            let watch = PieceWatch { layer: piece.shown(), failed, progress: self.progress };
            match piece {
                Piece::Blob { blob, .. } => self.blob(blob, &watch).map(|()| None),
                Piece::Layer(diff_id) => self.layer(diff_id, &watch).map(|form| Some((*diff_id, form))),
            }
        })?;
        Ok(forms.into_iter().flatten().collect())
    }

    /// Sees to it that the repository has a layer that was made here. What is large is sent while it is compressed.
    fn layer(&self, diff_id: &Digest, watch: &PieceWatch<'_>) -> Result<Descriptor> {
        let growing = Growing::default();
        let (made, upload) = std::thread::scope(|scope| {
            let _end = growing.end_with_scope();
            let ahead = scope.spawn(|| self.session.upload_ahead(&what(diff_id), &growing, watch));
            let form = self.compress(diff_id, &growing, watch);
            let made = form.and_then(|form| Ok((self.is_there(&form, watch)?, form)));
            growing.end(matches!(made, Ok((false, _))));
            (made, ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        if let (Some(upload), Err(_) | Ok((true, _))) = (&upload, &made) {
            self.session.cancel_upload(&what(diff_id), upload);
        }
        let (is_there, form) = made?;
        let upload = upload.filter(|upload| upload.offset <= form.size);
        let ends_well = |upload| {
            let content = self.store.open_blob(&form.digest)?;
            self.session.upload(&form, Some(upload), &content, watch)
        };
        if is_there {
            return Ok(form);
        }
        match upload.map(ends_well) {
            Some(Ok(())) => watch.state(LayerState::Pushed),
            // Some registry may not like what has no length: all of them take what has one.
            Some(Err(_)) | None => self.send(&form, watch)?,
        }
        Ok(form)
    }

    fn compress(&self, diff_id: &Digest, growing: &Growing, watch: &PieceWatch<'_>) -> Result<Descriptor> {
        // Each takes all processors; the next one waits while the last is sent.
        let _turn = self.compressing.lock().unwrap_or_else(PoisonError::into_inner);
        watch.check()?;
        let goes_on = || watch.check().and_then(|()| Ok(self.session.client.check_cancelled()?));
        let told = |done, total| {
            watch.state(LayerState::Compressing { done, total });
            goes_on().map_err(io::Error::other)
        };
        let form = self.store.layer_form(diff_id, self.options.compression, &told, Some(growing));
        goes_on()?;
        Ok(form?)
    }

    /// Sees to it that the repository has a blob.
    fn blob(&self, blob: &Descriptor, watch: &PieceWatch<'_>) -> Result<()> {
        if self.is_there(blob, watch)? { Ok(()) } else { self.send(blob, watch) }
    }

    fn is_there(&self, blob: &Descriptor, watch: &PieceWatch<'_>) -> Result<bool> {
        let is_there = self.session.has_blob(blob)?;
        if is_there {
            watch.state(LayerState::LayerAlreadyExists);
        }
        Ok(is_there)
    }

    /// Brings a blob that the repository does not have there.
    fn send(&self, blob: &Descriptor, watch: &PieceWatch<'_>) -> Result<()> {
        let mut upload = None;
        for repository in self.repositories(&blob.digest)? {
            match self.mount(&blob.digest, &repository)? {
                Some(Begun::Mounted) => {
                    watch.state(LayerState::MountedFrom { repository: &repository });
                    return Ok(());
                }
                Some(Begun::Upload(begun)) => upload = Some(begun),
                None => {}
            }
        }
        let content = self.store.open_blob(&blob.digest)?;
        let sent = self.session.upload(blob, upload, &content, watch);
        if let Err(Error::Status { status: 400, .. }) = sent {
            // A blob that is not what its name says is refused: then that is the news.
            self.store.verify_blob(&blob.digest)?;
        }
        sent?;
        watch.state(LayerState::Pushed);
        Ok(())
    }

    fn repositories(&self, digest: &Digest) -> Result<Vec<String>> {
        let known = match self.repositories.get() {
            Some(known) => known,
            None => {
                let known = self.store.blob_repositories(&self.name.registry)?;
                self.repositories.get_or_init(|| known)
            }
        };
        let others = known.get(digest).into_iter().flatten().filter(|name| **name != self.name.repository);
        Ok(others.take(MOST_MOUNTS).cloned().collect())
    }

    /// `None` where the registry does not want to hear of that repository.
    fn mount(&self, digest: &Digest, from: &str) -> Result<Option<Begun>> {
        let mut scopes = self.session.scopes.clone();
        scopes.extend(Session::scopes(self.session.endpoint, from, "pull"));
        match (Session { scopes, ..self.session }).begin_upload(&what(digest), Some((digest, from))) {
            Ok(begun) => Ok(Some(begun)),
            Err(Failure { error, .. }) if matches!(*error, Error::Fetch(kiln_fetch::Error::Cancelled)) => Err(*error),
            Err(_) => Ok(None),
        }
    }

    fn put_manifest(&self, reference: &str, bytes: &[u8], media_type: &str) -> Result<()> {
        let what = self.name.familiar();
        let path = format!("/manifests/{reference}");
        let headers = [("content-type", media_type)];
        let response = self.session.expect(
            &Call {
                method: Method::Put,
                headers: &headers,
                body: Body::Bytes(bytes),
                ..Call::get(Target::Repository(&path), &what)
            },
            &[200, 201, 202],
        )?;
        let stated = response.header("docker-content-digest").and_then(|digest| digest.parse().ok());
        let expected = Digest::of(bytes);
        match stated.filter(|&stated: &Digest| stated != expected) {
            Some(found) => {
                let registry = self.session.endpoint.name.clone();
                Err(Error::WrongDigest { registry, what: format!("the manifest of {what}"), expected, found })
            }
            None => Ok(()),
        }
    }
}

impl Index {
    /// As they were received, or over the manifests that images which were made here have got: those of the entries.
    fn leading_to(&self, manifests: &[(Vec<u8>, String)]) -> Vec<(Vec<u8>, String)> {
        let now = self.entries.iter().zip(manifests).map(|(entry, (bytes, _))| (entry.digest, bytes.as_slice()));
        self.tree.leading_to(&now.collect())
    }
}

impl Item {
    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let layers = self.manifest.layers.iter().enumerate().map(|(at, layer)| match self.bytes {
            Some(_) => Piece::Blob { blob: layer, shown: self.shown.get(at).copied() },
            None => Piece::Layer(layer.digest),
        });
        layers.chain(std::iter::once(Piece::Blob { blob: &self.manifest.config, shown: None }))
    }

    /// The manifest's bytes, with the forms that its layers have got.
    fn finished(self, forms: &HashMap<Digest, Descriptor>) -> Vec<u8> {
        let Self { mut manifest, bytes, .. } = self;
        bytes.unwrap_or_else(|| {
            for layer in &mut manifest.layers {
                if let Some(form) = forms.get(&layer.digest) {
                    *layer = form.clone();
                }
            }
            manifest.to_json()
        })
    }
}

impl Piece<'_> {
    fn key(&self) -> &Digest {
        match self {
            Piece::Blob { blob, .. } => &blob.digest,
            Piece::Layer(diff_id) => diff_id,
        }
    }

    fn shown(&self) -> Option<&Digest> {
        match self {
            Piece::Blob { shown, .. } => shown.as_ref(),
            Piece::Layer(diff_id) => Some(diff_id),
        }
    }
}

struct PieceWatch<'a> {
    layer: Option<&'a Digest>,
    failed: &'a Failed,
    progress: &'a dyn Progress,
}

impl Watch for PieceWatch<'_> {
    fn state(&self, state: LayerState<'_>) {
        if let Some(layer) = self.layer {
            self.progress.event(Event::Layer { layer, state });
        }
    }

    fn check(&self) -> Result<()> {
        self.failed.check()
    }
}
