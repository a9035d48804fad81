//! The root filesystem that a process sees, and the changes that it makes.

use std::fs;

use kiln_exec::Status;
use kiln_image::{Meta, Node, View};
use kiln_sys::userns::Ids;

use crate::Test;
use crate::host::{Host, change, directory, file, link, process, shell_process, sorted};

pub(crate) const TESTS: &[Test] = &[
    ("doing_nothing_changes_nothing", doing_nothing_changes_nothing),
    ("changes_are_what_was_done", changes_are_what_was_done),
    ("a_change_of_the_root_directory_is_one", a_change_of_the_root_directory_is_one),
    ("the_next_step_sees_the_changes", the_next_step_sees_the_changes),
    ("the_working_directory_is_made", the_working_directory_is_made),
    ("own_files_are_seen_and_never_kept", own_files_are_seen_and_never_kept),
    ("mount_points_need_not_be_in_the_image", mount_points_need_not_be_in_the_image),
    ("mount_points_that_cannot_be", mount_points_that_cannot_be),
    ("implied_directories_look_like_those_below", implied_directories_look_like_those_below),
    ("as_many_layers_as_docker", as_many_layers_as_docker),
    ("a_layer_may_come_twice", a_layer_may_come_twice),
    ("files_stay_the_same_when_they_are_written_to", files_stay_the_same_when_they_are_written_to),
    ("owners_and_modes_are_kept", owners_and_modes_are_kept),
];

fn doing_nothing_changes_nothing(host: &Host) {
    for script in [
        "true",
        "cat /etc/passwd",
        "ls -lR /d /etc",
        "echo x > /etc/resolv.conf; echo y > /etc/hosts",
        "touch /dev/shm/x",
    ] {
        let ran = host.shell(script);
        ran.ok();
        assert_eq!(ran.changes(), [""; 0], "{script}");
    }
}

fn changes_are_what_was_done(host: &Host) {
    for (script, expected) in [
        ("echo new > /d/new", &["d/", "d/new"][..]),
        ("rm /d/one", &["d/", "d/one removed"]),
        ("rm -r /d && mkdir /d && touch /d/three", &["d/ opaque", "d/three"]),
        ("rm -r /d && touch /d", &["d"]),
        ("rm -r /d", &["d removed"]),
        ("echo 1 > /a; ln /a /b; ln -s a /c", &["a", "b = a", "c -> a"]),
        ("ln /d/one /d/uno", &["d/", "d/one", "d/uno = d/one"]),
        ("touch /x; rm /x", &[]),
        ("mv /d /e", &["d removed", "e/ opaque", "e/one", "e/two"]),
        ("chmod 700 /d", &["d/"]),
        ("mkfifo /pipe; mkdir -p /n/m", &["n/ opaque", "n/m/", "pipe fifo"]),
        ("touch /etc/new", &["etc/", "etc/new"]),
    ] {
        let ran = host.shell(script);
        ran.ok();
        // Whether a directory that hides nothing is marked opaque is overlayfs' affair.
        let plain = |changes: Vec<String>| {
            changes
                .into_iter()
                .map(|change| change.replace("n/ opaque", "n/").replace("e/ opaque", "e/").replace("m/ opaque", "m/"))
                .collect::<Vec<_>>()
        };
        let expected = plain(expected.iter().map(|change| (*change).to_owned()).collect());
        assert_eq!(plain(ran.changes()), expected, "{script}");
    }
}

fn a_change_of_the_root_directory_is_one(host: &Host) {
    let ran = host.shell("chmod 711 /");
    let [root] = &ran.finished.changes[..] else { panic!("{:?}", ran.changes()) };
    assert_eq!((&root.path[..], root.meta.mode), (&b""[..], 0o711));
    let layer = host.keep(ran.finished);
    let view = View::new(vec![host.base.clone(), layer]);
    let again = host.shell_in(&view, "stat -c %a /");
    assert_eq!(again.ok(), "711");
    assert_eq!(again.changes(), [""; 0]);
}

fn the_next_step_sees_the_changes(host: &Host) {
    let first =
        host.shell("rm /d/one; echo 3 > /d/three; mkdir -p /opt/app; rm -r /tmp; mkdir /tmp; echo a > /a; ln /a /b");
    first.ok();
    let upper = host.keep(first.finished);
    // Once from the upper directory as it is, and once as it is unpacked from its own tar.
    let unpacked = host.layer(kept_changes(host, &upper));
    for layer in [upper, unpacked] {
        let view = View::new(vec![host.base.clone(), layer]);
        let second = host.shell_in(&view, "ls /d /tmp /opt; cat /d/three; stat -c %h /b");
        assert_eq!(second.ok(), "/d:\nthree\ntwo\n\n/opt:\napp\n\n/tmp:\n3\n2");
        assert_eq!(second.changes(), [""; 0]);
    }
}

/// The same changes with something added, so that they are another layer with no directory yet.
fn kept_changes(host: &Host, layer: &kiln_image::Layer) -> Vec<kiln_image::Change> {
    let directory = host.directory(layer).expect("directory");
    let mut changes = kiln_image::scan_upper(&directory, host.ids.in_user_namespace()).expect("changes");
    changes.push(file("zzz", 0o644, ""));
    sorted(changes)
}

fn the_working_directory_is_made(host: &Host) {
    let mut process = shell_process("pwd; touch here");
    process.cwd = "/srv/app/src".to_owned();
    let ran = host.run(&host.base_view(), &process).expect("runs");
    assert_eq!(ran.ok(), "/srv/app/src");
    let changes: Vec<String> = ran.changes().into_iter().map(|change| change.replace(" opaque", "")).collect();
    assert_eq!(changes, ["srv/", "srv/app/", "srv/app/src/", "srv/app/src/here"]);
    assert!(ran.finished.changes[..3].iter().all(|made| (made.meta.mode, made.meta.uid) == (0o755, 0)));
    process.cwd = "/d".to_owned();
    process.argv = vec!["pwd".to_owned()];
    assert_eq!(host.run(&host.base_view(), &process).expect("runs").changes(), [""; 0]);
    process.cwd = "/plain/x".to_owned();
    assert!(host.run(&host.base_view(), &process).is_err());
}

fn own_files_are_seen_and_never_kept(host: &Host) {
    let of_host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(host.shell("cat /etc/resolv.conf").out, of_host);
    assert_eq!(host.shell("cat /etc/hostname; grep -c 'localhost builder' /etc/hosts").ok(), "builder\n1");
    let ran = host.shell("echo mine > /etc/resolv.conf; echo mine > /etc/hosts; chmod 600 /etc/hosts; cat /etc/hosts");
    assert_eq!(ran.ok(), "mine");
    assert_eq!(ran.changes(), [""; 0]);
    assert_eq!(fs::read_to_string("/etc/resolv.conf").unwrap_or_default(), of_host);
}

fn mount_points_need_not_be_in_the_image(host: &Host) {
    let bare: Vec<_> = ["dev", "proc", "sys", "etc"].map(|path| change(path, 0, Node::Whiteout)).into();
    let dangling = vec![change("etc/hosts", 0, Node::Whiteout), link("etc/resolv.conf", "../run/systemd/stub.conf")];
    let opaque = vec![change("etc", 0o750, Node::Directory { opaque: true }), file("etc/only", 0o644, "")];
    let absolute = vec![link("etc/resolv.conf", "/d/one")];
    for (name, changes) in [("bare", bare), ("dangling", dangling), ("opaque", opaque), ("absolute", absolute)] {
        let view = View::new(vec![host.base.clone(), host.layer(sorted(changes))]);
        let ran = host.shell_in(&view, "grep -c localhost /etc/hosts; test -e /proc/self/stat -a -e /dev/null -a -d /sys/class && cat /etc/resolv.conf");
        assert_eq!(ran.status, Status::Exited(0), "{name}: {}", ran.err);
        let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        assert_eq!(ran.out, format!("2\n{resolv_conf}"), "{name}");
        assert_eq!(ran.changes(), [""; 0], "{name}");
        let etc = view.lookup(b"etc").expect("view").map_or_else(Meta::implied_directory, |found| found.meta);
        assert_eq!(
            host.shell_in(&view, "stat -c '%a %Y' /etc").ok().split(' ').next(),
            Some(&*format!("{:o}", etc.mode)),
            "{name}"
        );

        let written = host.shell_in(&view, "echo x > /etc/new");
        written.ok();
        assert_eq!(written.changes(), ["etc/", "etc/new"], "{name}");
        assert_eq!(written.finished.changes[0].meta.mode, etc.mode, "{name}");
    }
    let program = vec![
        directory("bin"),
        change(
            "bin/busybox",
            0o755,
            host.base
                .index
                .get(b"bin/busybox")
                .expect("whole")
                .map(|entry| Node::File(host.base.content(&entry)))
                .expect("busybox"),
        ),
    ];
    let scratch = View::new(vec![host.layer(program)]);
    let ran = host.run(&scratch, &process(&["/bin/busybox", "ls", "/"])).expect("runs");
    assert_eq!(ran.ok(), "bin\ndev\netc\nproc\nsys");
    assert_eq!(ran.changes(), [""; 0]);
}

fn mount_points_that_cannot_be(host: &Host) {
    for changes in [
        vec![link("proc", "d")],
        vec![file("dev", 0o644, "")],
        vec![change("etc/hosts", 0o755, Node::Directory { opaque: false })],
        vec![link("etc/resolv.conf", "resolv.conf")],
        vec![link("etc", "../../plain")],
    ] {
        let view = View::new(vec![host.base.clone(), host.layer(changes)]);
        let message = host.run(&view, &process(&["true"])).err().map(|error| error.to_string());
        assert!(message.as_ref().is_some_and(|text| text.starts_with("cannot mount /")), "{message:?}");
    }
}

fn implied_directories_look_like_those_below(host: &Host) {
    let closed = change("d/closed", 0o700, Node::Directory { opaque: false });
    let base = View::new(vec![host.base.clone(), host.layer(vec![closed])]);
    let implying = host.layer(vec![file("d/closed/x", 0o644, ""), file("new/y", 0o644, ""), file("tmp/z", 0o644, "")]);
    let view = View::new([base.layers(), &[implying]].concat());
    let script = "stat -c '%a %Y' /tmp /d/closed /new; ls /tmp /d/closed /new";
    let ran = host.shell_in(&view, script);
    assert_eq!(ran.ok(), "1777 1000000000\n700 1000000000\n755 0\n/d/closed:\nx\n\n/new:\ny\n\n/tmp:\nz");
    assert_eq!(ran.changes(), [""; 0]);
    let written = host.shell_in(&view, "echo > /tmp/a");
    assert_eq!(
        (written.changes(), written.finished.changes[0].meta.mode),
        (vec!["tmp/".to_owned(), "tmp/a".to_owned()], 0o1777)
    );
    // What a later layer removes stays away, and what it replaces is as it says.
    let later =
        host.layer(vec![change("d", 0o711, Node::Directory { opaque: true }), change("tmp", 0, Node::Whiteout)]);
    let view = View::new([view.layers(), &[later]].concat());
    assert_eq!(host.shell_in(&view, "stat -c %a /d; ls /d; ls -d /tmp || echo gone").out, "711\ngone\n");
}

fn as_many_layers_as_docker(host: &Host) {
    let mut layers = vec![host.base.clone()];
    layers.extend((1..127).map(|number| {
        host.layer(vec![
            directory("n"),
            file("n/last", 0o644, &number.to_string()),
            file(&format!("n/x{number}"), 0o644, ""),
        ])
    }));
    let ran = host.shell_in(&View::new(layers), "cat /n/last; echo; ls /n | wc -l");
    assert_eq!(ran.ok(), "126\n127");
    assert_eq!(ran.changes(), [""; 0]);
}

fn a_layer_may_come_twice(host: &Host) {
    let one = host.layer(vec![file("f", 0o644, "one")]);
    let other = host.layer(vec![change("f", 0, Node::Whiteout), file("g", 0o644, "other")]);
    let view = View::new(vec![host.base.clone(), one.clone(), other, one]);
    assert_eq!(host.shell_in(&view, "cat /f /g").ok(), "oneother");
}

fn files_stay_the_same_when_they_are_written_to(host: &Host) {
    let script =
        "id() { stat -c %d:%i /etc/passwd; }; before=$(id); echo >> /etc/passwd; [ $before = $(id) ] && echo same";
    assert_eq!(host.shell(script).ok(), "same");
    assert_eq!(host.shell("find / -xdev -name not-executable").ok(), "/not-executable");
}

fn owners_and_modes_are_kept(host: &Host) {
    let ran = host.shell("touch /f; chmod 4711 /f; mkdir /s; chmod 1777 /s; chown 1000:1001 /f 2>/dev/null; chmod 4711 /f; stat -c '%a %u:%g' /f");
    let owner = if host.ids == Ids::Single { (0, 0) } else { (1000, 1001) };
    assert_eq!(ran.ok(), format!("4711 {}:{}", owner.0, owner.1));
    let [made, sticky] = &ran.finished.changes[..] else { panic!("{:?}", ran.changes()) };
    assert_eq!((made.meta.mode, made.meta.uid, made.meta.gid), (0o4711, owner.0, owner.1));
    assert_eq!(sticky.meta.mode, 0o1777);
}
