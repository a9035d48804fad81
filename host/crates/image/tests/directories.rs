//! Upper directory → change set → layer → directory changes nothing. Needs root: owners, devices, overlayfs' attributes.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use kiln_image::{Change, Content, Layer, Meta, Node, UnpackOptions, scan_upper, unpack, write_layer};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

const AS_ROOT: UnpackOptions = UnpackOptions { userxattr: false, single_id: false };

fn layer(changes: Vec<Change>) -> Layer {
    let file = tempfile::tempfile().expect("temporary file");
    let written = write_layer(changes, &file).expect("a valid change set");
    Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(file), index: written.index }
}

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn is_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "this test needs root");
    eprintln!("skipped: needs root");
    false
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).expect(name);
}

/// Everything that a layer can hold.
fn make_tree(root: &Path) {
    let at = |path: &str| root.join(path);
    fs::create_dir_all(at("etc/deep/er")).expect("mkdir");
    fs::write(at("etc/passwd"), "root:x:0:0::/:\n").expect("write");
    fs::write(at("big"), vec![7; 3_000_001]).expect("write");
    fs::write(at("setuid"), "s").expect("write");
    rustix::fs::chown(at("setuid"), Some(Uid::from_raw(7)), Some(Gid::from_raw(70_000))).expect("chown");
    fs::set_permissions(at("setuid"), fs::Permissions::from_mode(0o6755)).expect("chmod");
    // VFS_CAP_REVISION_2 with cap_net_bind_service, effective.
    set_xattr(&at("setuid"), "security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    set_xattr(&at("etc/passwd"), "user.mime", b"text/plain\0=\n");
    set_xattr(&at("etc/deep"), "trusted.note", b"");
    fs::hard_link(at("etc/passwd"), at("a-link")).expect("link");
    fs::hard_link(at("etc/passwd"), at("etc/deep/er/link")).expect("link");
    symlink("/etc/../../..", at("dangling")).expect("symlink");
    symlink("etc", at("to-etc")).expect("symlink");
    let odd = [&b"new\nline"[..], b"\xff\xfe", "ümläut".as_bytes(), b" ", b"-rf", b"\\", &[b'n'; 255]];
    for name in odd {
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), name).expect("odd name");
    }
    let node = |path: &str, kind, device| {
        rustix::fs::mknodat(CWD, at(path), kind, Mode::from_raw_mode(0o620), device).expect("mknod");
    };
    node("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node("disk", FileType::BlockDevice, rustix::fs::makedev(8, 1));
    node("fifo", FileType::Fifo, 0);
    node("gone", FileType::CharacterDevice, 0);
    fs::create_dir(at("opaque")).expect("mkdir");
    set_xattr(&at("opaque"), "trusted.overlay.opaque", b"y");
    set_xattr(&at("opaque"), "trusted.overlay.origin", b"x");
    fs::set_permissions(at("opaque"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    fs::set_permissions(at("etc/deep"), fs::Permissions::from_mode(0o0)).expect("chmod");
    drop(std::os::unix::net::UnixListener::bind(at("socket")).expect("socket"));
    for (path, seconds) in
        [("etc/deep/er", 5), ("etc/deep", 1_000_000_007), ("dangling", 9), ("etc", -3), ("fifo", 4_000_000_000)]
    {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, at(path), &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimens");
    }
}

#[test]
fn nothing_is_lost_on_the_way() {
    if !is_root() {
        return;
    }
    let (upper, lower) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    make_tree(upper.path());
    let first = layer(scan_upper(upper.path(), false).expect("scan"));
    unpack(&first, lower.path(), AS_ROOT).expect("unpack");
    let second = layer(scan_upper(lower.path(), false).expect("scan again"));
    let names: Vec<_> =
        first.index.iter().map(|entry| String::from_utf8_lossy(entry.expect("whole").path).into_owned()).collect();
    assert_eq!(first.index.to_bytes().expect("whole"), second.index.to_bytes().expect("whole"), "{names:?}");
    assert_eq!(first.diff_id, second.diff_id);
    assert!(!names.contains(&"socket".to_owned()));

    let setuid = fs::metadata(lower.path().join("setuid")).expect("metadata");
    assert_eq!((setuid.mode() & 0o7777, setuid.uid(), setuid.gid()), (0o6755, 7, 70_000));
    let inode = |path: &str| fs::metadata(lower.path().join(path)).expect("metadata").ino();
    assert_eq!(inode("etc/passwd"), inode("a-link"));
    assert_eq!(fs::read(lower.path().join("big")).expect("read"), vec![7; 3_000_001]);
}

#[test]
fn one_id_and_user_attributes() {
    if !is_root() {
        return;
    }
    let (upper, lower) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    make_tree(upper.path());
    let layer = layer(scan_upper(upper.path(), false).expect("scan"));
    unpack(&layer, lower.path(), UnpackOptions { userxattr: true, single_id: true }).expect("unpack");
    let setuid = fs::metadata(lower.path().join("setuid")).expect("metadata");
    assert_eq!((setuid.uid(), setuid.gid()), (0, 0));
    let again = scan_upper(lower.path(), true).expect("scan");
    let opaque = again.iter().find(|change| change.path == b"opaque").expect("the opaque directory");
    assert!(matches!(opaque.node, Node::Directory { opaque: true }));
}

#[test]
fn overlays_own_attributes_never_come_from_a_layer() {
    if !is_root() {
        return;
    }
    let xattrs = [("trusted.overlay.redirect", "/etc"), ("user.overlay.metacopy", ""), ("user.fine", "1")];
    let xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    let meta = Meta { mode: 0o755, xattrs, ..Meta::default() };
    let layer = layer(vec![Change { path: b"d".to_vec(), meta, node: Node::Directory { opaque: false } }]);
    let lower = tempfile::tempdir().expect("directory");
    unpack(&layer, lower.path(), AS_ROOT).expect("unpack");
    let changes = scan_upper(lower.path(), false).expect("scan");
    assert_eq!(changes[0].meta.xattrs.keys().collect::<Vec<_>>(), [&b"user.fine".to_vec()]);

    set_xattr(&lower.path().join("d"), "trusted.overlay.redirect", b"/x");
    let error = scan_upper(lower.path(), false).expect_err("a redirected directory").to_string();
    assert!(error.contains("redirect_dir=off"), "{error}");
}

#[test]
fn unpacking_stays_beneath_its_directory() {
    let outside = tempfile::tempdir().expect("directory");
    let lower = tempfile::tempdir().expect("directory");
    let file = |path: &str| Change {
        path: path.into(),
        meta: Meta { mode: 0o644, ..Meta::default() },
        node: Node::File(Content::bytes(b"x".to_vec())),
    };
    let layer = layer(vec![file("link/escaped")]);
    // Somebody puts a link where a directory will be.
    symlink(outside.path(), lower.path().join("link")).expect("symlink");
    let single = UnpackOptions { userxattr: true, single_id: true };
    unpack(&layer, lower.path(), single).expect_err("the path is taken");
    assert_eq!(fs::read_dir(outside.path()).expect("read").count(), 0);
}

#[test]
fn a_changed_upper_file_is_noticed() {
    let upper = tempfile::tempdir().expect("directory");
    let (small, large) = (upper.path().join("a"), upper.path().join("b"));
    fs::write(&small, "12345").expect("write");
    fs::write(&large, [b'x'; 5000]).expect("write");
    let changes = scan_upper(upper.path(), true).expect("scan");
    // A small file was read at once.
    File::create(small).expect("truncate");
    File::create(large).expect("truncate");
    let out = tempfile::tempfile().expect("temporary file");
    let error = write_layer(changes, &out).expect_err("shorter").to_string();
    assert!(error.contains("`/b` changed while it was read"), "{error}");
}
