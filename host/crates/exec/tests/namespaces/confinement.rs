//! What a process may not do, and as whom it runs.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use kiln_exec::{Error, Network, Status};
use kiln_image::{Node, User, View};
use kiln_sys::userns::Ids;

use crate::Test;
use crate::host::{Host, change, link, process, shell_process};

pub(crate) const TESTS: &[Test] = &[
    ("root_has_dockers_capabilities", root_has_dockers_capabilities),
    ("a_user_has_its_ids_and_no_capabilities", a_user_has_its_ids_and_no_capabilities),
    ("the_filter_refuses", the_filter_refuses),
    ("devices_are_few_and_cannot_be_made", devices_are_few_and_cannot_be_made),
    ("kernel_interfaces_are_hidden_or_read_only", kernel_interfaces_are_hidden_or_read_only),
    ("processes_of_the_host_are_out_of_sight", processes_of_the_host_are_out_of_sight),
    ("without_network_there_is_only_loopback", without_network_there_is_only_loopback),
    ("a_working_directory_does_not_lead_out", a_working_directory_does_not_lead_out),
    ("files_of_the_host_are_not_written_to", files_of_the_host_are_not_written_to),
];

const CAPABILITIES: &str = "00000000a80425fb";
const NONE: &str = "0000000000000000";

fn status_of(host: &Host, user: User) -> Vec<(String, String)> {
    let mut process = process(&["cat", "/proc/self/status"]);
    process.user = user;
    let ran = host.run(&host.base_view(), &process).expect("runs");
    let fields = ran.ok().lines().filter_map(|line| line.split_once(":\t"));
    fields.map(|(name, value)| (name.to_owned(), value.trim().replace('\t', " "))).collect()
}

fn assert_fields(status: &[(String, String)], expected: &[(&str, &str)]) {
    for (name, value) in expected {
        let found = status.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        assert_eq!(found, Some(*value), "{name}");
    }
}

fn root_has_dockers_capabilities(host: &Host) {
    let status = status_of(host, User::default());
    let sets = [("CapInh", NONE), ("CapPrm", CAPABILITIES), ("CapEff", CAPABILITIES), ("CapBnd", CAPABILITIES)];
    assert_fields(&status, &sets);
    assert_fields(&status, &[("CapAmb", NONE), ("Uid", "0 0 0 0"), ("Gid", "0 0 0 0"), ("Seccomp", "2")]);
    if host.ids != Ids::Single {
        assert_fields(&status, &[("Groups", "0")]);
    }
}

fn a_user_has_its_ids_and_no_capabilities(host: &Host) {
    let user = User { uid: 1000, gid: 1001, groups: vec![10, 20], ..User::default() };
    if host.ids == Ids::Single {
        let mut process = process(&["true"]);
        process.user = user;
        let refused = host.run(&host.base_view(), &process).err().map(|error| error.to_string());
        let message = refused.expect("refused");
        assert!(message.contains("1000:1001") && message.contains("/etc/subuid"), "{message}");
        return;
    }
    let status = status_of(host, user);
    assert_fields(&status, &[("Uid", "1000 1000 1000 1000"), ("Gid", "1001 1001 1001 1001"), ("Groups", "10 20 1001")]);
    let sets = [("CapInh", NONE), ("CapPrm", NONE), ("CapEff", NONE), ("CapBnd", CAPABILITIES), ("CapAmb", NONE)];
    assert_fields(&status, &sets);

    let mut process = shell_process("echo x > /tmp/mine && echo x > /root-only");
    process.user = User { uid: 1000, gid: 1000, ..User::default() };
    let ran = host.run(&host.base_view(), &process).expect("runs");
    assert_eq!((ran.status, ran.changes()), (Status::Exited(1), vec!["tmp/".to_owned(), "tmp/mine".to_owned()]));
    let mine = ran.finished.changes.last().expect("the file");
    assert_eq!((mine.meta.uid, mine.meta.gid, mine.meta.mode), (1000, 1000, 0o644));

    process.argv[2] = "echo out > /dev/stdout; echo err > /dev/stderr".to_owned();
    let ran = host.run(&host.base_view(), &process).expect("runs");
    assert_eq!((ran.ok(), &*ran.err), ("out", "err\n"));

    process.cwd = "/closed/inside".to_owned();
    let closed = host.layer(vec![change("closed", 0o700, Node::Directory { opaque: false })]);
    let view = View::new(vec![host.base.clone(), closed]);
    assert!(
        matches!(host.run(&view, &process), Err(Error::System { action, .. }) if action.contains("/closed/inside"))
    );
}

fn the_filter_refuses(host: &Host) {
    for script in [
        "unshare -U true",
        "unshare -m true",
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /sys",
        "umount /proc/sys",
        "hostname other",
        "mount --bind /bin /tmp",
        "swapoff -a; nsenter -t 1 -m true",
    ] {
        let ran = host.shell(script);
        assert_ne!(ran.status, Status::Exited(0), "{script}: {}", ran.out);
        assert!(ran.err.contains("not permitted") || ran.err.contains("ermission denied"), "{script}: {}", ran.err);
    }
    assert_eq!(host.shell("chroot / echo in").ok(), "in", "root may change its root, as in Docker");
}

fn devices_are_few_and_cannot_be_made(host: &Host) {
    let names = "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero";
    assert_eq!(host.shell("ls /dev").ok(), names);
    assert_eq!(
        host.shell("echo gone > /dev/null; head -c 3 /dev/zero | wc -c; head -c 9 /dev/urandom | wc -c").ok(),
        "3\n9"
    );
    assert_eq!(host.shell("echo full > /dev/full || echo x > /dev/shm/x; cat /dev/shm/x").ok(), "x");
    assert_eq!(
        host.shell("echo via > /dev/stdout; echo err > /dev/stderr; ls -la /dev/pts/ptmx | cut -c1-10").ok(),
        "via\ncrw-rw-rw-"
    );
    // The disk, under another name: making the node may work, but it is of no use.
    for place in ["/disk", "/dev/disk", "/dev/shm/disk", "/tmp/disk"] {
        let ran = host.shell(&format!("mknod {place} b 254 0; mknod {place}0 b 8 0; cat {place} {place}0"));
        assert_ne!(ran.status, Status::Exited(0), "{place}");
        assert!(!ran.err.contains("No such device"), "{place}: {}", ran.err);
    }
    let before = fs::metadata("/dev/null").expect("null").permissions();
    assert_ne!(host.shell("chmod 600 /dev/null").status, Status::Exited(0));
    assert_ne!(host.shell("chmod 600 /proc/keys").status, Status::Exited(0));
    assert_eq!(fs::metadata("/dev/null").expect("null").permissions(), before);
}

fn kernel_interfaces_are_hidden_or_read_only(host: &Host) {
    let hidden =
        "for p in kcore keys timer_list sched_debug interrupts; do cat /proc/$p 2>/dev/null; done; ls /sys/firmware";
    assert_eq!(host.shell(hidden).ok(), "");
    for script in [
        "echo other > /proc/sys/kernel/hostname",
        "echo h > /proc/sysrq-trigger",
        "mkdir /sys/fs/cgroup/x",
        "echo 1 > /sys/kernel/profiling",
        "rmdir /proc",
        "rm /etc/hosts",
    ] {
        assert_ne!(host.shell(script).status, Status::Exited(0), "{script}");
    }
    let ran = host.shell("touch /proc/sys/x /sys/x; cat /proc/1/environ /proc/1/maps | wc -c");
    assert_eq!(ran.ok(), "0", "the memory of init is closed");
}

fn processes_of_the_host_are_out_of_sight(host: &Host) {
    assert_eq!(host.shell("ls -d /proc/[0-9]* | head -2; kill -9 -1; echo alone").ok(), "/proc/1\n/proc/2\nalone");
}

fn without_network_there_is_only_loopback(host: &Host) {
    let mut process = shell_process(
        "ls /sys/class/net; ip -o -4 addr show lo | grep -o 127.0.0.1/8; ip link show lo | grep -o UP | head -1",
    );
    process.network = Network::None;
    let ran = host.run(&host.base_view(), &process).expect("runs");
    assert_eq!(ran.ok(), "lo\n127.0.0.1/8\nUP");
    let devices = "tail -n +3 /proc/net/dev | wc -l";
    process.argv[2] = devices.to_owned();
    assert_eq!(host.run(&host.base_view(), &process).expect("runs").ok(), "1");
    let here = fs::read_to_string("/proc/net/dev").expect("devices").lines().count() - 2;
    assert_eq!(host.shell(devices).ok(), here.to_string(), "with the host's network, its devices are there");
}

/// The directories of layers are open, outside the sandbox's root, while it is set up.
fn a_working_directory_does_not_lead_out(host: &Host) {
    for number in 3..24 {
        let way_out = host.layer(vec![link("out", &format!("/proc/self/fd/{number}"))]);
        let view = View::new(vec![host.base.clone(), way_out]);
        let mut process = process(&["true"]);
        process.cwd = "/out/escaped".to_owned();
        assert!(host.run(&view, &process).is_err(), "{number}");
        let base = host.directory(&host.base).expect("directory");
        assert!(!base.join("escaped").exists(), "a directory of the host was made through descriptor {number}");
    }
}

/// A process can get hold of one as `/proc/self/exe`, which is kiln before the first program is executed; here it has
/// a directory.
fn files_of_the_host_are_not_written_to(host: &Host) {
    if !kiln_sys::sandbox::writing_is_restricted() {
        return println!("skipped: this kernel has no Landlock, or an old one");
    }
    let outside = host.temporary.path().join("outside");
    fs::create_dir(&outside).expect("directory");
    fs::write(outside.join("kept"), "before\n").expect("file");
    let output = host.temporary.path().join("output");
    let script = "cd /proc/self/fd/0 && echo x > kept; echo x >> kept; truncate -s 0 kept; cat kept; \
                  echo again >> /dev/stdout; mkdir -p /n/m && echo moved > /n/m/f && mv /n/m/f /f && ln /f /n/l && cat /n/l; \
                  echo full > /dev/full || echo x > /dev/shm/x; exit 3";
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["inherit", script])
        .stdin(File::open(&outside).expect("open"))
        .stdout(File::options().create(true).append(true).open(&output).expect("create"))
        .stderr(Stdio::null())
        .status()
        .expect("start");
    assert!(status.success());
    assert_eq!(fs::read_to_string(outside.join("kept")).expect("read"), "before\n");
    assert_eq!(fs::read_to_string(output).expect("read"), "before\nagain\nmoved\n");
    fs::remove_dir_all(outside).expect("remove");
}
