//! Holds what ARCHITECTURE.md says of the workspace: who may use whom, and where `unsafe` may stand.

mod guest_tools;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each library and the libraries of ours that it may use: the floor table.
const FLOORS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("template", &[]),
    ("sys", &[]),
    ("ssh", &[]),
    ("dockerfile", &["types"]),
    ("fetch", &["types"]),
    ("image", &["types"]),
    ("exec", &["types", "sys", "ssh", "image"]),
    ("network", &["sys"]),
    ("store", &["types", "image", "sys"]),
    ("registry", &["types", "fetch", "image", "store"]),
    ("container", &["types", "sys", "image", "network", "exec", "store"]),
    ("build", &["types", "ssh", "dockerfile", "fetch", "image", "exec", "store", "registry"]),
];

/// The flow inside `build`: a module may use those before it and what all share, never those after it.
const BUILD_FLOW: &[&str] = &["plan", "key", "ops", "schedule"];

fn host() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn no_library_uses_one_of_its_own_floor_or_above() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        FLOORS.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let crates = fs::read_dir(host().join("crates")).expect("host/crates exists");
    for library in crates.map(|entry| entry.expect("a readable directory").path()) {
        let name = library.file_name().and_then(|name| name.to_str()).expect("crate names are UTF-8").to_owned();
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("`{name}` has no place in the floor table"));
        let manifest = read(&library.join("Cargo.toml"));
        let used = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("kiln-"))
            .map(|rest| rest.split(['.', ' ', '=']).next().expect("split yields at least one part"));
        for used in used {
            assert!(allowed.contains(used), "kiln-{name} may not use kiln-{used}");
        }
    }
}

#[test]
fn inside_build_nothing_looks_ahead() {
    let source = host().join("crates/build/src");
    for (at, module) in BUILD_FLOW.iter().enumerate() {
        let mut files = Vec::new();
        if source.join(module).is_dir() {
            files.extend(sources(&source.join(module)));
        }
        let file = source.join(format!("{module}.rs"));
        if file.exists() {
            files.push(file);
        }
        assert!(!files.is_empty(), "`{module}` is gone: the flow has changed");
        for file in files {
            let text = read(&file);
            for later in &BUILD_FLOW[at + 1..] {
                let path = format!("crate::{later}");
                assert!(!text.contains(&path), "{} uses {path}, which comes after `{module}`", file.display());
            }
        }
    }
}

#[test]
fn unsafe_stands_in_sys_and_at_one_place_in_exec() {
    let mut places = Vec::new();
    for file in sources(&host()) {
        let in_sys = file.starts_with(host().join("crates/sys"));
        let text = read(&file);
        let unsafe_code = text.lines().filter(|line| {
            let code = line.split("//").next().unwrap_or_default();
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|form| code.contains(form))
        });
        if !in_sys {
            places.extend(unsafe_code.map(|line| format!("{}: {}", file.display(), line.trim())));
        }
    }
    assert!(places.len() <= 1, "only loading a compiled module may be unsafe outside of sys: {places:#?}");
    assert!(places.iter().all(|place| place.contains("crates/exec/")), "{places:#?}");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for file in sources(&host()) {
        let text = read(&file);
        assert!(text.starts_with("//!"), "{} does not begin with `//!`", file.display());
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: split it", file.display());
    }
}
