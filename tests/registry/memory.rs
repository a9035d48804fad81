//! Memory stays bounded, however large a layer is.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use crate::plain;
use crate::user::{User, both, noise};

/// KiB.
const MOST: u64 = 100 << 10;
const LAYER: u64 = 1 << 30;

/// The largest resident size of a command while it ran, in KiB.
#[track_caller]
fn peak(user: &User, arguments: &[&str]) -> u64 {
    let mut child = user.start(arguments);
    let status = format!("/proc/{}/status", child.id());
    let mut highest = 0;
    while child.try_wait().expect("it is ours").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        highest = highest.max(found.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("it is ours");
    assert!(output.status.success(), "{}", both(&output));
    assert!(highest > 0, "it ended too soon to be looked at");
    highest
}

#[test]
fn a_large_layer_is_never_in_memory() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let name = format!("{}/large:1", registry.host());
    let context = author.home().join("context");
    fs::create_dir(&context).expect("ours");
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY large /\n").expect("ours");
    let mut file = fs::File::create(context.join("large")).expect("ours");
    for number in 0..LAYER >> 24 {
        // Half of it can be compressed, so that both sides have something to do.
        let block = [noise(number, 8 << 20), vec![b'x'; 8 << 20]].concat();
        file.write_all(&block).expect("enough space");
    }
    author.kiln(&["build", "-q", "-t", &name, context.to_str().expect("UTF-8")]);
    fs::remove_dir_all(&context).expect("ours");
    let pushing = peak(&author, &["push", &name]);
    let pulling = peak(&reader, &["pull", &name]);
    assert!(pushing < MOST && pulling < MOST, "push {pushing} KiB, pull {pulling} KiB");
    assert_eq!(reader.id(&name), author.id(&name));
    let saving = peak(&reader, &["save", "-o", reader.home().join("saved.tar").to_str().expect("UTF-8"), &name]);
    assert!(saving < MOST, "save {saving} KiB");
}
