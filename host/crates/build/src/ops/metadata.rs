//! ENV, CMD, LABEL, … and ARG: nothing is executed, the configuration changes.

use kiln_types::{Digest, Platform};

use crate::key::Key;
use crate::state::State;

/// Keyed by the configuration itself, not by how it came about.
pub(crate) fn key(state: &State, platform: &Platform, comment: &str) -> Key {
    let mut key = Key::new("metadata", state.content, platform);
    let configuration = serde_json::to_vec(&(&state.config.config, &state.config.author)).expect("it is plain data");
    key.add("configuration", Digest::of(configuration).to_string());
    key.add("instruction", comment);
    key
}
