//! Mounts over a small image: what is seen, what is refused, and what stays.

use super::super::tests::{filesystem, layer};
use super::super::{Creator, Filesystem, OpenFlags, Opened, ROOT};
use super::*;
use kiln_image::Change;

const CREATOR: Creator = Creator { uid: 0, gid: 0, umask: 0o022 };

fn image() -> View {
    View::new(vec![layer(vec![file("d/one", "1"), link("l", "d"), link("out", "/"), link("p", "/proc")])])
}

fn file(path: &str, text: &str) -> Change {
    let node = kiln_image::Node::File(kiln_image::Content::bytes(text.as_bytes().to_vec()));
    Change { path: path.into(), meta: Meta { mode: 0o644, ..Meta::default() }, node }
}

fn link(path: &str, target: &str) -> Change {
    let node = kiln_image::Node::Symlink(target.into());
    Change { path: path.into(), meta: Meta::default(), node }
}

fn files(target: &str, keep: bool) -> Mount {
    let view = View::new(vec![layer(vec![file("m/a", "mounted"), link("m/link", "/d")])]);
    let kind = MountKind::Files { view, path: b"m".to_vec(), keep };
    Mount { target: target.to_owned(), read_only: false, kind }
}

fn memory(target: &str, size: Option<u64>) -> Mount {
    Mount { target: target.to_owned(), read_only: false, kind: MountKind::Memory(Memory { size, ..Memory::default() }) }
}

fn write(filesystem: &Filesystem, path: &str, text: &str) -> Result<(), Errno> {
    let flags = OpenFlags { create: true, write: true, follow: true, ..OpenFlags::default() };
    let mut tree = filesystem.lock();
    let Opened::File(id) = tree.open(ROOT, path.as_bytes(), flags, CREATOR)? else { panic!("a file") };
    tree.write_at(id, text.as_bytes(), 0)
}

fn paths_of(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| paths::display(&change.path)).collect()
}

#[test]
fn what_is_mounted_leaves_nothing() {
    let scratch = tempfile::tempdir().expect("temporary directory");
    let filesystem = filesystem(image(), scratch.path());
    filesystem.mount(&[files("/d/x/y", false), memory("/l/one/../two", None), files("/d", true)]).expect("mounts");
    for path in ["/d/b", "/d/x/y/b", "/d/two/b", "/new"] {
        write(&filesystem, path, "x").expect(path);
    }
    assert_eq!(write(&filesystem, "/d/one", "x"), Ok(()), "covered, so it is a new file");
    assert_eq!(filesystem.lock().rename(ROOT, b"/d/a", ROOT, b"/a"), Err(Errno::CrossDevice));
    assert_eq!(filesystem.lock().remove_directory(ROOT, b"/d/x/y"), Err(Errno::Busy));
    assert_eq!(filesystem.lock().remove_directory(ROOT, b"/d/x"), Err(Errno::NotEmpty));
    let kept = filesystem.unmount().expect("changes");
    assert_eq!(kept.iter().map(|kept| kept.mount).collect::<Vec<_>>(), [2]);
    assert_eq!(paths_of(&kept[0].changes), ["/m/b", "/m/one"]);
    assert_eq!(paths_of(&filesystem.changes().expect("changes")), ["/new"]);
}

#[test]
fn directories_made_for_mount_points_stay_only_with_what_is_put_into_them() {
    let scratch = tempfile::tempdir().expect("temporary directory");
    for (path, expected) in [("/s/t/u/x", &[][..]), ("/s/x", &["/s", "/s/x"])] {
        let filesystem = filesystem(image(), scratch.path());
        filesystem.mount(&[memory("/s/t/u", None)]).expect("mount");
        write(&filesystem, path, "x").expect(path);
        filesystem.unmount().expect("changes");
        assert_eq!(paths_of(&filesystem.changes().expect("changes")), expected);
    }
}

#[test]
fn a_size_bounds_what_is_written() {
    let scratch = tempfile::tempdir().expect("temporary directory");
    let filesystem = filesystem(image(), scratch.path());
    filesystem.mount(&[memory("/t", Some(10))]).expect("mount");
    write(&filesystem, "/t/a", "123456").expect("room");
    assert_eq!(write(&filesystem, "/t/b", "123456"), Err(Errno::NoSpace));
    filesystem.lock().remove_file(ROOT, b"/t/a").expect("removed");
    write(&filesystem, "/t/b", "1234567890").expect("room again");
    assert_eq!(write(&filesystem, "/t/b", "12345678901"), Err(Errno::NoSpace));
}

#[test]
fn nothing_can_be_written_where_it_is_read_only() {
    let scratch = tempfile::tempdir().expect("temporary directory");
    let filesystem = filesystem(image(), scratch.path());
    let bytes = MountKind::Bytes { bytes: (*b"key").into(), mode: 0o400, uid: 0, gid: 0 };
    let secret = Mount { target: "/run/secrets/k".to_owned(), read_only: true, kind: bytes };
    filesystem.mount(&[Mount { read_only: true, ..files("/d", false) }, secret]).expect("mounts");
    for path in ["/d/a", "/d/new", "/run/secrets/k"] {
        assert_eq!(write(&filesystem, path, "x"), Err(Errno::ReadOnly), "{path}");
    }
    assert_eq!(filesystem.lock().remove_file(ROOT, b"/d/a"), Err(Errno::ReadOnly));
    assert_eq!(filesystem.lock().remove_file(ROOT, b"/run/secrets/k"), Err(Errno::Busy));
    let id = filesystem.lock().resolve(ROOT, b"/d/a", true).and_then(|place| place.existing()).expect("there");
    assert_eq!(filesystem.lock().set_mode(id, 0o777), Err(Errno::ReadOnly));
}

#[test]
fn places_that_cannot_be_mounted_on() {
    let scratch = tempfile::tempdir().expect("temporary directory");
    for (mounts, reason) in [
        (vec![memory("/out", None)], "the root directory"),
        (vec![memory("/p/x", None)], "/proc is the kernel's"),
        (vec![memory("/d/one", None)], "a file is in its place"),
        (vec![memory("/d/one/x", None)], "/d/one is not a directory"),
        (vec![files("/f", false), memory("/f/link/x", None)], "a symbolic link within another mount"),
        (vec![Mount { kind: MountKind::Directory("/no/such".into()), ..memory("/x", None) }], "/no/such: "),
    ] {
        let filesystem = filesystem(image(), scratch.path());
        let error = filesystem.mount(&mounts).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
}
