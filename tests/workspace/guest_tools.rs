//! The guest tools' modules in the repository are what their sources build. Whether byte for byte, only
//! `guest-tools/build --check` can say; this compares the digests that `guest-tools/build` wrote down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kiln_types::Digest;
use serde::Deserialize;

const REMEDY: &str = "run guest-tools/build and commit guest-tools/modules";

#[derive(Deserialize)]
struct Manifest {
    modules: BTreeMap<String, Module>,
    cargo_lock_sha256: String,
    sources_sha256: String,
}

#[derive(Deserialize)]
struct Module {
    sha256: String,
    tools: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-tools")
}

fn manifest() -> Manifest {
    serde_json::from_slice(&read("modules/manifest.json")).expect("the manifest is JSON")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("guest-tools/{name}: {error}"))
}

/// Names of the files that the modules are made of: `src/**/*.rs` and `Cargo.toml` of each crate.
fn add_sources(directory: &str, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder().join(directory)).unwrap_or_else(|error| panic!("{directory}: {error}")) {
        let entry = entry.expect("a readable directory");
        let name = entry.file_name().into_string().expect("source names are UTF-8");
        let path = format!("{directory}/{name}");
        let is_source = path.contains("/src/") && name.ends_with(".rs") && !name.starts_with('.');
        if entry.path().is_dir() {
            add_sources(&path, names);
        } else if is_source || name == "Cargo.toml" {
            names.insert(path);
        }
    }
}

#[test]
fn modules_are_of_these_sources() {
    let mut names = BTreeSet::from(["Cargo.toml".to_owned(), "build".to_owned()]);
    for directory in ["sh", "tools", "kiln-guest"] {
        add_sources(directory, &mut names);
    }
    // As `sha256sum` prints it.
    let list: String = names.iter().map(|name| format!("{}  {name}\n", Digest::of(read(name)).hex())).collect();
    assert_eq!(Digest::of(list).hex(), manifest().sources_sha256, "guest-tools' sources have changed: {REMEDY}");
    let lock = Digest::of(read("Cargo.lock")).hex();
    assert_eq!(lock, manifest().cargo_lock_sha256, "guest-tools/Cargo.lock has changed: {REMEDY}");
}

#[test]
fn modules_are_those_of_the_manifest() {
    let manifest = manifest();
    let entries = fs::read_dir(folder().join("modules")).expect("a readable directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("names are UTF-8"));
    let found: BTreeSet<String> = names.filter(|name| name != "manifest.json").collect();
    assert_eq!(found, manifest.modules.keys().cloned().collect(), "{REMEDY}");
    let mut tools = BTreeSet::new();
    for (name, module) in &manifest.modules {
        assert_eq!(Digest::of(read(&format!("modules/{name}"))).hex(), module.sha256, "{name}: {REMEDY}");
        for tool in &module.tools {
            assert!(tools.insert(tool.clone()), "`{tool}` is in two modules");
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut names = BTreeSet::new();
    for directory in ["sh", "tools", "kiln-guest"] {
        add_sources(directory, &mut names);
    }
    for name in names.iter().filter(|name| name.ends_with(".rs")) {
        let text = String::from_utf8(read(name)).expect("source is UTF-8");
        assert!(text.starts_with("//!"), "guest-tools/{name} does not begin with `//!`");
        let lines = text.lines().count();
        assert!(lines <= 600, "guest-tools/{name} has {lines} lines: split it");
    }
}
