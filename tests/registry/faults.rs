//! What happens to transfers: connections that break, servers that go, programs that are killed.

use std::thread;
use std::time::Duration;

use crate::layout::Layout;
use crate::plain;
use crate::registry::Registry;
use crate::user::{User, both, digest, noise};
use crate::wire::{Direction, Wire};

const MIB: u64 = 1 << 20;

/// An image with one layer of 8 MiB in the registry; its digest.
fn publish(registry: &Registry) -> String {
    let (user, layout) = (User::new(), Layout::new());
    let image = layout.image("linux/amd64", &[&noise(1, 8 << 20)]);
    let digest = layout.push(&user, &image, &format!("{}/app:1", registry.host()));
    registry.forget();
    digest
}

fn sent(registry: &Registry) -> u64 {
    registry.requests().iter().map(|request| request.written).sum()
}

#[test]
fn a_pull_goes_on_where_the_connection_was_cut() {
    let Some(registry) = plain() else { return };
    let expected = publish(&registry);
    let wire = Wire::to(registry.port());
    wire.cut(Direction::Answer, 3 * MIB);
    wire.cut(Direction::Answer, 2 * MIB);
    let (user, name) = (User::new(), format!("{}/app:1", wire.host()));
    let pulled = user.kiln(&["pull", &name]);
    assert_eq!((digest(&pulled), wire.faults_left()), (expected, 0), "{pulled}");
    user.check_content(&name);
    let parts = registry.requests().iter().filter(|request| request.status == 206).count();
    assert_eq!(parts, 2, "{:?}", registry.requests());
    // What the wire had swallowed is all that came twice.
    assert!(wire.carried(Direction::Answer) < 9 * MIB, "{}", wire.carried(Direction::Answer));
}

#[test]
fn a_pull_survives_a_restart_of_the_registry() {
    let Some(mut registry) = plain() else { return };
    let expected = publish(&registry);
    let wire = Wire::to(registry.port());
    wire.slow_down(4 * MIB);
    let (user, name) = (User::new(), format!("{}/app:1", wire.host()));
    let child = user.start(&["pull", &name]);
    wire.wait_for(Direction::Answer, 2 * MIB);
    registry.stop();
    thread::sleep(Duration::from_millis(400));
    wire.slow_down(0);
    registry.start_again();
    let output = child.wait_with_output().expect("kiln ends");
    assert!(output.status.success(), "{}", both(&output));
    assert_eq!(digest(&both(&output)), expected);
    user.check_content(&name);
}

#[test]
fn a_push_survives_a_cut_connection() {
    let Some(registry) = plain() else { return };
    let wire = Wire::to(registry.port());
    wire.cut(Direction::Request, 3 * MIB);
    let (author, name) = (User::new(), format!("{}/app:1", wire.host()));
    author.image(&name, &[&noise(1, 8 << 20)]);
    let pushed = author.kiln(&["push", &name]);
    assert_eq!(wire.faults_left(), 0);
    let reader = User::new();
    let pulled = reader.kiln(&["pull", &name]);
    assert_eq!(digest(&pulled), digest(&pushed));
    assert_eq!(reader.id(&name), author.id(&name));
}

#[test]
fn a_push_survives_a_restart_of_the_registry() {
    let Some(mut registry) = plain() else { return };
    let wire = Wire::to(registry.port());
    wire.slow_down(4 * MIB);
    let (author, name) = (User::new(), format!("{}/app:1", wire.host()));
    author.image(&name, &[&noise(1, 8 << 20)]);
    let child = author.start(&["push", &name]);
    wire.wait_for(Direction::Request, 2 * MIB);
    registry.stop();
    thread::sleep(Duration::from_millis(400));
    wire.slow_down(0);
    registry.start_again();
    let output = child.wait_with_output().expect("kiln ends");
    assert!(output.status.success(), "{}", both(&output));
    let reader = User::new();
    assert_eq!(digest(&reader.kiln(&["pull", &name])), digest(&both(&output)));
}

/// SIGINT ends it, however little comes.
#[test]
fn a_stalled_pull_can_be_interrupted() {
    let Some(registry) = plain() else { return };
    publish(&registry);
    let wire = Wire::to(registry.port());
    wire.stall(Direction::Answer, 2 * MIB);
    let (user, name) = (User::new(), format!("{}/app:1", wire.host()));
    let child = user.start(&["pull", &name]);
    wire.wait_for(Direction::Answer, 2 * MIB);
    let start = std::time::Instant::now();
    rustix::process::kill_process(pid(&child), rustix::process::Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("kiln ends");
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(output.status.code(), Some(130), "{}", both(&output));
    assert!(!user.has(&name));
    user.kiln(&["pull", &name]);
    user.check_content(&name);
}

#[test]
fn after_a_killed_pull_the_next_goes_on() {
    let Some(registry) = plain() else { return };
    publish(&registry);
    let wire = Wire::to(registry.port());
    wire.slow_down(8 * MIB);
    let (user, name) = (User::new(), format!("{}/app:1", wire.host()));
    let mut child = user.start(&["pull", &name]);
    wire.wait_for(Direction::Answer, 4 * MIB);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    wire.slow_down(0);
    assert!(!user.has(&name));
    assert_eq!(user.kiln(&["images", "-a", "-q"]), "");
    user.image("own", &[b"the store works"]);
    registry.forget();
    user.kiln(&["pull", &name]);
    user.check_content(&name);
    assert!(sent(&registry) < 6 * MIB, "only the rest is fetched: {:?}", registry.requests());
}

/// Both succeed, and the store has the image once. Neither waits for the other to begin.
#[test]
fn two_pulls_at_once() {
    let Some(registry) = plain() else { return };
    let expected = publish(&registry);
    let wire = Wire::to(registry.port());
    wire.slow_down(8 * MIB);
    let (user, name) = (User::new(), format!("{}/app:1", wire.host()));
    let children = [user.start(&["pull", &name]), user.start(&["pull", &name])];
    for child in children {
        let output = child.wait_with_output().expect("kiln ends");
        assert!(output.status.success(), "{}", both(&output));
        assert_eq!(digest(&both(&output)), expected);
    }
    user.check_content(&name);
    assert_eq!(user.kiln(&["images", "-q"]).lines().count(), 1);
    assert!(sent(&registry) < 9 * MIB, "it is fetched once: {:?}", registry.requests());
}

#[test]
fn nobody_answers() {
    let Some(mut registry) = plain() else { return };
    let (user, name) = (User::new(), format!("{}/app:1", registry.host()));
    user.image(&name, &[b"one"]);
    registry.stop();
    for command in ["push", "pull"] {
        let reason = user.fails(&[command, &name]);
        assert!(reason.contains("cannot reach 127.0.0.1"), "{reason}");
        assert!(reason.lines().count() < 8, "{reason}");
    }
}

#[test]
fn what_is_not_there_is_said() {
    let Some(registry) = plain() else { return };
    publish(&registry);
    let user = User::new();
    for name in ["nothing:1", "app:2"] {
        let name = format!("{}/{name}", registry.host());
        let reason = user.fails(&["pull", &name]);
        assert!(reason.contains(&name) && reason.contains("not found"), "{reason}");
    }
    let name = format!("{}/app@sha256:{}", registry.host(), "0".repeat(64));
    assert!(user.fails(&["pull", &name]).contains("not found"));
    assert!(user.fails(&["push", &format!("{}/app:3", registry.host())]).contains("does not exist locally"));
}

/// The registry's disk is damaged: what it sends is not what was asked for.
#[test]
fn a_layer_with_other_content_is_refused() {
    let Some(registry) = plain() else { return };
    publish(&registry);
    let data = files(&registry.blobs()).into_iter().max_by_key(|file| std::fs::metadata(file).expect("ours").len());
    let data = data.expect("a layer");
    let mut bytes = std::fs::read(&data).expect("ours");
    bytes[5 << 20] ^= 1;
    std::fs::write(&data, bytes).expect("ours");
    let (user, name) = (User::new(), format!("{}/app:1", registry.host()));
    let reason = user.fails(&["pull", &name]);
    assert!(reason.contains("sha256:"), "{reason}");
    assert!(!user.has(&name));
    assert_eq!(user.kiln(&["images", "-a", "-q"]), "");
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn pid(child: &std::process::Child) -> rustix::process::Pid {
    rustix::process::Pid::from_child(child)
}
