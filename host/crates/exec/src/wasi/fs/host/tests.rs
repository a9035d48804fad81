//! A mounted directory of the host beside one that is changed directly: in the end both are the same.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use kiln_image::View;
use proptest::prelude::*;

use super::super::tests::filesystem;
use super::super::{Creator, Filesystem, OpenFlags, Opened, ROOT};
use crate::wasi::errno::Errno;
use crate::{Mount, MountKind};

const CREATOR: Creator = Creator { uid: 0, gid: 0, umask: 0o022 };
const PATHS: [&str; 9] = ["a", "b", "a/x", "a/y", "b/x", "a/x/p", "c", "a/y/z", "new"];

#[derive(Debug, Clone)]
enum Operation {
    Append(usize, Vec<u8>),
    Cut(usize),
    MakeDirectory(usize),
    RemoveDirectory(usize),
    Unlink(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Symlink(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let path = || 0..PATHS.len();
    prop_oneof![
        (path(), proptest::collection::vec(any::<u8>(), 0..5)).prop_map(|(path, bytes)| Operation::Append(path, bytes)),
        path().prop_map(Operation::Cut),
        path().prop_map(Operation::MakeDirectory),
        path().prop_map(Operation::RemoveDirectory),
        path().prop_map(Operation::Unlink),
        (path(), path()).prop_map(|(from, to)| Operation::Rename(from, to)),
        (path(), path()).prop_map(|(from, to)| Operation::Link(from, to)),
        path().prop_map(Operation::Symlink),
    ]
}

fn fill(directory: &Path) {
    fs::create_dir_all(directory.join("a/x")).expect("made");
    fs::write(directory.join("a/y"), "why").expect("written");
    fs::write(directory.join("b"), vec![b'b'; 200_000]).expect("written");
    symlink("a/y", directory.join("c")).expect("linked");
}

fn mounted(scratch: &Path, place: &Path, read_only: bool) -> Filesystem {
    let filesystem = filesystem(View::new(Vec::new()), scratch);
    let mount = Mount { target: "/m".to_owned(), read_only, kind: MountKind::Directory(place.to_owned()) };
    filesystem.mount(&[mount]).expect("mounted");
    filesystem
}

fn guest(filesystem: &Filesystem, operation: &Operation) -> Result<(), Errno> {
    let path = |at: usize| format!("/m/{}", PATHS[at]).into_bytes();
    let mut tree = filesystem.lock();
    match operation {
        Operation::Append(at, bytes) => {
            let flags = OpenFlags { create: true, write: true, ..OpenFlags::default() };
            let Opened::File(id) = tree.open(ROOT, &path(*at), flags, CREATOR)? else { return Err(Errno::IsDirectory) };
            let end = tree.size(id);
            tree.write_at(id, bytes, end)
        }
        Operation::Cut(at) => {
            let flags = OpenFlags { write: true, ..OpenFlags::default() };
            let Opened::File(id) = tree.open(ROOT, &path(*at), flags, CREATOR)? else { return Err(Errno::IsDirectory) };
            let size = tree.size(id);
            tree.set_size(id, size / 2)
        }
        Operation::MakeDirectory(at) => tree.make_directory(ROOT, &path(*at), CREATOR),
        Operation::RemoveDirectory(at) => tree.remove_directory(ROOT, &path(*at)),
        Operation::Unlink(at) => tree.remove_file(ROOT, &path(*at)),
        Operation::Rename(from, to) => tree.rename(ROOT, &path(*from), ROOT, &path(*to)),
        Operation::Link(from, to) => {
            let id = tree.resolve(ROOT, &path(*from), false)?.existing()?;
            tree.link(id, ROOT, &path(*to))
        }
        Operation::Symlink(at) => tree.make_symlink(ROOT, &path(*at), b"b".to_vec(), CREATOR),
    }
}

fn host(directory: &Path, operation: &Operation) -> std::io::Result<()> {
    use std::io::Write as _;
    let path = |at: usize| directory.join(PATHS[at]);
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    match operation {
        Operation::Append(at, _) | Operation::Cut(at) if is_link(&path(*at)) => Err(std::io::ErrorKind::Other.into()),
        Operation::Append(at, bytes) => fs::File::options().create(true).append(true).open(path(*at))?.write_all(bytes),
        Operation::Cut(at) => {
            let file = fs::File::options().write(true).open(path(*at))?;
            file.set_len(file.metadata()?.len() / 2)
        }
        Operation::MakeDirectory(at) => fs::create_dir(path(*at)),
        Operation::RemoveDirectory(at) => fs::remove_dir(path(*at)),
        Operation::Unlink(at) => fs::remove_file(path(*at)),
        Operation::Rename(from, to) => fs::rename(path(*from), path(*to)),
        Operation::Link(from, to) => fs::hard_link(path(*from), path(*to)),
        Operation::Symlink(at) => symlink("b", path(*at)),
    }
}

/// Everything below, with contents.
fn shown(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut work = vec![directory.to_owned()];
    while let Some(place) = work.pop() {
        for entry in fs::read_dir(&place).expect("listed") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("there");
            let name = path.strip_prefix(directory).expect("below").display().to_string();
            let kind = if metadata.is_dir() {
                work.push(path);
                "directory".to_owned()
            } else if metadata.is_symlink() {
                format!("to {}", fs::read_link(&path).expect("a link").display())
            } else {
                format!(
                    "{:x?} {} names",
                    kiln_types::Digest::of(fs::read(&path).expect("read")).short(),
                    metadata.nlink()
                )
            };
            all.push(format!("{name}: {kind}"));
        }
    }
    all.sort();
    all
}

proptest! {
    #[test]
    fn what_a_program_does_to_files_happens(operations in proptest::collection::vec(operation(), 0..12)) {
        let [scratch, one, two] = [(); 3].map(|()| tempfile::tempdir().expect("a temporary directory"));
        fill(one.path());
        fill(two.path());
        let filesystem = mounted(scratch.path(), one.path(), false);
        for operation in &operations {
            let (guest, host) = (guest(&filesystem, operation), host(two.path(), operation));
            prop_assert_eq!(guest.is_ok(), host.is_ok(), "{:?}: {:?} {:?}", operation, guest, host);
        }
        filesystem.unmount().expect("written");
        prop_assert_eq!(shown(one.path()), shown(two.path()));
    }
}

#[test]
fn what_others_change_meanwhile_stays() {
    let [scratch, place] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    fill(place.path());
    let filesystem = mounted(scratch.path(), place.path(), false);
    filesystem.lock().list(ROOT).expect("listed");
    let m = filesystem.lock().resolve(ROOT, b"/m", true).and_then(|place| place.existing()).expect("there");
    filesystem.lock().list(m).expect("listed");
    fs::write(place.path().join("b"), "changed by another").expect("written");
    fs::write(place.path().join("other"), "new").expect("written");
    guest(&filesystem, &Operation::Append(8, b"mine".to_vec())).expect("appended");
    filesystem.unmount().expect("written");
    let text = |name: &str| fs::read_to_string(place.path().join(name)).expect(name);
    assert_eq!([text("b"), text("other"), text("new")], ["changed by another", "new", "mine"]);
}

#[test]
fn links_lead_nowhere_outside() {
    let [scratch, place, outside] = [(); 3].map(|()| tempfile::tempdir().expect("a temporary directory"));
    fs::write(outside.path().join("secret"), "secret").expect("written");
    symlink(outside.path(), place.path().join("out")).expect("linked");
    let filesystem = mounted(scratch.path(), place.path(), false);
    assert_eq!(filesystem.lock().resolve(ROOT, b"/m/out/secret", true).expect_err("outside"), Errno::NotFound);
    // Put there by somebody else after the program has looked.
    fs::create_dir(place.path().join("d")).expect("made");
    let flags = OpenFlags { create: true, write: true, ..OpenFlags::default() };
    let opened = filesystem.lock().open(ROOT, b"/m/d/file", flags, CREATOR);
    assert!(matches!(opened, Ok(Opened::File(_))));
    fs::remove_dir(place.path().join("d")).expect("removed");
    symlink(outside.path(), place.path().join("d")).expect("linked");
    // Whether it is refused or put in the link's place, nothing appears outside.
    let _ = filesystem.unmount();
    assert_eq!(fs::read_dir(outside.path()).expect("listed").count(), 1);
}

#[test]
fn a_file_by_itself_stays_the_same_file() {
    let [scratch, place] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let path = place.path().join("file");
    fs::write(&path, "one ").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
    let before = fs::metadata(&path).expect("there");
    let filesystem = filesystem(View::new(Vec::new()), scratch.path());
    let mount = Mount { target: "/etc/x".to_owned(), read_only: false, kind: MountKind::Directory(path.clone()) };
    filesystem.mount(&[mount]).expect("mounted");
    {
        let mut tree = filesystem.lock();
        let flags = OpenFlags { write: true, ..OpenFlags::default() };
        let Ok(Opened::File(id)) = tree.open(ROOT, b"/etc/x", flags, CREATOR) else { panic!("a file") };
        tree.write_at(id, b"two", 4).expect("written");
    }
    filesystem.unmount().expect("written");
    let after = fs::metadata(&path).expect("there");
    assert_eq!(fs::read_to_string(&path).expect("read"), "one two");
    assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
}

#[test]
fn read_only_is_read_only() {
    let [scratch, place] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    fill(place.path());
    let filesystem = mounted(scratch.path(), place.path(), true);
    for operation in [Operation::Append(8, b"x".to_vec()), Operation::Unlink(1), Operation::MakeDirectory(8)] {
        assert_eq!(guest(&filesystem, &operation), Err(Errno::ReadOnly), "{operation:?}");
    }
}
