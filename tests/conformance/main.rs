//! What Dockerfiles mean, whichever executor runs their steps. A case is a folder with a Dockerfile whose base is the
//! argument BASE, the files it copies, and `expected.txt`: what its RUN steps write, in order.
//!
//! Under `wasi` the base is scratch, and kiln's own tools run the steps; under `namespace` it is an image that holds
//! only a static busybox. A second build of each case must find everything in the cache.

#[cfg(target_os = "linux")]
mod battery;
#[cfg(unix)]
mod determinism;
#[macro_use]
#[path = "../support/kiln.rs"]
mod kiln;
#[cfg(unix)]
mod torture;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kiln::{Kiln, skip};

under_both_executors! {
    files = "files"
    here_documents = "here-documents"
    mounts = "mounts"
    pipelines = "pipelines"
    stages = "stages"
    users = "users"
    variables = "variables"
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance")
}

fn under_wasi(case: &str) {
    agrees(case, &Kiln::new(), "scratch", "wasi");
}

fn under_namespace(case: &str) {
    let kiln = Kiln::new();
    if let Some(reason) = kiln.no_busybox_image() {
        return skip(&reason);
    }
    agrees(case, &kiln, "busybox", "namespace");
}

#[track_caller]
fn agrees(case: &str, kiln: &Kiln, base: &str, executor: &str) {
    let context = folder().join(case);
    let base = format!("BASE={base}");
    let options = ["--build-arg", &base, "--executor", executor];
    let first = kiln.build(&context, &options);
    let expected = fs::read_to_string(context.join("expected.txt")).expect("every case has one");
    assert_eq!(first.output, expected, "{case} under {executor}");
    let second = kiln.build(&context, &options);
    assert_eq!((second.output.as_str(), second.image), ("", first.image), "{case} under {executor}, the second time");
    assert_eq!(second.cached, first.done + first.cached, "{case} under {executor}: all is cached");
}

#[test]
fn no_case_is_forgotten() {
    let folders = fs::read_dir(folder()).expect("the folder of cases").map(|entry| entry.expect("an entry").path());
    let found: BTreeSet<String> = folders
        .filter(|path| path.join("Dockerfile").exists())
        .map(|path| path.file_name().expect("not the root").to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, FOLDERS.iter().map(|&name| name.to_owned()).collect());
}
