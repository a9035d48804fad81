//! What is remembered of a step that was done: the components of its key, and its result.

use kiln_types::Digest;
use serde::{Deserialize, Serialize};

/// One file of the store's `steps/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The key's components in order; they hash to the record's name.
    pub(crate) components: Vec<(String, String)>,
    /// The layer that the step made, unless it changed nothing.
    pub(crate) layer: Option<LayerResult>,
    /// When the step was done, in RFC 3339: `created` of its history entry.
    pub(crate) created: String,
}

impl Record {
    /// A component of the key.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.components.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A layer by what it is and by what it means.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct LayerResult {
    pub(crate) diff_id: Digest,
    /// The layer's content without times: what steps that follow are keyed by.
    pub(crate) content: Digest,
}
