//! What is mounted besides the image, and that none of it is kept.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use kiln_exec::{Error, Memory, Mount, MountKind};
use kiln_image::View;

use crate::Test;
use crate::host::{Host, directory, file, link, shell_process, sorted};

pub(crate) const TESTS: &[Test] = &[
    ("mounts_are_seen_and_not_kept", mounts_are_seen_and_not_kept),
    ("mounts_within_mounts", mounts_within_mounts),
    ("read_only_is_what_the_host_mounted_below_it_too", read_only_is_what_the_host_mounted_below_it_too),
    ("mounts_stay_beneath_the_root", mounts_stay_beneath_the_root),
    ("many_mounts", many_mounts),
    ("a_step_that_is_not_confined", a_step_that_is_not_confined),
];

fn files(host: &Host) -> MountKind {
    let layer = host.layer(sorted(vec![directory("m"), file("m/a", 0o644, "mounted"), link("m/out", "/etc")]));
    MountKind::Files { view: View::new(vec![layer]), path: b"m".to_vec(), keep: false }
}

fn mount(target: &str, kind: MountKind) -> Mount {
    Mount { target: target.to_owned(), read_only: false, kind }
}

fn memory(target: &str) -> Mount {
    mount(target, MountKind::Memory(Memory::default()))
}

fn mounts_are_seen_and_not_kept(host: &Host) {
    let cache = host.temporary.path().join("cache");
    fs::create_dir_all(&cache).expect("directory");
    let socket = host.temporary.path().join("agent");
    let _ = fs::remove_file(&socket);
    let _listener = UnixListener::bind(&socket).expect("socket");
    let bytes = MountKind::Bytes { bytes: Arc::from(*b"secret"), mode: 0o400, uid: 0, gid: 0 };
    let mounts = [
        mount("/mnt/files", files(host)),
        Mount { read_only: true, ..mount("/mnt/fixed", files(host)) },
        mount("/mnt/cache", MountKind::Directory(cache.clone())),
        memory("/d"),
        Mount { read_only: true, ..mount("/run/secrets/s", bytes) },
        mount("/run/agent", MountKind::Agent { agent: kiln_ssh::Agent::Socket(socket), mode: 0o600, uid: 0, gid: 0 }),
    ];
    let ran = host.mounted(
        &mounts,
        "cat /mnt/files/a /run/secrets/s; stat -c ' %a %u' /run/secrets/s; test -S /run/agent && echo socket
         rm /mnt/files/a; echo new > /mnt/files/new; ls /mnt/files; ls /d; touch /d/x
         touch /mnt/fixed/new 2> /dev/null || echo fixed; echo x 2> /dev/null > /run/secrets/s || echo fixed
         echo kept > /mnt/cache/x; rmdir /mnt/files 2> /dev/null || echo busy",
    );
    let ran = ran.expect("runs");
    assert_eq!(ran.ok(), "mountedsecret 400 0\nsocket\nnew\nout\nfixed\nfixed\nbusy");
    assert_eq!(ran.changes(), [""; 0]);
    assert_eq!(fs::read_to_string(cache.join("x")).expect("kept"), "kept\n");
    // What was covered is there again; what is put beside a mount point is kept, and with it the directory made for it.
    let beside = host.mounted(&[memory("/mnt/x"), memory("/d")], "touch /mnt/new").expect("runs");
    assert_eq!(beside.changes(), ["mnt/", "mnt/new"]);
}

fn mounts_within_mounts(host: &Host) {
    let cache = host.temporary.path().join("nested");
    fs::create_dir_all(&cache).expect("directory");
    let mounts = [
        memory("/v/cache/deep/er"),
        Mount { read_only: true, ..mount("/v/files/in", files(host)) },
        mount("/v/cache", MountKind::Directory(cache.clone())),
        Mount { read_only: true, ..mount("/v", files(host)) },
        memory("/dev/shm"),
        memory("/v/cache"),
    ];
    let script = "ls /v /v/files/in; touch /v/cache/deep/er/x && touch /v/x 2> /dev/null || echo fixed";
    let ran = host.mounted(&mounts, script).expect("runs");
    assert_eq!(ran.ok(), "/v:\na\ncache\nfiles\nout\n\n/v/files/in:\na\nout\nfixed");
    assert_eq!(ran.changes(), [""; 0]);
    // The later of the two with one target is there.
    assert_eq!(fs::read_dir(&cache).expect("list").count(), 0);
}

fn read_only_is_what_the_host_mounted_below_it_too(host: &Host) {
    // Most hosts have another filesystem at /dev/shm.
    let devices = || Mount { read_only: true, ..mount("/v", MountKind::Directory("/dev".into())) };
    let script = "for file in /v/x /v/shm/kiln-test /v/pts/x; do touch $file 2> /dev/null && echo $file; done; rm -f /v/shm/kiln-test";
    for (mounts, written) in [(vec![devices()], ""), (vec![devices(), memory("/v/pts")], "/v/pts/x")] {
        assert_eq!(host.mounted(&mounts, script).expect("runs").ok(), written);
    }
}

fn mounts_stay_beneath_the_root(host: &Host) {
    let hostile = host.temporary.path().join("hostile");
    fs::create_dir_all(&hostile).expect("directory");
    let victim = host.temporary.path().join("victim");
    fs::create_dir_all(&victim).expect("directory");
    for (name, target) in [("up", "../../../.."), ("absolute", "/etc"), ("host", victim.to_str().expect("text"))] {
        let _ = symlink(target, hostile.join(name));
    }
    let image =
        host.layer(vec![link("all", "/"), link("loop", "loop"), link("p", "/proc"), link("up", "../../../etc/up")]);
    let view = View::new(vec![host.base.clone(), image]);
    let cache = || mount("/c", MountKind::Directory(hostile.clone()));
    for (mounts, reason) in [
        (vec![memory("/all")], "the root directory"),
        (vec![memory("/loop/x")], "too many levels"),
        (vec![memory("/p/self")], "/proc is the kernel's"),
        (vec![memory("/dev")], "/dev is the kernel's"),
        (vec![memory("/d/one")], "a file is in its place"),
        (vec![cache(), memory("/c/up/x")], "a symbolic link within another mount"),
        (vec![cache(), memory("/c/absolute/x")], "a symbolic link within another mount"),
        (vec![cache(), memory("/c/host/x")], "a symbolic link within another mount"),
        (vec![cache(), memory("/c/host")], "a symbolic link within another mount"),
    ] {
        let last = mounts.len() - 1;
        match host.mounted_in(&view, &mounts, &shell_process("true")) {
            Err(Error::Mount { number, reason: found, .. }) => {
                assert!(number == last && found.contains(reason), "{found}");
            }
            Err(error) => panic!("{reason}: {error}"),
            Ok(_) => panic!("{reason}: mounted"),
        }
    }
    assert_eq!(fs::read_dir(&victim).expect("list").count(), 0);
    let ran = host.mounted_in(&view, &[mount("/up", files(host))], &shell_process("ls /etc/up")).expect("runs");
    assert_eq!((ran.ok(), ran.changes().len()), ("a\nout", 0));
}

fn many_mounts(host: &Host) {
    let kind = files(host);
    let mounts: Vec<Mount> = (0..100).map(|number| mount(&format!("/n/{number}"), kind.clone())).collect();
    assert_eq!(host.mounted(&mounts, "cat /n/*/a | wc -c").expect("runs").ok(), "700");
}

fn a_step_that_is_not_confined(host: &Host) {
    let mut process = shell_process("grep Seccomp: /proc/self/status; mount -t tmpfs none /mnt && echo mounted");
    assert!(!host.mounted_in(&host.base_view(), &[], &process).expect("runs").out.contains("mounted"));
    process.insecure = true;
    process.argv[2] = format!("mkdir -p /mnt; {}", process.argv[2]);
    let ran = host.mounted_in(&host.base_view(), &[], &process).expect("runs");
    assert!(ran.ok().ends_with("mounted"), "{}", ran.out);
}
