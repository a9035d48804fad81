//! The mounts of a RUN: what they show, for the key; and then the things themselves.
//!
//! Files of the build context become a layer that no image has, those of stages and images are shown as they are. Secrets
//! are nowhere but in memory.

use std::sync::Arc;

use kiln_dockerfile::Span;
use kiln_exec::Kept;
use kiln_image::{Change, Layer, Meta, Node, View};
use kiln_store::{CACHE_ROOT, Cache, CacheSharing};
use kiln_types::{Digest, Hasher, paths};

use super::Build;
use super::steps::WAIT;
use crate::failed::KeptMount;
use crate::ops::copy;
use crate::plan::{Access, Copy, CopyFrom, Mount, MountKind, Run, Shown};
use crate::state::{KILN_CLOCK, State};
use crate::{Context, Error, Event, Located, guard};

/// A mount with what it shows found.
pub(super) struct Found<'a> {
    mount: &'a Mount,
    files: Option<Files<'a>>,
}

/// Files that a mount shows or begins with.
struct Files<'a> {
    source: Source<'a>,
    prepared: copy::Prepared,
    /// Mode and owner of what is shown as it is, which no COPY takes of a directory.
    looks: String,
}

/// Where they come from.
struct Source<'a> {
    copy: &'a Copy,
    span: Span,
    named: Option<Arc<Context>>,
    from: Option<View>,
    nothing: View,
}

/// What a process gets.
#[derive(Default)]
pub(super) struct Mounted {
    pub(super) mounts: Vec<kiln_exec::Mount>,
    pub(super) env: Vec<(String, String)>,
    /// What would be kept of the mounts if the step fails.
    pub(super) kept: Vec<KeptMount>,
    spans: Vec<Span>,
    /// Of a WASI step: the number of the mount, its cache, and what the step saw of that.
    written_back: Vec<(usize, Digest, Arc<Layer>)>,
    caches: Vec<(Digest, Cache)>,
}

impl Found<'_> {
    /// All that a result may depend on. What caches and secrets hold is no part of it.
    pub(super) fn key(&self) -> String {
        let Mount { target, kind, .. } = self.mount;
        let digest =
            self.files.as_ref().map_or(String::new(), |files| format!(" {}{}", files.prepared.digest(), files.looks));
        match kind {
            MountKind::Bind { writable, .. } => format!("bind {target:?} writable={writable}{digest}"),
            MountKind::Cache { id, sharing, read_only, access, .. } => {
                format!("cache {target:?} id={id:?} {sharing:?} read_only={read_only} {access:?}{digest}")
            }
            MountKind::Tmpfs { size, read_only } => format!("tmpfs {target:?} {size:?} read_only={read_only}"),
            MountKind::Secret { id, env, file, access, .. } => {
                format!("secret {target:?} id={id:?} env={env:?} file={file} {access:?}")
            }
            MountKind::Ssh { id, access, .. } => format!("ssh {target:?} id={id:?} {access:?}"),
        }
    }

    /// Whether all that it shows is in the key.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.mount.kind, MountKind::Bind { .. } | MountKind::Tmpfs { .. })
    }

    /// Which cache it is: one of the same id that is made otherwise is another one.
    fn identity(&self) -> Option<(Digest, CacheSharing)> {
        let MountKind::Cache { id, sharing, access, .. } = &self.mount.kind else { return None };
        let mut hasher = Hasher::new();
        hasher.field("cache, version 1");
        hasher.field(id);
        hasher.field(format!("{access:?}"));
        hasher.field(self.files.as_ref().map_or(String::new(), |files| files.prepared.digest().to_string()));
        Some((hasher.finish(), *sharing))
    }
}

impl Source<'_> {
    fn inputs<'a>(&'a self, build: &'a Build<'_>) -> copy::Inputs<'a> {
        copy::Inputs {
            copy: self.copy,
            image: &self.nothing,
            from: self.from.clone(),
            context: self.named.as_deref().or(build.context.as_ref()),
            remotes: &[],
            hashes: build.environment.store.context_hashes(),
            write_ahead: None,
            former: None,
            no_cache: false,
            span: self.span,
            nothing: self.nothing.clone(),
        }
    }
}

impl Build<'_> {
    /// Finds the files of all mounts, beginning with those that another stage makes.
    pub(super) fn find_mounts<'a>(&self, shown: &Shown, run: &'a Run) -> Result<Vec<Found<'a>>, Error> {
        let found = |mount: &'a Mount| {
            // Triggers of base images stand in no file of ours.
            let span = if shown.number.is_some() { mount.span } else { shown.span };
            let files = mount.files().map(|copy| self.find_files(copy, span)).transpose()?;
            Ok(Found { mount, files })
        };
        run.mounts.iter().map(found).collect()
    }

    fn find_files<'a>(&self, copy: &'a Copy, span: Span) -> Result<Files<'a>, Error> {
        let store = &self.environment.store;
        let (named, from) = match &copy.from {
            CopyFrom::Context => (None, None),
            CopyFrom::Files(index) => (Some(self.named_context(*index)?), None),
            CopyFrom::Stage(index) => (None, Some(self.results.wait(*index).ok_or(Error::Cancelled)?.view(store)?)),
            CopyFrom::Image(from) => (None, Some(State::of_image(&from.image, store)?.view(store)?)),
        };
        let source = Source { copy, span, named, from, nothing: View::new(Vec::new()) };
        let prepared = copy::prepare(&source.inputs(self))?;
        let shown = match (&source.from, prepared.source()) {
            (Some(view), Some(path)) => view.lookup(path).map_err(kiln_store::Error::from)?,
            _ => None,
        };
        let looks = shown.map_or(String::new(), |shown| {
            let Meta { mode, uid, gid, .. } = shown.meta;
            format!(" {mode:o} {uid}:{gid}")
        });
        Ok(Files { source, prepared, looks })
    }

    /// Makes what is to be mounted, and waits for caches that are in use.
    pub(super) fn make_mounts(
        &self,
        shown: &Shown,
        run: &Run,
        found: Vec<Found<'_>>,
        wasi: bool,
    ) -> Result<Mounted, Error> {
        let mut made = Mounted::default();
        if !self.request.untrusted {
            made.caches = self.take_caches(shown, &found)?;
        }
        for found in found {
            let identity = found.identity().map(|(identity, _)| identity);
            let cache = identity.filter(|identity| made.caches.iter().any(|(held, _)| held == identity));
            if matches!(found.mount.kind, MountKind::Secret { .. } | MountKind::Ssh { .. }) {
                made.kept.push(KeptMount::new(found.mount, None, None));
            }
            let Found { mount, files } = found;
            let span = if shown.number.is_some() { mount.span } else { shown.span };
            let (read_only, kind) = match &mount.kind {
                MountKind::Bind { writable, .. } => {
                    let files = files.expect("a bind mount has files");
                    (!writable, self.bound(files)?)
                }
                MountKind::Cache { read_only, access, .. } => {
                    let identity = identity.expect("a cache has one");
                    (*read_only, self.cached(&mut made, identity, *access, files, wasi)?)
                }
                MountKind::Tmpfs { size, read_only } => {
                    let memory = kiln_exec::Memory { size: *size, ..kiln_exec::Memory::default() };
                    (*read_only, kiln_exec::MountKind::Memory(memory))
                }
                MountKind::Secret { id, env, file, required, access } => {
                    let Some(secret) = self.request.secrets.get(id) else {
                        if *required {
                            return Err(missing_secret(id, span).into());
                        }
                        continue;
                    };
                    if let Some(name) = env {
                        let value = secret.text().ok_or_else(|| {
                            let message = format!("the secret `{id}` cannot be a variable: it is not text");
                            Located::new("bad-secret", span, message).hint("mount it as a file: leave `env` out")
                        })?;
                        made.env.push((name.clone(), value));
                    }
                    if !file {
                        continue;
                    }
                    let &Access { mode, uid, gid } = access;
                    (true, kiln_exec::MountKind::Bytes { bytes: secret.bytes(), mode, uid, gid })
                }
                MountKind::Ssh { id, required, access } => {
                    let Some(agent) = self.request.agents.get(id) else {
                        if *required {
                            let message = format!("no ssh agent is forwarded under the id `{id}`");
                            return Err(Located::new("ssh-missing", span, message).hint(ssh_hint(id)).into());
                        }
                        continue;
                    };
                    let declared = run.env.iter().chain(&made.env).any(|(name, _)| name == "SSH_AUTH_SOCK");
                    if !declared {
                        made.env.push(("SSH_AUTH_SOCK".to_owned(), mount.target.clone()));
                    }
                    let &Access { mode, uid, gid } = access;
                    (false, kiln_exec::MountKind::Agent { agent: agent.clone(), mode, uid, gid })
                }
            };
            let exec = kiln_exec::Mount { target: mount.target.clone(), read_only, kind };
            if !matches!(mount.kind, MountKind::Secret { .. } | MountKind::Ssh { .. }) {
                made.kept.push(KeptMount::new(mount, Some(&exec), cache));
            }
            made.mounts.push(exec);
            made.spans.push(span);
        }
        Ok(made)
    }

    /// Refuses a layer that holds a secret which the step was given.
    pub(super) fn check_secrets(&self, shown: &Shown, run: &Run, changes: &[Change]) -> Result<(), Error> {
        if self.request.allow_secret_in_layer {
            return Ok(());
        }
        let mounted = run.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Secret { id, .. } => Some((id.as_str(), self.request.secrets.get(id)?)),
            _ => None,
        });
        let mounted: Vec<_> = mounted.collect();
        let leak = guard::find(changes, &mounted, &self.environment.cancel).map_err(|error| {
            let message = "cannot look for secrets in the files of this step";
            Located::new("layer-not-made", shown.span, message).source(error)
        })?;
        let Some(leak) = leak else { return Ok(()) };
        // The name may be what leaks.
        let path = self.redactor.as_ref().map_or(leak.path.clone(), |redactor| redactor.redact(&leak.path));
        let path = paths::display(&path);
        let message =
            format!("this step leaves the secret `{}` in {path}, where all who have the image can read it", leak.id);
        Err(Located::new("secret-in-layer", shown.span, message)
            .hint("remove it in the same RUN, or if it may be there: --allow-secret-in-layer")
            .into())
    }

    /// Keeps what a WASI step has changed in caches.
    pub(super) fn write_back(&self, mounted: &Mounted, kept: Vec<Kept>) -> Result<(), Error> {
        for Kept { mount, changes } in kept {
            let written = mounted.written_back.iter().find(|(number, _, _)| *number == mount);
            let Some((_, identity, seen)) = written else { continue };
            let Some((_, cache)) = mounted.caches.iter().find(|(held, _)| held == identity) else { continue };
            self.environment.store.change_cache(cache, Arc::clone(seen), changes)?;
        }
        Ok(())
    }

    fn bound(&self, files: Files<'_>) -> Result<kiln_exec::MountKind, Error> {
        let (view, path) = match (&files.source.from, files.prepared.source()) {
            // What is in the store already need not be put there again.
            (Some(view), Some(path)) => (view.clone(), path.to_vec()),
            _ => (View::new(vec![self.layer_of(files)?]), CACHE_ROOT.to_vec()),
        };
        Ok(kiln_exec::MountKind::Files { view, path, keep: false })
    }

    /// A layer that no image has, remembered by its content.
    fn layer_of(&self, files: Files<'_>) -> Result<Arc<Layer>, Error> {
        let store = &self.environment.store;
        let mut hasher = Hasher::new();
        hasher.field("mounted files, version 1");
        hasher.field(files.prepared.digest().as_bytes());
        let name = hasher.finish();
        if let Some(diff_id) = store.record::<Digest>(&name)?
            && store.has_blob(&diff_id)
        {
            return Ok(store.layer(&diff_id)?);
        }
        let layer = store.add_layer(self.changes_of(files)?)?;
        store.put_record(&name, &[layer.diff_id], &layer.diff_id)?;
        Ok(layer)
    }

    fn changes_of(&self, files: Files<'_>) -> Result<Vec<Change>, Error> {
        let scratch = self.environment.store.scratch()?;
        let Files { source, prepared, .. } = files;
        Ok(prepared.changes(&source.inputs(self), scratch.path())?)
    }

    fn cached(
        &self,
        made: &mut Mounted,
        identity: Digest,
        access: Access,
        files: Option<Files<'_>>,
        wasi: bool,
    ) -> Result<kiln_exec::MountKind, Error> {
        let store = &self.environment.store;
        let held = made.caches.iter().find(|(held, _)| *held == identity).map(|(_, cache)| cache);
        let path = CACHE_ROOT.to_vec();
        let Some(cache) = held else {
            // A stranger neither sees nor leaves anything.
            let view = View::new(vec![self.beginning(access, files)?]);
            return Ok(kiln_exec::MountKind::Files { view, path, keep: false });
        };
        if !wasi {
            let directory = store.cache_directory(cache, || self.beginning(access, files))?;
            return Ok(kiln_exec::MountKind::Directory(directory));
        }
        let seen = match store.cache_layer(cache)? {
            Some(seen) => seen,
            None => self.beginning(access, files)?,
        };
        made.written_back.push((made.mounts.len(), identity, Arc::clone(&seen)));
        Ok(kiln_exec::MountKind::Files { view: View::new(vec![seen]), path, keep: true })
    }

    /// What a new cache holds.
    fn beginning(&self, access: Access, files: Option<Files<'_>>) -> Result<Arc<Layer>, Error> {
        let mut changes = Vec::new();
        if let Some(files) = files {
            let span = files.source.span;
            changes = self.changes_of(files)?;
            if changes.first().is_none_or(|first| !first.node.is_directory()) {
                let message = "a cache begins with the contents of a directory, and its source is a file";
                return Err(Located::new("bad-mount", span, message).hint("name a directory with source=").into());
            }
            changes.retain(|change| change.path != CACHE_ROOT);
        }
        let meta = Meta { mode: access.mode, uid: access.uid, gid: access.gid, mtime: KILN_CLOCK, ..Meta::default() };
        let node = Node::Directory { opaque: false };
        changes.insert(0, Change { path: CACHE_ROOT.to_vec(), meta, node });
        Ok(self.environment.store.add_layer(changes)?)
    }

    /// Takes all caches of a step, each once and in one order for all steps, so that no two wait for each other.
    fn take_caches(&self, shown: &Shown, found: &[Found<'_>]) -> Result<Vec<(Digest, Cache)>, Error> {
        let mut wanted: Vec<(Digest, CacheSharing)> = found.iter().filter_map(Found::identity).collect();
        let rank = |sharing| match sharing {
            CacheSharing::Locked => 0,
            CacheSharing::Private => 1,
            CacheSharing::Shared => 2,
        };
        wanted.sort_by_key(|&(identity, sharing)| (identity.hex(), rank(sharing)));
        wanted.dedup_by_key(|(identity, _)| *identity);
        let mut taken = Vec::with_capacity(wanted.len());
        for (identity, sharing) in wanted {
            let mut told = false;
            let cache = loop {
                if let Some(cache) = self.environment.store.try_cache(&identity, sharing)? {
                    break cache;
                }
                if !std::mem::replace(&mut told, true) {
                    let text = "another step uses a cache of this one at the moment: waiting for it";
                    self.reporter.event(Event::Note { step: shown.id, text });
                }
                if self.environment.cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                std::thread::sleep(WAIT);
            };
            taken.push((identity, cache));
        }
        Ok(taken)
    }
}

impl Mounted {
    /// An error of the executor about a mount, at its place in the Dockerfile.
    pub(super) fn located(&self, error: &kiln_exec::Error) -> Option<Located> {
        let kiln_exec::Error::Mount { number, .. } = error else { return None };
        let span = self.spans.get(*number)?;
        Some(
            Located::new("not-mounted", *span, error.to_string())
                .hint("choose another target, or change the image above"),
        )
    }
}

fn missing_secret(id: &str, span: Span) -> Located {
    let hint = format!("give it to the build: --secret id={id},src=FILE or --secret id={id},env=VARIABLE");
    Located::new("secret-missing", span, format!("the secret `{id}` is required and was not given")).hint(hint)
}

fn ssh_hint(id: &str) -> String {
    match id {
        "default" => {
            "start an agent (ssh-agent, ssh-add) and build with --ssh default, or give a key: --ssh default=FILE"
                .to_owned()
        }
        id => format!("build with --ssh {id}=SOCKET, the socket of an ssh agent, or --ssh {id}=FILE, a private key"),
    }
}
