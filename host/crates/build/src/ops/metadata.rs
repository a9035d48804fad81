//! ENV, CMD, LABEL, … and ARG: nothing is executed, the configuration changes.

use std::collections::BTreeMap;

use kiln_image::Config;
use kiln_types::{Digest, Platform};
use serde::Serialize;

use crate::key::Key;
use crate::state::State;

/// Keyed by the configuration itself, not by how it came about: a digest for each of its fields, so that an explanation
/// can name those that differ.
pub(crate) fn key(state: &State, platform: &Platform, comment: &str) -> Key {
    let mut key = Key::new("metadata", state.content, platform);
    let mut digests = fields(&state.config.config);
    digests.insert("Author", Digest::of(&state.config.author));
    key.add("configuration", json(&digests));
    key.add("instruction", comment);
    key
}

/// Those that are not empty, by their names in image configurations.
fn fields(config: &Config) -> BTreeMap<&str, Digest> {
    let Config {
        user,
        exposed_ports,
        env,
        entrypoint,
        cmd,
        healthcheck,
        args_escaped,
        volumes,
        working_dir,
        on_build,
        labels,
        stop_signal,
        shell,
        unknown,
    } = config;
    let known = [
        ("ArgsEscaped", args_escaped.then(|| json(args_escaped))),
        ("Cmd", cmd.as_ref().map(json)),
        ("Entrypoint", entrypoint.as_ref().map(json)),
        ("Env", env.as_ref().map(json)),
        ("ExposedPorts", (!exposed_ports.is_empty()).then(|| json(exposed_ports))),
        ("Healthcheck", healthcheck.as_ref().map(json)),
        ("Labels", (!labels.is_empty()).then(|| json(labels))),
        ("OnBuild", on_build.as_ref().map(json)),
        ("Shell", shell.as_ref().map(json)),
        ("StopSignal", stop_signal.as_ref().map(json)),
        ("User", (!user.is_empty()).then(|| json(user))),
        ("Volumes", (!volumes.is_empty()).then(|| json(volumes))),
        ("WorkingDir", (!working_dir.is_empty()).then(|| json(working_dir))),
    ];
    let unknown = unknown.iter().map(|(name, value)| (name.as_str(), Some(json(value))));
    known.into_iter().chain(unknown).filter_map(|(name, text)| Some((name, Digest::of(text?)))).collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it is plain data")
}
