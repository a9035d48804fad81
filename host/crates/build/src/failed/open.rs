//! Opening a failed step: the same root filesystem, environment and mounts, for another command.

use kiln_exec::{Choice, Clock, Kept, Memory, Mount, MountKind, Network, Process, Wanted};
use kiln_image::{Change, Layer, Meta, Node, View};
use kiln_store::{CACHE_ROOT, Cache, CacheSharing, Store};
use kiln_types::Digest;

use std::sync::Arc;

use super::{FailedStep, KeptKind, KeptMount, Left};
use crate::ops::run::HOSTNAME;
use crate::plan::Access;
use crate::state::KILN_CLOCK;
use crate::{Agents, Secrets};

/// What is wanted of a failed step.
pub struct Opening<'a> {
    pub store: &'a Store,
    /// The files as they were before the command, in place of those after it.
    pub before: bool,
    /// What to run; a shell without it.
    pub command: &'a [String],
    /// Over the step's own variables.
    pub env: Vec<(String, String)>,
    pub user: Option<&'a str>,
    pub cwd: Option<&'a str>,
    pub wanted: Wanted,
    pub secrets: &'a Secrets,
    pub agents: &'a Agents,
}

/// A failed step that is ready to be run in.
pub struct Opened {
    pub view: View,
    pub mounts: Vec<Mount>,
    pub process: Process,
    pub choice: Choice,
    /// Why these are the files from before the command, where those after it were wanted.
    pub only_before: Option<String>,
    /// Caches, and of a WASI program the mounts that they are and what it sees of them.
    caches: Vec<(usize, Cache, Option<Arc<Layer>>)>,
}

#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    #[error(transparent)]
    Store(#[from] kiln_store::Error),
    #[error(transparent)]
    Image(#[from] kiln_image::Error),
    /// The command cannot be run.
    #[error(transparent)]
    Command(#[from] kiln_exec::Error),
    #[error("the secret `{0}` cannot be a variable: it is not text")]
    NotText(String),
}

impl FailedStep {
    pub fn open(&self, opening: &Opening<'_>) -> Result<Opened, CannotOpen> {
        let store = opening.store;
        let mut layers = layers(store, &self.before)?;
        let mut only_before = None;
        match &self.left {
            _ if opening.before => {}
            Left::Layer(layer) => layers.push(store.layer(layer)?),
            Left::Nothing => {}
            Left::Unknown(why) => only_before = Some(why.clone()),
        }
        let view = View::new(layers);
        let how = &self.how;
        let argv = if opening.command.is_empty() { vec![self.shell.clone()] } else { opening.command.to_vec() };
        let mut env = how.env.clone();
        for (name, value) in &opening.env {
            set(&mut env, name, value);
        }
        let cwd = opening.cwd.unwrap_or(&how.cwd).to_owned();
        let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value).to_owned();
        let wanted = if how.untrusted { Wanted::Wasi } else { opening.wanted };
        let choice = kiln_exec::choose(&view, wanted, &argv, &path, &cwd)?;
        let user = kiln_image::resolve_user(&view, opening.user.unwrap_or(&how.user))?;
        let mut opened = Opened {
            process: Process {
                argv,
                env,
                cwd,
                user,
                hostname: how.hostname.clone().unwrap_or_else(|| HOSTNAME.to_owned()),
                network: if how.network { Network::Host } else { Network::None },
                hosts: how.hosts.clone(),
                insecure: how.insecure && !choice.wasi,
                seed: how.seed,
                clock: Clock::Still(how.clock),
                guest_tools: choice.guest_tools,
            },
            view,
            mounts: Vec::new(),
            choice,
            only_before,
            caches: Vec::new(),
        };
        for mount in &how.mounts {
            opened.mount(mount, opening)?;
        }
        let home = opened.process.user.home.clone().unwrap_or_else(|| "/".to_owned());
        if !opened.process.env.iter().any(|(name, _)| name == "HOME") {
            opened.process.env.push(("HOME".to_owned(), home));
        }
        Ok(opened)
    }
}

impl Opened {
    /// Adds what the step had mounted. Secrets and agents that are not given are left out.
    fn mount(&mut self, mount: &KeptMount, opening: &Opening<'_>) -> Result<(), CannotOpen> {
        let store = opening.store;
        let kind = match &mount.kind {
            KeptKind::Files { layers: diff_ids, path } => {
                MountKind::Files { view: View::new(layers(store, diff_ids)?), path: path.clone(), keep: false }
            }
            KeptKind::Memory { size } => MountKind::Memory(Memory { size: *size, ..Memory::default() }),
            KeptKind::Cache { identity, access } => self.cache(identity, *access, store)?,
            KeptKind::Secret { id, env, file, access } => {
                let Some(secret) = opening.secrets.get(id) else { return Ok(()) };
                if let Some(name) = env {
                    let value = secret.text().ok_or_else(|| CannotOpen::NotText(id.clone()))?;
                    set(&mut self.process.env, name, &value);
                }
                if !file {
                    return Ok(());
                }
                MountKind::Bytes { bytes: secret.bytes(), mode: access.mode, uid: access.uid, gid: access.gid }
            }
            // WASI programs have no sockets.
            KeptKind::Agent { .. } if self.choice.wasi => return Ok(()),
            KeptKind::Agent { id, access } => {
                let Some(agent) = opening.agents.get(id) else { return Ok(()) };
                if !self.process.env.iter().any(|(name, _)| name == "SSH_AUTH_SOCK") {
                    self.process.env.push(("SSH_AUTH_SOCK".to_owned(), mount.target.clone()));
                }
                MountKind::Agent { agent: agent.clone(), mode: access.mode, uid: access.uid, gid: access.gid }
            }
        };
        self.mounts.push(Mount { target: mount.target.clone(), read_only: mount.read_only, kind });
        Ok(())
    }

    /// The cache itself: what is changed in it stays. One that a build has for itself is not waited for.
    fn cache(&mut self, identity: &Digest, access: Access, store: &Store) -> Result<MountKind, CannotOpen> {
        let empty = || empty_cache(store, access);
        let Some(cache) = store.try_cache(identity, CacheSharing::Shared)? else {
            return Ok(MountKind::Memory(Memory::default()));
        };
        let (kind, seen) = if self.choice.wasi {
            let seen = match store.cache_layer(&cache)? {
                Some(seen) => seen,
                None => empty()?,
            };
            let view = View::new(vec![Arc::clone(&seen)]);
            (MountKind::Files { view, path: CACHE_ROOT.to_vec(), keep: true }, Some(seen))
        } else {
            (MountKind::Directory(store.cache_directory(&cache, empty)?), None)
        };
        self.caches.push((self.mounts.len(), cache, seen));
        Ok(kind)
    }

    /// Keeps what a WASI program has changed in caches.
    pub fn write_back(&self, kept: Vec<Kept>, store: &Store) -> Result<(), kiln_store::Error> {
        for Kept { mount, changes } in kept {
            let cache = self.caches.iter().find(|(number, _, _)| *number == mount);
            if let Some((_, cache, Some(seen))) = cache {
                store.change_cache(cache, Arc::clone(seen), changes)?;
            }
        }
        Ok(())
    }
}

/// What a new cache holds that begins with nothing.
fn empty_cache(store: &Store, access: Access) -> Result<Arc<Layer>, kiln_store::Error> {
    let meta = Meta { mode: access.mode, uid: access.uid, gid: access.gid, mtime: KILN_CLOCK, ..Meta::default() };
    let root = Change { path: CACHE_ROOT.to_vec(), meta, node: Node::Directory { opaque: false } };
    store.add_layer(vec![root])
}

fn layers(store: &Store, diff_ids: &[Digest]) -> Result<Vec<Arc<Layer>>, kiln_store::Error> {
    diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect()
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    match env.iter_mut().find(|(other, _)| other == name) {
        Some((_, old)) => value.clone_into(old),
        None => env.push((name.to_owned(), value.to_owned())),
    }
}
