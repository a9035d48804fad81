//! What is told while images come and go.

use std::time::Duration;

use kiln_types::{Digest, Platform};

use crate::Error;

/// Told from several threads at once.
pub trait Progress: Send + Sync {
    fn event(&self, event: Event<'_>);
}

/// Nobody listens.
impl Progress for () {
    fn event(&self, _: Event<'_>) {}
}

#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The manifest comes from there: a registry's name or a mirror's URL.
    From { endpoint: &'a str },
    /// A mirror was of no use, and the next one or the registry itself is asked.
    PassedOver { endpoint: &'a str, error: &'a Error },
    /// An image of an index: what follows is about its layers.
    Image { digest: &'a Digest, platform: Option<&'a Platform> },
    /// Of each layer `Waiting` or `Preparing` is told first, in their order, before anything else of any of them.
    Layer { layer: &'a Digest, state: LayerState<'a> },
}

/// How far a layer is. When pulled it is known by the digest of its blob, when pushed by its diff id.
#[derive(Debug, Clone, Copy)]
pub enum LayerState<'a> {
    Waiting,
    AlreadyExists,
    /// `done` falls back where a server cannot go on after an interruption.
    Downloading {
        done: u64,
        total: u64,
    },
    /// All of it is here, and is looked at: told of large ones.
    Verifying {
        done: u64,
        total: u64,
    },
    PullComplete,
    /// An attempt failed, the next one follows.
    Retrying {
        after: Duration,
        error: &'a Error,
    },

    Preparing,
    Compressing {
        done: u64,
        total: u64,
    },
    Pushing {
        done: u64,
        total: u64,
    },
    MountedFrom {
        repository: &'a str,
    },
    LayerAlreadyExists,
    Pushed,
}
