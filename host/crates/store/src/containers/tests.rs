//! Containers of several processes, what they keep, and what does not belong in their folder.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::testing::TestStore;
use crate::{CacheWish, CheckOptions, ImageWish, Limited, RemoveOptions, Removed, Store};

const FORCE: RemoveOptions = RemoveOptions { force: true, no_prune: false };
const PLAIN: RemoveOptions = RemoveOptions { force: false, no_prune: false };

fn id(text: &str) -> String {
    Digest::of(text).hex()
}

fn record(name: &str, image: &Digest, created: i64) -> ContainerRecord {
    ContainerRecord { id: id(name), name: name.to_owned(), image: *image, created, volumes: Vec::new() }
}

fn create(store: &Store, name: &str, image: &Digest) -> ContainerFolder {
    let fill = |folder: &Path| fs::write(folder.join("spec.json"), "{}");
    store.create_container(&record(name, image, 1), &fill).expect("created")
}

fn names(store: &Store) -> Vec<String> {
    store.containers().expect("containers").into_iter().map(|folder| folder.record.name).collect()
}

fn named_image(store: &TestStore, name: &str) -> Digest {
    let image = store.make_image(&["base", name], None, false);
    store.tag(&image, &name.parse().expect("name")).expect("tag");
    image
}

#[test]
fn found_by_name_id_and_its_beginning() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let nothing = |_: &Path| Ok(());
    for (name, created) in [("old", 1), ("newest", 3), ("new", 2)] {
        store.create_container(&record(name, &image, created), &nothing).expect("created");
    }
    assert_eq!(names(&store), ["newest", "new", "old"]);
    let found = |text: &str| store.container(text).map(|folder| folder.record.name).map_err(|error| error.to_string());
    for text in ["old", "/old", &id("old"), &id("old")[..12], &id("old")[..5]] {
        assert_eq!(found(text), Ok("old".to_owned()), "{text}");
    }
    for text in ["", "nobody", "../old", "names", "OLD", &"0".repeat(64)] {
        assert_eq!(found(text), Err(format!("No such container: {text}")));
    }
    // A name wins over the beginning of an id.
    let beginning = &id("old")[..4];
    store.create_container(&record(beginning, &image, 9), &nothing).expect("created");
    assert_eq!(found(beginning), Ok(beginning.to_owned()));
    for number in 0..17 {
        store.create_container(&record(&format!("many{number}"), &image, 9), &nothing).expect("created");
    }
    let ambiguous = "0123456789abcdef".chars().map(|digit| found(&digit.to_string()));
    assert!(ambiguous.flat_map(Result::err).any(|error| error.starts_with("multiple IDs found with provided prefix")));
}

#[test]
fn names_are_one_containers_each() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let first = create(&store, "one", &image);
    let again = ContainerRecord { id: id("again"), ..record("one", &image, 1) };
    let nothing = |_: &Path| Ok(());
    let taken = store.create_container(&again, &nothing).expect_err("taken").to_string();
    let expected = format!(
        "Conflict. The container name \"/one\" is already in use by container \"{}\". You have to remove (or rename) \
         that container to be able to reuse that name.",
        first.record.id
    );
    assert_eq!(taken, expected);
    for name in ["", "a", "-a", ".a", "a/b", "a b", "ä", "..", &"a".repeat(200)] {
        let refused = store.create_container(&record(name, &image, 1), &nothing).expect_err(name);
        assert!(matches!(refused, Error::InvalidContainerName { .. }), "{name}: {refused}");
    }
    let second = create(&store, "two", &image);
    assert!(matches!(store.rename_container(&second, "one"), Err(Error::NameTaken { .. })));
    store.rename_container(&first, "Uno").expect("renamed");
    store.rename_container(&second, "one").expect("renamed");
    assert_eq!(store.container("Uno").expect("found").record.id, first.record.id);
    assert_eq!(store.container("one").expect("found").record.id, second.record.id);
    assert!(matches!(store.container("two"), Err(Error::NoSuchContainer { .. })));
    // Though what the caller has still says that it is called `one`.
    store.remove_container(first.clone()).expect("removed");
    assert_eq!(store.container("one").expect("found").record.id, second.record.id);
    for gone in [store.remove_container(first.clone()), store.rename_container(&first, "three")] {
        assert!(matches!(gone, Err(Error::NoSuchContainer { .. })));
    }
    assert!(first.try_lock().is_err() && !first.is_locked().expect("look"));
    let none = Digest::of("none");
    assert!(matches!(store.create_container(&record("x1", &none, 1), &nothing), Err(Error::NoSuchImage { .. })));
    let without = ContainerRecord { volumes: vec!["none".to_owned()], ..record("x2", &image, 1) };
    assert!(matches!(store.create_container(&without, &nothing), Err(Error::NoSuchVolume { .. })));
    let failed = store.create_container(&record("x3", &image, 1), &|_| Err(io::Error::other("no")));
    assert!(failed.is_err() && names(&store) == ["one"]);
}

#[test]
fn a_lock_says_whether_it_runs() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let folder = create(&store, "one", &image);
    let lock = folder.try_lock().expect("lock").expect("free");
    let seen = store.another().container("one").expect("found");
    assert!(seen.is_locked().expect("look") && seen.try_lock().expect("look").is_none());
    let refused = store.another().remove_container(seen.clone()).expect_err("it runs").to_string();
    assert_eq!(
        refused,
        "cannot remove container \"/one\": container is running: stop the container before removing or force remove"
    );
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            seen.wait().expect("ended");
            assert!(ended.load(Ordering::SeqCst));
        });
        std::thread::sleep(Duration::from_millis(20));
        ended.store(true, Ordering::SeqCst);
        drop(lock);
    });
    // Who only looks is in nobody's way.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    drop(seen.is_locked());
                }
            });
        }
        for _ in 0..2000 {
            assert!(folder.try_lock().expect("lock").is_some());
        }
        stop.store(true, Ordering::SeqCst);
    });
    let lock = folder.try_lock().expect("lock").expect("free");
    let path = folder.path().to_owned();
    store.remove_locked_container(folder, lock).expect("removed");
    assert!(!path.exists() && names(&store).is_empty());
}

#[test]
fn several_at_once_get_one_name() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let won = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (store, won) = (&store, &won);
            scope.spawn(move || {
                let own = store.another();
                for round in 0..20 {
                    let record = ContainerRecord { id: id(&format!("{thread} {round}")), ..record("same", &image, 1) };
                    match own.create_container(&record, &|_| Ok(())) {
                        Ok(folder) => {
                            let have = |result: Result<()>| match result {
                                Ok(()) => {
                                    assert_eq!(won.fetch_add(1, Ordering::SeqCst), 0, "two had it");
                                    won.fetch_sub(1, Ordering::SeqCst);
                                }
                                Err(Error::NameTaken { .. }) => {}
                                Err(error) => panic!("{error}"),
                            };
                            have(Ok(()));
                            own.rename_container(&folder, &format!("mine-{thread}-{round}")).expect("renamed");
                            have(own.rename_container(&folder, "same"));
                            own.remove_container(folder).expect("removed");
                        }
                        Err(Error::NameTaken { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    own.containers().expect("containers");
                }
            });
        }
    });
    assert!(names(&store).is_empty());
    assert_eq!(store.files_below("containers"), 0);
}

#[test]
fn what_does_not_belong_there_is_no_container() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let good = create(&store, "good", &image);
    let folder = store.root().join(FOLDER);
    let whole = fs::read_to_string(good.path().join(RECORD)).expect("record");
    let bad = |name: &str, content: &str| {
        let path = folder.join(id(name));
        fs::create_dir(&path).expect("create");
        fs::write(path.join(RECORD), content.replace(&good.record.id, &id(name))).expect("write");
        path
    };
    bad("empty", "");
    bad("cut", &whole[..whole.len() / 2]);
    bad("long", &format!("{whole}{}", " ".repeat(2 << 20)));
    fs::write(bad("another's", "").join(RECORD), &whole).expect("write");
    fs::create_dir(folder.join(id("nothing"))).expect("create");
    fs::write(folder.join(id("file")), &whole).expect("write");
    fs::write(folder.join("stray"), "x").expect("write");
    fs::create_dir_all(folder.join("directory/within")).expect("create");
    #[cfg(target_os = "linux")]
    {
        let pipe = bad("pipe", "").join(RECORD);
        fs::remove_file(&pipe).expect("remove");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("pipe");
        let link = folder.join(id("link"));
        std::os::unix::fs::symlink(good.path(), link).expect("link");
    }
    let files_of_names = folder.join(NAMES);
    for (name, content) in [("dangling", id("nobody")), ("garbage", "x".to_owned()), ("wrong", good.record.id.clone())]
    {
        fs::write(files_of_names.join(name), content).expect("write");
    }
    fs::create_dir(files_of_names.join("directory")).expect("create");

    assert_eq!(names(&store), ["good"]);
    for name in ["dangling", "garbage", "wrong", "directory", "stray", "names"] {
        assert!(matches!(store.container(name), Err(Error::NoSuchContainer { .. })), "{name}");
    }
    assert!(store.container("good").is_ok());
    // A name that leads nowhere is free.
    for name in ["dangling", "garbage", "wrong"] {
        create(&store, name, &image);
    }
    store.collect().expect("collect");
    let mut left: Vec<_> = files::list(&files_of_names).expect("list").iter().map(fs::DirEntry::file_name).collect();
    left.sort();
    assert_eq!(left, ["dangling", "garbage", "good", "wrong"]);

    let checked = store.check(CheckOptions::default()).expect("checked");
    let wrong = if cfg!(target_os = "linux") { 10 } else { 8 };
    assert_eq!(checked.damages.len(), wrong, "{checked:?}");
    assert!(checked.damages.iter().all(|damage| damage.problem == "it is no container"));
    let repaired = store.check(CheckOptions { repair: true, quick: false }).expect("repaired");
    assert_eq!((repaired.damages.len(), repaired.left), (wrong, 0));
    assert_eq!(names(&store).len(), 4);
    assert!(good.path().join("spec.json").exists());
}

#[test]
fn a_lost_name_is_found_and_given_again() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let (first, second) = (create(&store, "first", &image), create(&store, "second", &image));
    let lose = |name: &str| fs::remove_file(store.root().join(FOLDER).join(NAMES).join(name)).expect("remove");
    lose("first");
    assert_eq!(store.container("first").expect("found").record, first.record);
    // Another may take it.
    let taker = ContainerRecord { id: id("taker"), ..record("first", &image, 5) };
    store.create_container(&taker, &|_| Ok(())).expect("free");
    lose("second");
    let checked = store.check(CheckOptions { repair: true, quick: true }).expect("repaired");
    assert_eq!((checked.damages.len(), checked.left), (2, 0), "{checked:?}");
    assert_eq!(store.container("first").expect("found").record.id, taker.id);
    assert_eq!(
        store.container(&first.record.id).expect("found").record.name,
        format!("container-{}", first.record.short_id())
    );
    assert_eq!(store.container("second").expect("found").record, second.record);
    lose("second");
    store.restore_container_names().expect("restored");
    assert!(store.container_named("second").expect("readable").is_some());
}

#[test]
fn it_keeps_its_image_from_everything_that_removes() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let folder = create(&store, "one", &image);
    let layers = store.image(&image).expect("image").expect("there").config.rootfs.diff_ids;
    let everything = ImageWish { all: true, ..ImageWish::default() };
    let cache = CacheWish { all: true, ..CacheWish::default() };
    let whole = || {
        assert_eq!(store.container_image(&folder.record).expect("image").id, image);
        for layer in &layers {
            store.another().layer(layer).expect("layer");
        }
    };
    for running in [false, true] {
        let lock = if running { folder.try_lock().expect("lock") } else { None };
        store.collect().expect("collect");
        whole();
        assert_eq!(store.prune(Some(&everything), Some(&cache), false).expect("prune").images, []);
        whole();
        assert!(!matches!(store.keep_below(0).expect("limit"), Limited::Busy));
        whole();
        drop(lock);
    }
    let usage = store.disk_usage().expect("usage");
    assert_eq!((usage.images.len(), usage.images_reclaimable), (1, 0));
    assert_eq!(usage.images[0].containers, [folder.record.short_id()]);
    let gone = [folder.record.id.clone()];
    let wish = ImageWish { without_containers: &gone, ..everything };
    let dry = store.prune(Some(&wish), Some(&cache), true).expect("dry run");
    store.remove_container(folder).expect("removed");
    let pruned = store.prune(Some(&everything), Some(&cache), false).expect("prune");
    assert_eq!(pruned, dry);
    assert_eq!(store.files_below("blobs") + store.files_below("images"), 0);
}

#[test]
fn directories_of_layers_stay_while_it_runs() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let folder = create(&store, "one", &image);
    let layer = store.image(&image).expect("image").expect("there").config.rootfs.diff_ids[0];
    let unpacked = store.root().join("unpacked/root").join(layer.hex());
    fs::create_dir_all(unpacked.join("fs")).expect("create");
    let lock = folder.try_lock().expect("lock");
    let cache = CacheWish { all: true, ..CacheWish::default() };
    store.prune(None, Some(&cache), false).expect("prune");
    store.check(CheckOptions { repair: true, quick: true }).expect("check");
    assert!(unpacked.exists());
    drop(lock);
    store.prune(None, Some(&cache), false).expect("prune");
    assert!(!unpacked.exists());
}

#[test]
fn rmi_refuses_and_is_forced_as_docker_is() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let (short, folder) = (image.short(), create(&store, "one", &image));
    let container = folder.record.short_id().to_owned();
    let message = |text: &str, options| store.remove_image(text, options).expect_err("refused").to_string();
    let by_name = |name: &str| {
        format!(
            "conflict: unable to remove repository reference \"{name}\" (must force) - container {container} is using \
             its referenced image {short}"
        )
    };
    assert_eq!(message("app", PLAIN), by_name("app"));
    assert_eq!(message("docker.io/library/app:latest", PLAIN), by_name("docker.io/library/app:latest"));
    let stopped = format!(
        "conflict: unable to delete {short} (must be forced) - image is being used by stopped container {container}"
    );
    assert_eq!(message(&short, PLAIN), stopped);
    let lock = folder.try_lock().expect("lock");
    let running = format!(
        "conflict: unable to delete {short} (cannot be forced) - image is being used by running container {container}"
    );
    assert_eq!([message(&short, PLAIN), message(&short, FORCE)], [running.clone(), running.clone()]);
    assert_eq!(message("app", PLAIN), by_name("app"));
    // One name of several goes without force; the last one by force, and the image stays.
    let untagged = |text: &str| Removed::Untagged(text.parse().expect("name"));
    store.tag(&image, &"other:1".parse().expect("name")).expect("tag");
    assert_eq!(store.remove_image("other:1", PLAIN).expect("untagged"), [untagged("other:1")]);
    assert_eq!(store.remove_image("app", FORCE).expect("untagged"), [untagged("app:latest")]);
    assert_eq!(message(&short, FORCE), running);
    drop(lock);
    assert_eq!(message(&short, PLAIN), stopped);
    store.collect().expect("collect");
    assert!(store.image(&image).expect("image").is_some());
}

#[test]
fn an_image_removed_by_force_is_no_more_but_for_its_containers() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let other = named_image(&store, "other");
    let (one, two) = (create(&store, "one", &image), create(&store, "two", &image));
    let removed = store.remove_image("app", FORCE).expect("removed");
    // The layers are still needed: they are not told.
    assert_eq!(removed, [Removed::Untagged("app:latest".parse().expect("name")), Removed::Deleted(image)]);
    assert!(matches!(store.resolve(&image.short()), Err(Error::NoSuchImage { .. })));
    assert_eq!(store.images().expect("images").len(), 1);
    // Nor with the last image that has one of them too.
    let removed = store.remove_image("other", PLAIN).expect("removed");
    assert_eq!(removed.len(), 3, "{removed:?}");
    assert_eq!(removed[1], Removed::Deleted(other));
    store.collect().expect("collect");
    let everything = ImageWish { all: true, ..ImageWish::default() };
    store.prune(Some(&everything), Some(&CacheWish { all: true, ..CacheWish::default() }), false).expect("prune");
    let found = store.another().container_image(&one.record).expect("kept");
    assert_eq!(found.id, image);
    for layer in &found.config.rootfs.diff_ids {
        store.another().layer(layer).expect("layer");
    }
    assert!(store.size(&image).expect("size") > 0);
    assert!(store.check(CheckOptions::default()).expect("checked").damages.is_empty());
    let usage = store.disk_usage().expect("usage");
    assert_eq!(usage.images[0].containers.len(), 2);
    // It can be made again, and removed again.
    assert_eq!(store.make_image(&["base", "app"], None, false), image);
    assert_eq!(store.disk_usage().expect("usage").images.len(), 1);
    store.remove_image(&image.short(), FORCE).expect("removed");
    store.remove_container(one).expect("removed");
    store.collect().expect("collect");
    assert!(store.container_image(&two.record).is_ok());
    store.remove_container(two).expect("removed");
    store.collect().expect("collect");
    assert_eq!(["images", "blobs", "layers"].map(|folder| store.files_below(folder)), [0, 0, 0]);
}

#[test]
fn containers_that_lack_something_are_told() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    store.create_volume(Some("data"), &std::collections::BTreeMap::new()).expect("volume");
    let with_volume = ContainerRecord { volumes: vec!["data".to_owned()], ..record("one", &image, 1) };
    store.create_container(&with_volume, &|_| Ok(())).expect("created");
    files::remove_tree(&store.root().join("volumes/data")).expect("remove");
    files::remove_tree(&store.record_path(&image)).expect("remove");
    for repair in [false, true] {
        let checked = store.check(CheckOptions { repair, quick: true }).expect("checked");
        let problems: Vec<&str> = checked.damages.iter().map(|damage| damage.problem.as_str()).collect();
        assert!(problems.contains(&"its image is missing or damaged"), "{problems:?}");
        assert!(problems.contains(&"its volume data is missing or damaged"), "{problems:?}");
        assert!(checked.left >= 2);
        assert_eq!(names(&store), ["one"]);
    }
}

#[test]
fn what_does_not_run_and_what_it_has_written() {
    let store = TestStore::new();
    let image = named_image(&store, "app");
    let [running, stopped, young] = ["running", "stopped", "young"].map(|name| create(&store, name, &image));
    let _lock = running.try_lock().expect("lock");
    fs::create_dir(stopped.path().join("upper")).expect("create");
    fs::write(stopped.path().join("upper/file"), [0; 5000]).expect("write");
    let wanted = |folder: &ContainerFolder| folder.record.id != young.record.id;
    let found = store.stopped_containers(&wanted).expect("found");
    let found: Vec<_> = found.iter().map(|usage| (usage.folder.record.name.as_str(), usage.bytes)).collect();
    assert_eq!(found, [("stopped", 8192)]);
}

/// A record is damaged if there is none, not if it cannot be read just now.
#[cfg(target_os = "linux")]
#[test]
fn an_error_of_reading_is_no_damage() {
    let missing = files::read_small_surely(Path::new("/no/such"), 10).expect("no error");
    assert_eq!((missing, files::read_small_surely(Path::new("/proc"), 10).expect("no error")), (None, None));
    // The kernel has nothing at address 0.
    let error = files::read_small_surely(Path::new("/proc/self/mem"), 10).expect_err("an error");
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
}
