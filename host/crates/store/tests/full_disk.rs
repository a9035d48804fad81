//! A full disk: an error that says so with the remedy, nothing half-written, and a store that goes on once there is space.
//!
//! Needs a small filesystem: the test runs itself in a mount namespace of its own with a tmpfs of 3 MB.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

use kiln_image::{Change, Content, Meta, Node};
use kiln_store::{Error, Store};

const ROOT: &str = "KILN_STORE_FULL_DISK_TEST_ROOT";

#[test]
#[expect(clippy::print_stderr, reason = "says why it was skipped")]
fn a_full_disk_is_named_and_leaves_nothing_half_written() {
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=3m none \"$1\" || exit 42; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(directory.path());
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "on_a_small_disk", "--include-ignored"]);
    let output = command.env(ROOT, directory.path()).output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        }
        other => {
            assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "no user and mount namespaces: {other:?}");
            eprintln!("skipped: this host gives no user and mount namespaces");
        }
    }
}

fn layer(size: usize) -> Vec<Change> {
    let meta = Meta { mode: 0o644, ..Meta::default() };
    let noise: Vec<u8> = (0..size).map(|at| ((at * at) >> 7) as u8).collect();
    vec![Change { path: b"file".to_vec(), meta, node: Node::File(Content::bytes(noise)) }]
}

/// Not a test of its own: runs where the disk is small.
#[test]
#[ignore = "run by the other test"]
fn on_a_small_disk() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = Path::new(&root);
    let store = Store::open(&root.join("store")).unwrap();
    let expected = format!(
        "no space left for the store {}; free some space on its disk, or use another folder with --root",
        store.root().display()
    );
    let assert_full = |error: Error| {
        assert!(matches!(error, Error::Full { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    };
    assert_full(store.intake().add(&mut &vec![7; 4 << 20][..], 4 << 20, None).unwrap_err());
    assert_full(store.add_layer(layer(4 << 20)).unwrap_err());
    assert_full(store.put_blob(&vec![7; 4 << 20]).unwrap_err());
    let tar = {
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Store::open(&elsewhere.path().join("store")).unwrap();
        let layer = other.add_layer(layer(4 << 20)).unwrap();
        other.read_blob(&layer.diff_id, 1 << 30).unwrap()
    };
    assert_full(store.add_tar(&tar[..]).err().unwrap());
    assert_eq!(std::fs::read_dir(store.root().join("blobs/sha256")).unwrap().count(), 0);
    store.add_layer(layer(1 << 20)).unwrap();
    store.sync().unwrap();
}
