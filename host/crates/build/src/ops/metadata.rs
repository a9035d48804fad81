//! ENV, CMD, LABEL, … and ARG: nothing is executed, the configuration changes.

use std::collections::BTreeMap;

use kiln_types::{Digest, Platform};

use crate::key::Key;
use crate::state::State;

/// Keyed by the configuration itself, not by how it came about: a digest for each of its fields, so that an explanation
/// can name those that differ.
pub(crate) fn key(state: &State, platform: &Platform, comment: &str) -> Key {
    let mut key = Key::new("metadata", state.content, platform);
    let configuration = serde_json::to_value(&state.config.config).expect("it is plain data");
    let fields = configuration.as_object().into_iter().flatten();
    let mut digests: BTreeMap<&str, Digest> =
        fields.map(|(name, value)| (name.as_str(), Digest::of(value.to_string()))).collect();
    digests.insert("Author", Digest::of(&state.config.author));
    key.add("configuration", serde_json::to_string(&digests).expect("it is plain data"));
    key.add("instruction", comment);
    key
}
