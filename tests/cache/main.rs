//! Edit stories: what is built again after a change, and what is not. A story is a folder: its files are the build
//! context, and `story.txt` lists edits and builds; see `story.rs` for the format.
//!
//! Every story is played under both executors, and both must find the same in the cache. Under `wasi` the base (the
//! argument BASE of every Dockerfile) is scratch, and kiln's own shell runs the steps; under `namespace` it is an image
//! that holds only a static busybox.
#![cfg(unix)]

#[macro_use]
#[path = "../support/kiln.rs"]
#[allow(dead_code, reason = "the conformance cases use more of it")]
mod kiln;
mod story;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kiln::{Kiln, skip};
use story::Story;

under_both_executors! {
    added_file = "added-file"
    another_context = "another-context"
    another_owner = "another-owner"
    archive = "archive"
    argument_before_from = "argument-before-from"
    argument_expanded = "argument-expanded"
    argument_moved = "argument-moved"
    argument_unused = "argument-unused"
    argument_used = "argument-used"
    at_once = "at-once"
    base_moved = "base-moved"
    chmod_flag = "chmod-flag"
    chown_flag = "chown-flag"
    comments_and_space = "comments-and-space"
    copied_file = "copied-file"
    copy_from = "copy-from"
    early_cut_off = "early-cut-off"
    environment_order = "environment-order"
    epoch = "epoch"
    executor = "executor"
    failed_step = "failed-step"
    file_mode = "file-mode"
    file_not_copied = "file-not-copied"
    here_documents = "here-documents"
    ignore_file = "ignore-file"
    ignored_file = "ignored-file"
    instructions_added_and_removed = "instructions-added-and-removed"
    instructions_swapped = "instructions-swapped"
    links = "links"
    lost_layer = "lost-layer"
    metadata = "metadata"
    mount_sources = "mount-sources"
    network = "network"
    no_cache = "no-cache"
    other_target = "other-target"
    removed_image = "removed-image"
    renamed_file = "renamed-file"
    same_result_in_one_stage = "same-result-in-one-stage"
    same_steps_in_two_stages = "same-steps-in-two-stages"
    secret_like_argument = "secret-like-argument"
    shell = "shell"
    stage_renamed = "stage-renamed"
    stage_that_does_not_reach = "stage-that-does-not-reach"
    stages_reordered = "stages-reordered"
    touched_file = "touched-file"
    triggers = "triggers"
    umask = "umask"
    user = "user"
    working_directory = "working-directory"
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cache")
}

fn under_wasi(name: &str) {
    let kiln = Kiln::new();
    // A folder that is not empty would not become a store.
    assert!(kiln.command().arg("images").output().expect("kiln starts").status.success());
    copy_modules(&warm_store().join("modules"), &store(&kiln).join("modules"));
    play(name, &kiln, "scratch", "wasi");
}

fn under_namespace(name: &str) {
    let kiln = Kiln::new();
    match kiln.no_busybox_image() {
        Some(reason) => skip(&reason),
        None => play(name, &kiln, "busybox", "namespace"),
    }
}

#[track_caller]
fn play(name: &str, kiln: &Kiln, base: &str, executor: &str) {
    let folder = folder().join(name);
    let text = fs::read_to_string(folder.join("story.txt")).expect("every story has one");
    let story = Story::parse(&text);
    if let Some(need) = story.needs.iter().find(|need| !story::is_met(need)) {
        return skip(&format!("{name} needs {need}"));
    }
    story.play(&folder, kiln, base, executor);
}

fn store(kiln: &Kiln) -> PathBuf {
    let command = kiln.command();
    let root = command.get_envs().find(|(name, _)| *name == "KILN_ROOT").and_then(|(_, value)| value);
    PathBuf::from(root.expect("every command has it"))
}

/// A store whose only use is that kiln's own shell and tools are compiled in it.
fn warm_store() -> PathBuf {
    static WARM: OnceLock<Kiln> = OnceLock::new();
    let warm = WARM.get_or_init(|| {
        let context = tempfile::tempdir().expect("a temporary directory");
        let run = "cat /dev/null | sort | wc -l; cp /dev/null /a; mkdir /b; ls /; chmod 600 /a";
        fs::write(context.path().join("Dockerfile"), format!("FROM scratch\nRUN {run}\n")).expect("ours");
        let kiln = Kiln::new();
        kiln.build(context.path(), &[]);
        kiln
    });
    store(warm)
}

fn copy_modules(from: &Path, to: &Path) {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(to).expect("a new store");
    for entry in fs::read_dir(from).expect("a store has them") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
    }
}

#[test]
fn no_story_is_forgotten() {
    let folders = fs::read_dir(folder()).expect("the folder of stories").map(|entry| entry.expect("an entry").path());
    let found: BTreeSet<String> = folders
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("not the root").to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, FOLDERS.iter().map(|&name| name.to_owned()).collect());
}
