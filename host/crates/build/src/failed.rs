//! A RUN that failed, as it is kept for somebody to look into: what the command saw, what it left, and how it was run.
//!
//! Layers are named by their diff ids, and the store keeps them with it. Secrets and agents are only named by their ids:
//! who looks gives them again. One step is kept for each directory, Dockerfile, target and platform, until a build of
//! these succeeds.

mod open;

use std::net::IpAddr;

use kiln_types::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::plan::{Access, Mount, MountKind};
use crate::{Agents, Request, Secrets};

pub use open::{CannotOpen, Opened, Opening};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedStep {
    /// Where the build was asked for: see [`Request::keep_failure`].
    pub directory: String,
    pub dockerfile: String,
    pub target: Option<String>,
    pub platform: Option<String>,
    /// As in `3/5`; a trigger of a base image has no number.
    pub number: Option<usize>,
    pub total: usize,
    /// The instruction as it is shown.
    pub text: String,
    /// What the command answered; none where it was stopped by a limit.
    pub code: Option<i32>,
    /// What came of the command.
    pub left: Left,
    /// What interprets commands in that stage (SHELL).
    pub shell: String,
    pub(crate) before: Vec<Digest>,
    pub(crate) how: How,
}

/// What a failed command left of its changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Left {
    /// The layer that they would have become.
    Layer(Digest),
    Nothing,
    /// And why.
    Unknown(String),
}

/// How it was run, and what it saw besides the image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct How {
    pub(crate) argv: Vec<String>,
    /// Without what is not in the key either: proxies are known to hold passwords.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) user: String,
    pub(crate) hostname: Option<String>,
    pub(crate) network: bool,
    pub(crate) hosts: Vec<(String, IpAddr)>,
    pub(crate) insecure: bool,
    /// Whatever is in the image, only WebAssembly runs.
    pub(crate) untrusted: bool,
    pub(crate) seed: Digest,
    pub(crate) clock: i64,
    pub(crate) mounts: Vec<KeptMount>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptMount {
    pub(crate) target: String,
    pub(crate) read_only: bool,
    pub(crate) kind: KeptKind,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum KeptKind {
    Files { layers: Vec<Digest>, path: Vec<u8> },
    Cache { identity: Digest, access: Access },
    Memory { size: Option<u64> },
    Secret { id: String, env: Option<String>, file: bool, access: Access },
    Agent { id: String, access: Access },
}

impl KeptMount {
    /// `made` is what a step was given for it, `cache` the one that it used.
    pub(crate) fn new(mount: &Mount, made: Option<&kiln_exec::Mount>, cache: Option<Digest>) -> Self {
        let kind = match &mount.kind {
            MountKind::Secret { id, env, file, access, .. } => {
                KeptKind::Secret { id: id.clone(), env: env.clone(), file: *file, access: *access }
            }
            MountKind::Ssh { id, access, .. } => KeptKind::Agent { id: id.clone(), access: *access },
            MountKind::Tmpfs { size, .. } => KeptKind::Memory { size: *size },
            MountKind::Cache { access, .. } => match cache {
                Some(identity) => KeptKind::Cache { identity, access: *access },
                // A stranger's step had none to keep.
                None => KeptKind::Memory { size: None },
            },
            MountKind::Bind { .. } => match made.map(|made| &made.kind) {
                Some(kiln_exec::MountKind::Files { view, path, .. }) => {
                    let layers = view.layers().iter().map(|layer| layer.diff_id).collect();
                    KeptKind::Files { layers, path: path.clone() }
                }
                _ => KeptKind::Memory { size: None },
            },
        };
        let read_only = mount.is_secret() || made.is_some_and(|made| made.read_only);
        Self { target: mount.target.clone(), read_only, kind }
    }

    fn layers(&self) -> &[Digest] {
        match &self.kind {
            KeptKind::Files { layers, .. } => layers,
            _ => &[],
        }
    }
}

impl FailedStep {
    /// As it is told: `step 3/5`.
    pub fn step(&self) -> String {
        match self.number {
            Some(number) => format!("step {number}/{}", self.total),
            None => "a trigger of the base image".to_owned(),
        }
    }

    pub fn command(&self) -> &[String] {
        &self.how.argv
    }

    /// All that it needs in the store.
    pub(crate) fn layers(&self) -> Vec<Digest> {
        let left = match &self.left {
            Left::Layer(layer) => Some(*layer),
            Left::Nothing | Left::Unknown(_) => None,
        };
        let mounted = self.how.mounts.iter().flat_map(KeptMount::layers).copied();
        let mut layers: Vec<Digest> = self.before.iter().copied().chain(left).chain(mounted).collect();
        layers.sort_unstable_by_key(Digest::hex);
        layers.dedup();
        layers
    }

    /// The secrets and ssh agents that the command had and that are not given now: what each is, and the option for it.
    pub fn not_given(&self, secrets: &Secrets, agents: &Agents) -> Vec<(String, String)> {
        let missing = |mount: &KeptMount| match &mount.kind {
            KeptKind::Secret { id, .. } if !secrets.contains_key(id) => {
                Some((format!("the secret `{id}`"), format!("--secret id={id},src=FILE")))
            }
            KeptKind::Agent { id, .. } if !agents.contains_key(id) => {
                Some((format!("the ssh agent `{id}`"), format!("--ssh {id}")))
            }
            _ => None,
        };
        self.how.mounts.iter().filter_map(missing).collect()
    }
}

/// What a failed step of that request is kept under; `None` where none is to be kept.
pub(crate) fn name(request: &Request) -> Option<Digest> {
    let directory = request.keep_failure.as_ref()?;
    let mut hasher = Hasher::new();
    hasher.field("failed step, version 1");
    hasher.field(directory);
    hasher.field(&request.dockerfile_name);
    hasher.field(request.target.as_deref().unwrap_or_default());
    hasher.field(request.platform.as_ref().map(ToString::to_string).unwrap_or_default());
    Some(hasher.finish())
}
