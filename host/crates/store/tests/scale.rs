//! A store of ten thousand images and a hundred thousand records of steps: what is asked often must stay quick.
//!
//! `cargo test --release -p kiln-store --test scale -- --ignored --nocapture`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::time::{Duration, Instant};

use kiln_image::{Change, Content, ImageConfig, Meta, Node};
use kiln_store::{CacheWish, CheckOptions, Limited, RemoveOptions, Store};
use kiln_types::Digest;

const IMAGES: usize = 10_000;
const RECORDS: usize = 100_000;

fn timed<T>(what: &str, most: Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    println!("{what}: {took:?}");
    assert!(took < most, "{what} took {took:?}");
    result
}

#[test]
#[ignore = "a minute of writing"]
fn ten_thousand_images() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let layer = |number: usize| {
        let content = Content::bytes(number.to_string().into_bytes());
        let change =
            Change { path: b"file".to_vec(), meta: Meta { mode: 0o644, ..Meta::default() }, node: Node::File(content) };
        store.add_layer(vec![change]).unwrap().diff_id
    };
    let layers: Vec<Digest> = (0..IMAGES / 5).map(layer).collect();
    for number in 0..IMAGES {
        let mut config = ImageConfig { author: number.to_string(), ..ImageConfig::default() };
        config.rootfs.diff_ids = (0..4).map(|at| layers[(number / 5 + at) % layers.len()]).collect();
        let id = store.add_image(&config, None, number % 10 != 0).unwrap();
        if number % 100 == 0 {
            store.tag(&id, &format!("app{number}").parse().unwrap()).unwrap();
        }
    }
    let record = vec![("component".to_owned(), "x".repeat(100)); 12];
    for number in 0..RECORDS {
        store.put_record(&Digest::of(number.to_string()), &[layers[number % layers.len()]], &record).unwrap();
    }
    drop(store);

    let seconds = Duration::from_secs;
    let store = Store::open(directory.path()).unwrap();
    timed("the first look at a limit", seconds(5), || {
        assert_eq!(store.keep_below(1 << 40).unwrap(), Limited::Below);
    });
    timed("a limit that is far", Duration::from_millis(50), || {
        assert_eq!(store.keep_below(1 << 40).unwrap(), Limited::Below);
    });
    timed("disk usage", seconds(10), || store.disk_usage().unwrap());
    let usage: u64 = store.disk_usage().map(|usage| usage.images_bytes).unwrap();
    println!("{usage} bytes of images");
    timed("a quick check", seconds(20), || {
        assert_eq!(store.check(CheckOptions { quick: true, repair: false }).unwrap().left, 0);
    });
    timed("removing one name", seconds(5), || store.remove_image("app0", RemoveOptions::default()).unwrap());
    let names: Vec<String> = (1..50).map(|number| format!("app{}", number * 100)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    timed("removing many", seconds(5), || store.remove_images(&names, RemoveOptions::default()).unwrap());
    timed("a collection", seconds(10), || store.collect().unwrap());
    timed("a limit that is exceeded", seconds(10), || store.keep_below(400 << 20).unwrap());
    timed("a prune of the cache", seconds(30), || {
        store.prune(None, Some(&CacheWish { all: true, ..CacheWish::default() }), false).unwrap()
    });
}
