//! The store: lists of images, step records.

use std::fs;
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use kiln_image::ImageConfig;
use kiln_store::Store;
use kiln_types::{Digest, Reference};

/// 1,000 images with a name each: read one by one, and as the list that is remembered.
pub(crate) fn listing(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for number in 0..1_000 {
        let config =
            ImageConfig { author: format!("author {number}"), os: "linux".to_owned(), ..ImageConfig::default() };
        let id = store.add_image(&config, None, false).unwrap();
        let name: Reference = format!("image{number}:1").parse().unwrap();
        store.tag(&id, &name).unwrap();
    }
    // A list is remembered only when its store has been at rest for longer than the coarsest clock of file systems.
    thread::sleep(Duration::from_secs(3));
    let mut group = c.benchmark_group("list 1,000 images");
    group.sample_size(20);
    let list = || assert_eq!(store.listing(false).unwrap().images.len(), 1_000);
    group.bench_function("remembered", |b| b.iter(list));
    group.bench_function("read", |b| {
        b.iter(|| {
            fs::remove_file(directory.path().join("image-list")).ok();
            list();
        });
    });
    group.bench_function("open the store, list", |b| {
        b.iter(|| assert_eq!(Store::open(directory.path()).unwrap().listing(false).unwrap().images.len(), 1_000));
    });
}

/// One step's record among 10,000.
pub(crate) fn records(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let keys: Vec<_> = (0..10_000).map(|number: u32| Digest::of(number.to_le_bytes())).collect();
    for key in &keys {
        store.put_record(key, &[], &vec!["a component of the key"; 10]).unwrap();
    }
    let mut group = c.benchmark_group("step records");
    group.throughput(Throughput::Elements(100));
    group.bench_function("read 100 of 10,000", |b| {
        b.iter(|| {
            for key in keys.iter().step_by(100) {
                assert!(store.record::<Vec<String>>(key).unwrap().is_some());
            }
        });
    });
}
