//! A process that is killed at any moment leaves a store that works.
//!
//! The test runs itself as a child that writes without end, kills it at random moments while another one goes on, opens
//! the store and looks at everything in it.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use kiln_image::{Change, Content, Edit, EmptyStep, History, ImageConfig, Meta, Node};
use kiln_store::{
    CacheWish, CheckOptions, ContainerRecord, Error, ImageWish, Receive, RemoveOptions, Stat, Store, VolumeWish,
};
use kiln_types::{Digest, Reference};

const ROOT: &str = "KILN_STORE_KILL_TEST_ROOT";
const ROUNDS: u64 = 60;

fn start(root: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "write_without_end", "--include-ignored"]).env(ROOT, root);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

/// Not a test: what the child does.
#[test]
#[ignore = "run by the other test"]
fn write_without_end() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    for round in 0_u64.. {
        let store = Store::open(Path::new(&root)).unwrap();
        for step in 0..8 {
            write(&store, round * 8 + step);
        }
    }
}

fn write(store: &Store, number: u64) {
    let salt = number % 50;
    let key = Digest::of(format!("key {salt}"));
    let Some(lock) = store.try_lock_key(&key).unwrap() else { return };
    if store.record::<Digest>(&key).unwrap().is_none() {
        let scratch = store.scratch().unwrap();
        std::fs::write(scratch.path().join("file"), "x").unwrap();
        let file = |at: u64| {
            let content = Content::bytes(format!("{salt} {at} ").repeat(1000).into_bytes());
            let meta = Meta { mode: 0o644, ..Meta::default() };
            Change { path: format!("file{at}").into(), meta, node: Node::File(content) }
        };
        let layer = store.add_layer((0..5).map(file).collect()).unwrap();
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids.push(layer.diff_id);
        let parent = store.add_image(&config, None, true).unwrap();
        let steps = add_steps(store, &mut config, &parent, salt);
        let id = store.add_image(&config, steps.last().copied().as_ref(), false).unwrap();
        store.put_record(&key, &[layer.diff_id], &id).unwrap();
        let stat = Stat { device: 1, inode: number, size: 1, mtime: (1, 1), ctime: (1, 1) };
        store.context_hashes().insert(&stat, key);
    }
    drop(lock);
    let Some(id) = store.record::<Digest>(&key).unwrap() else { return };
    // Another child may have removed it meanwhile.
    let name: Reference = format!("app{}", number % 7).parse().unwrap();
    let _ = store.tag(&id, &name);
    let _ = store.manifest(&id);
    store.context_hashes().save().unwrap();
    receive(store, number);
    contain(store, &id, number);
    match number % 10 {
        0 | 5 => {
            let _ = store.remove_image(&format!("app{}", number % 3), RemoveOptions::default());
            store.collect().unwrap();
        }
        // Neither may take what has a name.
        3 => drop(store.keep_below(200_000).unwrap()),
        7 => drop(store.prune(Some(&ImageWish::default()), Some(&CacheWish::default()), false).unwrap()),
        _ => {}
    }
}

/// What LABEL does, three times over.
fn add_steps(store: &Store, config: &mut ImageConfig, parent: &Digest, salt: u64) -> Vec<Digest> {
    let before = config.clone();
    let step = |number: u64| {
        let created = Some(format!("{salt} {number}"));
        let history = History { created: created.clone(), empty_layer: true, ..History::default() };
        let step = EmptyStep { edit: Edit::Label(vec![("number".to_owned(), number.to_string())]), created, history };
        step.apply(config);
        (config.id(), step)
    };
    let steps: Vec<(Digest, EmptyStep)> = (0..3).map(step).collect();
    store.add_images(&before, Some(parent), &steps).unwrap();
    let records: Vec<(Digest, String)> = steps
        .iter()
        .enumerate()
        .map(|(at, (id, _))| (Digest::of(format!("step {salt} {at}")), id.to_string()))
        .collect();
    store.put_records(&records).unwrap();
    steps.into_iter().map(|(id, _)| id).collect()
}

/// Makes containers and volumes, gives them other names, removes them; beside others that do the same.
fn contain(store: &Store, image: &Digest, number: u64) {
    let name = |number: u64| format!("container{}", number % 5);
    let volume = store.create_volume(Some(&format!("volume{}", number % 3)), &BTreeMap::default()).unwrap();
    let fill = |path: &Path| ["a", "b"].iter().try_for_each(|name| std::fs::write(path.join(name), *name));
    expect(store.fill_volume(&volume, &fill));
    let random = Digest::of(format!("{number} {} {:?}", std::process::id(), std::time::Instant::now()));
    let volumes = vec![volume.name];
    let record = ContainerRecord { id: random.hex(), name: name(number), image: *image, created: 1, volumes };
    let fill = |path: &Path| std::fs::write(path.join("spec.json"), "{}");
    expect(store.create_container(&record, &fill));
    let Some(Ok(folder)) =
        expect(store.container(&name(number / 2))).map(|folder| folder.try_lock().map(|lock| (folder, lock)))
    else {
        return;
    };
    match (number % 7, folder) {
        (0..=2, (folder, Some(lock))) => {
            expect(store.remove_locked_container(folder, lock));
        }
        (3 | 4, (folder, _)) => {
            expect(store.rename_container(&folder, &name(number / 3)));
        }
        (5, _) => {
            expect(store.remove_image(&image.to_string(), RemoveOptions { force: true, no_prune: false }));
            store.prune_volumes(&VolumeWish { all: true, ..VolumeWish::default() }, false).unwrap();
        }
        _ => {}
    }
}

/// What the other child may have done meanwhile.
fn expect<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(
            Error::NameTaken { .. }
            | Error::NoSuchContainer { .. }
            | Error::NoSuchVolume { .. }
            | Error::NoSuchImage { .. }
            | Error::InUse { .. }
            | Error::HasChildren { .. }
            | Error::VolumeInUse { .. },
        ) => None,
        Err(error) => panic!("{error}"),
    }
}

/// As a pull does that is interrupted now and then; beside others that want the same.
fn receive(store: &Store, number: u64) {
    let text = format!("received {} ", number % 20).repeat(3000);
    let Receive::Ready(mut receiver) = store.receive_blob(&Digest::of(&text), text.len() as u64, None).unwrap() else {
        return;
    };
    let from = usize::try_from(receiver.received()).unwrap();
    receiver.write_all(&text.as_bytes()[from..]).unwrap();
    receiver.finish(&|_, _| Ok(())).unwrap();
}

/// Every name leads to a whole image, every record to something that is there, every blob is what it is called.
fn verify(store: &Store) {
    for image in store.images().unwrap() {
        let found = store.image(&image.id).unwrap().unwrap();
        for diff_id in &found.config.rootfs.diff_ids {
            let layer = store.layer(diff_id).unwrap();
            assert_eq!(layer.index.iter().filter(|entry| !entry.as_ref().expect("whole").is_directory()).count(), 5);
        }
        for (name, _) in image.names {
            assert_eq!(store.resolve(&name.familiar()).unwrap().id, image.id);
        }
    }
    for name in (0..7).map(|number| format!("app{number}")) {
        match store.resolve(&name) {
            Ok(_) | Err(kiln_store::Error::NoSuchImage { .. }) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
    for container in store.containers().unwrap() {
        let record = &container.record;
        for layer in store.container_image(record).unwrap().config.rootfs.diff_ids {
            store.layer(&layer).unwrap();
        }
        assert!(container.path().join("spec.json").exists() && !container.is_locked().unwrap());
        assert_eq!(store.container(&record.name).unwrap().record.id, record.id);
        record.volumes.iter().for_each(|name| drop(store.volume(name).unwrap()));
    }
    for volume in store.volumes().unwrap() {
        let files = std::fs::read_dir(volume.data()).unwrap().count();
        assert!(files == 0 || files == 2, "{files}");
    }
    for salt in 0..50 {
        store.record::<Digest>(&Digest::of(format!("key {salt}"))).unwrap();
    }
    for entry in std::fs::read_dir(store.root().join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let digest = Digest::from_hex(entry.file_name().to_str().unwrap()).unwrap();
        match store.read_blob(&digest, 1 << 30) {
            // The other child may collect between our listing and reading.
            Ok(_) | Err(kiln_store::Error::MissingBlob { .. }) => {}
            Err(error) => panic!("{digest}: {error}"),
        }
    }
}

#[test]
fn killed_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    // Reproducible enough: what is random is where the child is at that time.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..ROUNDS {
        let mut children = [start(&root), start(&root)];
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros(3_000 + (random >> 33) % 60_000));
        for (at, child) in children.iter_mut().enumerate() {
            assert!(child.try_wait().unwrap().is_none(), "a child failed: run it by itself");
            child.kill().unwrap();
            child.wait().unwrap();
            if at == 0 && round % 4 == 0 {
                // With the other one still at work.
                Store::open(&root).unwrap().images().unwrap();
            }
        }
        verify(&Store::open(&root).unwrap());
    }
    let store = Store::open(&root).unwrap();
    assert!(!store.images().unwrap().is_empty(), "the children wrote nothing");
    assert!(!store.volumes().unwrap().is_empty(), "the children made no volumes");
    assert!(!store.collect().unwrap().skipped);
    verify(&store);
    let checked = store.check(CheckOptions::default()).unwrap();
    assert_eq!(checked.damages, []);
    let left = std::fs::read_dir(root.join("locks")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("step-")).collect();
    assert!(left.is_empty(), "{left:?}");
    drop(store);
    // The second to write sees that nobody uses what the killed ones left.
    let store = Store::open(&root).unwrap();
    let _scratch = store.scratch().unwrap();
    for _ in 0..1000 {
        if std::fs::read_dir(root.join("tmp")).unwrap().count() == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("leftovers of the killed stay in tmp");
}
