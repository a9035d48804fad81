//! What to build, and with what.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use kiln_exec::{Cancel, Executor, Network, Wanted};
use kiln_registry::Registries;
use kiln_store::Store;
use kiln_types::{Platform, Reference};

use crate::{Agents, Amendments, ContextMode, ContextSource, NamedContext, Remote, Secrets};

/// One build as the user asked for it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Dockerfile's bytes and the name that errors show for it.
    pub dockerfile: Vec<u8>,
    pub dockerfile_name: String,
    /// What COPY and ADD read; `None` when there is none (Dockerfile on standard input).
    pub context: Option<ContextSource>,
    /// `--build-context`: what is used in the place of stages and images of these names; of one name the last counts.
    pub named_contexts: Vec<(String, NamedContext)>,
    /// The text of the ignore file that applies, if there is one.
    pub ignore: Option<Vec<u8>>,
    /// Whose modes the files of all contexts have.
    pub context_mode: ContextMode,
    pub tags: Vec<Reference>,
    /// A stage's name or number; the last stage without it.
    pub target: Option<String>,
    /// `--build-arg`: names and values in order.
    pub build_args: Vec<(String, String)>,
    /// The platform of stages that do not name one; without it that of this machine, or of the base image.
    pub platform: Option<Platform>,
    pub pull: PullPolicy,
    /// `--secret` and `--ssh`.
    pub secrets: Secrets,
    pub agents: Agents,
    /// `--add-host`: further names of `/etc/hosts`, for Linux programs.
    pub hosts: Vec<(String, IpAddr)>,
    /// What RUN steps without `--network`, or with `--network=default`, can reach.
    pub network: Network,
    /// `--allow security.insecure`
    pub allow_insecure: bool,
    /// Whether a step may leave a secret that it was given in its layer.
    pub allow_secret_in_layer: bool,
    pub no_cache: bool,
    /// Names of stages whose steps are done anew.
    pub no_cache_filter: Vec<String>,
    /// Whether reporters are told why steps are done, or not.
    pub explain: bool,
    /// Whether WASI steps that need not be done are done nevertheless, to compare the result.
    pub verify_cache: bool,
    /// Overrides what the Dockerfile says and the programs are.
    pub executor: Wanted,
    /// For a stranger: whatever the Dockerfile says, only WebAssembly runs.
    pub untrusted: bool,
    /// Where this build was asked for: there a RUN that fails is kept to be looked into. Without it none is.
    pub keep_failure: Option<String>,
    /// The time that `created` says, and that files in new layers do not exceed, where no build argument SOURCE_DATE_EPOCH
    /// says it: as there, seconds since 1970, `context` or the name of a context.
    pub epoch: Option<String>,
    /// Where nothing else says it, that time is 1970.
    pub reproducible: bool,
    /// What is changed of the finished image.
    pub amendments: Amendments,
}

/// When images are asked for from their registries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// Where they are not in the store.
    #[default]
    Missing,
    Always,
    Never,
}

/// What a build works with; shared by builds.
pub struct Environment {
    pub store: Store,
    pub namespace: Arc<dyn Executor>,
    pub wasi: Arc<dyn Executor>,
    pub cancel: Cancel,
    /// Where ADD gets files and repositories from.
    pub remote: Arc<Remote>,
    /// Where images come from that the store does not have; without them nothing is pulled.
    pub registries: Option<Arc<Registries>>,
    /// The present: `created` of what is made.
    pub now: fn() -> Timestamp,
}
