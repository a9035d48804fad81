//! Volumes: what makes them, what removes them, and what never does.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::testing::TestStore;
use crate::{CheckOptions, Limited, VolumeWish};

fn create(store: &Store, name: Option<&str>) -> Volume {
    store.create_volume(name, &BTreeMap::new()).expect("volume")
}

fn container(store: &TestStore, name: &str, volumes: &[&Volume]) -> ContainerRecord {
    let record = ContainerRecord {
        id: Digest::of(name).hex(),
        name: name.to_owned(),
        image: store.make_image(&["1"], None, false),
        created: 1,
        volumes: volumes.iter().map(|volume| volume.name.clone()).collect(),
    };
    store.create_container(&record, &|_| Ok(())).expect("container");
    record
}

fn names(volumes: &[Volume]) -> Vec<&str> {
    volumes.iter().map(|volume| volume.name.as_str()).collect()
}

#[test]
fn one_for_each_name() {
    let store = TestStore::new();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let made = store.create_volume(Some("Data"), &labels).expect("volume");
    assert!(made.data().is_dir() && !made.anonymous && made.labels == labels);
    assert_eq!(create(&store, Some("Data")), made);
    let anonymous = create(&store, None);
    assert!(anonymous.anonymous && anonymous.name.len() == 64 && anonymous != create(&store, None));
    assert_eq!(store.another().volume("Data").expect("found"), made);
    assert_eq!(store.volumes().expect("volumes").len(), 3);
    assert!(matches!(store.create_volume(Some("a"), &labels), Err(Error::ShortVolumeName { .. })));
    for name in ["", "../x", "a/b", ".hidden", "-x", "a b", "ä!", &"x".repeat(200)] {
        assert!(matches!(store.create_volume(Some(name), &labels), Err(Error::InvalidVolumeName { .. })), "{name}");
        assert!(matches!(store.volume(name), Err(Error::NoSuchVolume { .. })), "{name}");
    }
    let missing = store.remove_volume("none", false).expect_err("missing").to_string();
    assert_eq!(missing, "get none: no such volume");
    store.remove_volume("none", true).expect("forced");
    store.remove_volume("Data", false).expect("removed");
    assert!(!made.data().exists());
}

#[test]
fn made_once_however_many_ask() {
    let store = TestStore::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| (0..20).map(|round| create(&store.another(), Some(&format!("v{round}"))).created)))
            .collect();
        let made: Vec<Vec<i64>> = threads.into_iter().map(|t| t.join().expect("thread").collect()).collect();
        assert!(made.iter().all(|times| *times == made[0]));
    });
}

#[test]
fn containers_keep_theirs() {
    let store = TestStore::new();
    let (data, anonymous) = (create(&store, Some("data")), create(&store, None));
    let one = container(&store, "one", &[&data, &anonymous]);
    let two = container(&store, "two", &[&data]);
    let message = store.remove_volume("data", true).expect_err("in use").to_string();
    let ids = [one.id.as_str(), two.id.as_str()];
    let orders = [[0, 1], [1, 0]].map(|[a, b]| format!("remove data: volume is in use - [{}, {}]", ids[a], ids[b]));
    assert!(orders.contains(&message), "{message}");
    let wish = VolumeWish { all: true, ..VolumeWish::default() };
    assert!(store.prune_volumes(&wish, false).expect("prune").volumes.is_empty());
    assert!(store.remove_anonymous_volumes(&one).expect("removed").is_empty());
    // As `rm -v` does.
    store.remove_container(store.container("one").expect("found")).expect("removed");
    assert_eq!(store.remove_anonymous_volumes(&one).expect("removed"), [anonymous.name]);
    assert_eq!(names(&store.volumes().expect("volumes")), ["data"]);
    let gone = [two.id.clone()];
    let dry = store.prune_volumes(&VolumeWish { without_containers: &gone, ..wish }, true).expect("dry run");
    assert_eq!(dry.volumes.len(), 1);
    store.remove_container(store.container("two").expect("found")).expect("removed");
    assert_eq!(store.prune_volumes(&wish, false).expect("prune").volumes.len(), 1);
}

#[test]
fn prunes_take_the_anonymous_unless_all_are_wanted() {
    let store = TestStore::new();
    let labels = BTreeMap::from([("keep".to_owned(), String::new())]);
    store.create_volume(Some("kept"), &labels).expect("volume");
    let (named, anonymous) = (create(&store, Some("named")), create(&store, None));
    std::fs::write(named.data().join("file"), [0; 5000]).expect("write");
    let prune = |store: &Store, wish: VolumeWish<'_>| {
        let pruned = store.prune_volumes(&wish, false).expect("prune");
        let volumes: Vec<_> = pruned.volumes.iter().map(|usage| (usage.volume.name.clone(), usage.bytes)).collect();
        (volumes, pruned.busy)
    };
    // A build beside it may be about to use what is young.
    let other = store.another();
    assert_eq!(prune(&store, VolumeWish::default()), (vec![], true));
    drop(other);
    assert_eq!(prune(&store, VolumeWish::default()), (vec![(anonymous.name, 0)], false));
    let without = |labels: &BTreeMap<String, String>| !labels.contains_key("keep");
    let wish = VolumeWish { all: true, labels: Some(&without), ..VolumeWish::default() };
    assert_eq!(prune(&store, wish), (vec![("named".to_owned(), 8192)], false));
    assert_eq!(names(&store.volumes().expect("volumes")), ["kept"]);
}

#[test]
fn filled_whole_or_not_at_all() {
    let store = TestStore::new();
    let volume = create(&store, Some("data"));
    let broken = store.fill_volume(&volume, &|path| {
        fs::write(path.join("half"), "x")?;
        Err(io::Error::other("the end"))
    });
    assert!(broken.is_err() && files::list(volume.data()).expect("list").is_empty());
    let filled = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, volume, filled) = (&store, &volume, &filled);
            scope.spawn(move || {
                let fill = |path: &Path| fs::write(path.join(format!("of{thread}")), "x");
                filled.fetch_add(
                    u32::from(store.another().fill_volume(volume, &fill).expect("filled")),
                    Ordering::SeqCst,
                );
            });
        }
    });
    assert_eq!((filled.into_inner(), files::list(volume.data()).expect("list").len()), (1, 1));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(volume.data()).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}

#[cfg(unix)]
#[test]
fn filled_where_containers_have_it() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let store = TestStore::new();
    let volume = create(&store, Some("data"));
    container(&store, "user", &[&volume]);
    let directory = || fs::metadata(volume.data()).expect("metadata");
    let before = directory().ino();
    let fill = |path: &Path| {
        fs::create_dir(path.join("in"))?;
        fs::write(path.join("in/it"), "x")?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o1777))
    };
    assert!(store.fill_volume(&volume, &fill).expect("filled"));
    assert_eq!((directory().ino(), directory().mode() & 0o7777), (before, 0o1777));
    assert_eq!(fs::read_to_string(volume.data().join("in/it")).expect("read"), "x");
    assert!(!store.fill_volume(&volume, &fill).expect("not filled again"));
}

#[test]
fn nothing_but_a_wish_removes_what_is_in_one() {
    let store = TestStore::new();
    let volumes = ["good", "damaged", "without"].map(|name| create(&store, Some(name)));
    for volume in &volumes {
        fs::write(volume.data().join("file"), "of the user").expect("write");
    }
    let root = store.root().join(FOLDER);
    fs::write(store.volume_path("damaged").join(RECORD), "{").expect("write");
    fs::remove_file(store.volume_path("without").join(RECORD)).expect("remove");
    let empty = create(&store, Some("empty"));
    fs::remove_dir(empty.data()).expect("remove");
    fs::create_dir_all(root.join("not a volume/at all")).expect("create");
    fs::write(root.join("file"), "x").expect("write");
    assert_eq!(names(&store.volumes().expect("volumes")), ["good"]);
    store.collect().expect("collect");
    assert_eq!(store.keep_below(0).expect("limit"), Limited::Below);
    let wish = VolumeWish { all: true, ..VolumeWish::default() };
    assert_eq!(store.prune_volumes(&wish, true).expect("dry run").volumes.len(), 1);
    let checked = store.check(CheckOptions::default()).expect("checked");
    assert_eq!((checked.damages.len(), checked.left), (5, 5), "{checked:?}");
    let repaired = store.check(CheckOptions { repair: true, quick: false }).expect("repaired");
    // What nobody knows is the user's to look at.
    assert_eq!((repaired.damages.len(), repaired.left), (5, 2), "{repaired:?}");
    assert!(root.join("not a volume/at all").exists() && root.join("file").exists());
    let expected = ["damaged", "empty", "good", "without"];
    assert_eq!(names(&store.volumes().expect("volumes")), expected);
    for volume in &volumes {
        assert_eq!(fs::read_to_string(volume.data().join("file")).expect("read"), "of the user");
    }
}
