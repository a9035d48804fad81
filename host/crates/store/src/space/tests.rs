//! What is told, what is freed, and what stays.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kiln_image::compress::gzip;
use kiln_image::{Descriptor, ImageConfig, Manifest};
use kiln_types::{Digest, Reference};

use super::{CacheWish, ImageWish, Limited, Part, measure};
use crate::testing::{TestStore, one_file};
use crate::{CacheSharing, CheckOptions, Removed, Store};

fn name(text: &str) -> Reference {
    text.parse().expect(text)
}

fn all(store: &Store) -> u64 {
    let folders =
        ["blobs", "images", "layers", "steps", "unpacked", "cache-mounts", "downloads", "incoming", "modules"];
    folders.map(|folder| measure(&store.root().join(folder)).bytes).iter().sum()
}

fn age(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    let times = fs::FileTimes::new().set_modified(then).set_accessed(then);
    fs::File::open(path).and_then(|file| file.set_times(times)).expect("times");
}

/// A step with a layer of about `size` bytes on `below`, and what is kept of it. Not used for so many days.
fn step(store: &TestStore, below: Option<Digest>, text: &str, size: usize, days: u64) -> Digest {
    let layer = store.add_layer(one_file(text, &text.repeat(size / text.len()))).expect("layer").diff_id;
    let mut config =
        below.map_or_else(ImageConfig::default, |below| store.image(&below).expect("image").expect("there").config);
    config.rootfs.diff_ids.push(layer);
    let id = store.add_image(&config, below.as_ref(), true).expect("image");
    let key = Digest::of(text);
    store.put_record(&key, &[layer], &text).expect("record");
    store.sync().expect("sync");
    let record = store.root().join(format!("steps/{}/{}.json", &key.hex()[..2], key.hex()));
    for path in [store.record_path(&id), store.blob_path(&layer), store.index_path(&layer), record] {
        age(&path, days);
    }
    id
}

fn result(store: &TestStore, of: Digest, author: &str) -> Digest {
    let mut config = store.image(&of).expect("image").expect("there").config;
    config.author = author.to_owned();
    store.add_image(&config, Some(&of), false).expect("image")
}

/// An image whose layer came compressed.
fn receive(store: &TestStore, text: &str) -> (Digest, Digest) {
    let elsewhere = TestStore::new();
    let layer = elsewhere.add_layer(one_file("file", text)).expect("layer").diff_id;
    let mut compressed = Vec::new();
    gzip(&elsewhere.read_blob(&layer, 1 << 20).expect("tar")[..], &mut compressed).expect("gzip");
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids.push(layer);
    let blob = |bytes: &[u8]| Descriptor::new("type", store.put_blob(bytes).expect("put"), bytes.len() as u64);
    let manifest = Manifest::new(blob(&config.to_json()), vec![blob(&compressed)]).to_json();
    (store.add_received(&manifest).expect("received"), layer)
}

fn everything() -> TestStore {
    let store = TestStore::new();
    let base = step(&store, None, "base", 50_000, 9);
    let app = step(&store, Some(base), "app", 30_000, 8);
    let (named, unnamed) = (result(&store, app, "named"), result(&store, base, "unnamed"));
    store.tag(&named, &name("app")).expect("tag");
    store.manifest(&unnamed).expect("manifest");
    step(&store, Some(base), "failed", 20_000, 7);
    let (received, layer) = receive(&store, "received");
    store.tag(&received, &name("received")).expect("tag");
    store.layer(&layer).expect("decompressed");
    store.put_blob(&[7; 9_000]).expect("put");
    let cache = store.try_cache(&Digest::of("cache"), CacheSharing::Shared).expect("cache").expect("free");
    let path = store.root().join("cache-mounts").join(Digest::of("cache").hex());
    fs::write(path.join("0/file"), vec![1; 12_000]).expect("write");
    drop(cache);
    fs::create_dir_all(store.root().join("downloads/http")).expect("create");
    fs::write(store.root().join("downloads/http/x"), "x").expect("write");
    fs::write(store.root().join("modules/m"), "m").expect("write");
    store
}

#[test]
fn what_is_shown_adds_up_to_what_there_is() {
    let store = everything();
    let usage = store.disk_usage().expect("usage");
    let cache: u64 = usage.cache.iter().map(|entry| entry.bytes).sum();
    assert_eq!(usage.images_bytes + cache, all(&store));
    assert_eq!(usage.images_reclaimable, usage.images_bytes);
    assert_eq!(usage.images.len(), 3);
    let shared: HashSet<bool> = usage.images.iter().map(|image| image.shared > 0).collect();
    assert_eq!(shared, HashSet::from([true, false]), "two have a layer in common");
    let alone: u64 = usage.images.iter().map(|image| image.bytes).sum();
    assert!(alone > usage.images_bytes, "what is shared is counted once");
}

#[test]
fn a_prune_frees_what_was_shown_and_what_it_says() {
    for (images, cache) in [
        (None, Some(CacheWish { all: true, ..CacheWish::default() })),
        (None, Some(CacheWish::default())),
        (Some(ImageWish::default()), None),
        (Some(ImageWish { all: true, ..ImageWish::default() }), Some(CacheWish { all: true, ..CacheWish::default() })),
    ] {
        let store = everything();
        let usage = store.disk_usage().expect("usage");
        let before = all(&store);
        let dry = store.prune(images.as_ref(), cache.as_ref(), true).expect("dry run");
        assert_eq!(all(&store), before);
        let pruned = store.prune(images.as_ref(), cache.as_ref(), false).expect("prune");
        assert_eq!(pruned, dry);
        assert_eq!(before - all(&store), pruned.bytes);
        if cache.as_ref().is_some_and(|wish| wish.all) && images.is_none() {
            assert_eq!(pruned.bytes, usage.cache.iter().map(|entry| entry.bytes).sum::<u64>());
        }
        if images.is_some_and(|wish| wish.all) {
            assert_eq!(all(&store), 0);
            continue;
        }
        for image in store.images().expect("images") {
            for layer in store.image(&image.id).expect("image").expect("there").config.rootfs.diff_ids {
                store.layer(&layer).expect("layer");
            }
            store.manifest(&image.id).expect("manifest");
        }
        let names = ["app", "received"].map(|text| store.named(&name(text)).expect("named").is_some());
        assert_eq!(names, [true, true]);
    }
}

#[test]
fn images_are_pruned_by_what_they_say_of_themselves() {
    let store = TestStore::new();
    let image = |created: &str, label: &str| {
        let mut config = ImageConfig { created: Some(created.to_owned()), ..ImageConfig::default() };
        config.config.labels.insert(label.to_owned(), "x".to_owned());
        store.add_image(&config, None, false).expect("image")
    };
    let (old, new) = (image("2020-01-01T00:00:00Z", "a"), image("2024-01-01T00:00:00Z", "b"));
    let named = image("2020-01-01T00:00:00Z", "c");
    store.tag(&named, &name("app")).expect("tag");
    let deleted = |wish: ImageWish<'_>| store.prune(Some(&wish), None, true).expect("prune").images;
    let before = Some("2022-01-01T00:00:00Z".parse().expect("time"));
    assert_eq!(deleted(ImageWish { created_before: before, ..ImageWish::default() }), [Removed::Deleted(old)]);
    let has_b = |labels: &BTreeMap<String, String>| labels.contains_key("b");
    assert_eq!(deleted(ImageWish { labels: Some(&has_b), ..ImageWish::default() }), [Removed::Deleted(new)]);
    assert_eq!(deleted(ImageWish { all: true, ..ImageWish::default() }).len(), 4);
    assert_eq!(store.images().expect("images").len(), 3);
}

#[test]
fn a_limit_takes_what_was_not_used_for_longest() {
    let store = TestStore::new();
    let old = step(&store, None, "old", 100_000, 30);
    let young = step(&store, None, "young", 100_000, 3);
    let both = step(&store, Some(young), "both", 100_000, 2);
    assert_eq!(store.keep_below(1 << 30).expect("limit"), Limited::Below);
    let total = all(&store);
    assert!(matches!(store.keep_below(total - 1).expect("limit"), Limited::Collected(_)));
    let there = |id: &Digest| store.image(id).expect("image").is_some();
    assert_eq!([old, young, both].map(|id| there(&id)), [false, true, true]);
    assert!(all(&store) < total);
    // The one that another was built on goes after it, though it is older.
    assert!(matches!(store.keep_below(all(&store) - 1).expect("limit"), Limited::Collected(_)));
    assert_eq!([young, both].map(|id| there(&id)), [true, true], "records and indexes are enough");
    assert!(matches!(store.keep_below(all(&store) - 50_000).expect("limit"), Limited::Collected(_)));
    assert_eq!([young, both].map(|id| there(&id)), [true, false]);
    assert!(matches!(store.keep_below(0).expect("limit"), Limited::Collected(_)));
    assert_eq!(all(&store), 0);
}

#[test]
fn images_with_names_are_kept_whatever_the_limit() {
    let store = everything();
    let without_name = |store: &Store| {
        let images = store.images().expect("images");
        images.iter().filter(|image| image.names.is_empty() && !image.intermediate).map(|image| image.id).next()
    };
    // One that was just built has only its id.
    assert!(matches!(store.keep_below(1).expect("limit"), Limited::TooMuch { .. }));
    let fresh = without_name(&store).expect("kept");
    store.manifest(&fresh).expect("whole");
    age(&store.record_path(&fresh), 1);
    let Limited::TooMuch { bytes, .. } = store.keep_below(1).expect("limit") else { panic!("it cannot be kept") };
    assert_eq!(bytes, all(&store));
    assert_eq!(without_name(&store), None);
    for text in ["app", "received"] {
        let image = store.resolve(text).expect("named");
        for layer in &image.config.rootfs.diff_ids {
            store.layer(layer).expect("layer");
        }
    }
    let runner = store.another();
    assert!(matches!(store.keep_below(1), Ok(Limited::Busy)));
    drop(runner);
}

#[test]
fn a_tar_goes_only_if_it_is_known_what_it_comes_from() {
    let store = TestStore::new();
    let layer = store.add_layer(one_file("file", "mine")).expect("layer").diff_id;
    let config = ImageConfig {
        rootfs: kiln_image::RootFs { diff_ids: vec![layer], ..Default::default() },
        ..Default::default()
    };
    let mine = store.add_image(&config, None, false).expect("image");
    store.tag(&mine, &name("mine")).expect("tag");
    // Somebody else's image says that other bytes decompress to it.
    let lie = store.put_blob(b"a lie").expect("put");
    let config = ImageConfig { author: "liar".to_owned(), ..config };
    let config =
        Descriptor::new("config", store.put_blob(&config.to_json()).expect("put"), config.to_json().len() as u64);
    let liar = store.add_received(&Manifest::new(config, vec![Descriptor::new("layer", lie, 5)]).to_json());
    store.tag(&liar.expect("received"), &name("liar")).expect("tag");
    let (_, received) = receive(&store, "received");
    store.layer(&received).expect("decompressed");
    store.prune(None, Some(&CacheWish { all: true, ..CacheWish::default() }), false).expect("prune");
    assert!(store.has_blob(&layer) && !store.has_blob(&received));
    store.layer(&layer).and_then(|_| store.layer(&received)).expect("still there, and made again");
}

#[test]
fn a_cache_is_kept_up_to_a_size_and_an_age() {
    let store = TestStore::new();
    for (text, days) in [("old", 30), ("middle", 20), ("young", 1)] {
        step(&store, None, text, 100_000, days);
    }
    let images = || store.image_ids().expect("ids").len();
    let since = SystemTime::now() - Duration::from_secs(25 * 86_400);
    let wish = CacheWish { unused_since: Some(since), ..CacheWish::default() };
    store.prune(None, Some(&wish), false).expect("prune");
    assert_eq!(images(), 2);
    store.prune(None, Some(&CacheWish { keep: Some(150_000), ..CacheWish::default() }), false).expect("prune");
    assert_eq!(images(), 1);
    store.prune(None, Some(&CacheWish { keep: Some(1 << 30), ..CacheWish::default() }), false).expect("prune");
    assert_eq!(images(), 1);
    assert!(measure(&store.root().join("blobs")) != Part::default());
}

#[test]
fn what_another_has_just_made_is_left_to_it() {
    let store = TestStore::new();
    let (fresh, old) = (store.make_image(&["fresh"], None, false), store.make_image(&["old"], None, false));
    store.sync().expect("sync");
    age(&store.record_path(&old), 1);
    let other = store.another();
    let pruned = store.prune(Some(&ImageWish::default()), None, false).expect("prune");
    assert!(
        pruned.busy && store.image(&fresh).expect("image").is_some() && store.image(&old).expect("image").is_none()
    );
    drop(other);
    let pruned = store.prune(Some(&ImageWish::default()), None, false).expect("prune");
    assert!(!pruned.busy && store.images().expect("images").is_empty() && all(&store) == 0);
}

#[test]
fn a_note_that_was_cut_off_costs_no_image() {
    let store = TestStore::new();
    let (id, layer) = receive(&store, "received");
    store.tag(&id, &name("received")).expect("tag");
    let note = store.source_path(&layer);
    let whole = fs::read_to_string(&note).expect("note");
    for damaged in [whole.trim_end().to_owned(), format!("{whole}sha256:12"), String::new()] {
        for path in [&note, &store.blob_path(&layer), &store.index_path(&layer)] {
            crate::files::remove_tree(path).expect("remove");
        }
        fs::write(&note, &damaged).expect("write");
        let checked = store.check(CheckOptions { repair: true, quick: false }).expect("repaired");
        assert_eq!((checked.damages.len(), checked.left), (1, 0), "{damaged}");
        assert_eq!(store.resolve("received").expect("kept").id, id);
        store.layer(&layer).expect("decompressed");
    }
}
