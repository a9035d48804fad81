//! Stories: what a user types, and what kiln answers. Each is a file in `stories/`, run against the real program with a
//! store and a working directory of its own. See `story.rs` for the format.
//!
//! A story whose needs this machine does not meet is skipped and says why; with `KILN_TEST_REQUIRE=1` it fails.

mod pattern;
#[path = "../support/registry.rs"]
#[allow(dead_code, reason = "the suite of registries uses more of it")]
mod registry;
mod story;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

macro_rules! stories {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                story::tell(&folder().join(concat!(stringify!($name), ".txt")));
            }
        )*
    };
}

stories! {
    build_errors
    build_options
    build_outputs
    busybox
    cache
    cache_verify
    checks
    commit
    container_diff
    container_prune
    containers
    containers_exec
    containers_logs
    containers_options
    containers_restart
    containers_seccomp
    containers_wasi
    context
    cp
    damage
    debug
    diff
    digests
    explain
    export
    fsck
    hello
    history
    images
    import
    inspect
    inspect_container
    limits
    listing
    metadata
    multi_stage
    one_id
    platforms
    prune
    ps
    read_only
    pull_build
    pull_login
    pull_push
    quiet
    rmi
    rmi_digests
    rmi_running
    run_mounts
    run_mounts_native
    save_load
    search
    seed_000
    seed_003
    seed_004
    signals
    store_limit
    system_df
    top_port
    tree
    usage
    volume
    wasi
    wasi_signals
    wasm_images
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/stories")
}

#[test]
fn no_story_is_forgotten() {
    let files = std::fs::read_dir(folder()).expect("the folder of stories").map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.to_str().and_then(|name| name.strip_suffix(".txt")).expect("a .txt file").to_owned()
    });
    let listed: BTreeSet<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), listed);
}
