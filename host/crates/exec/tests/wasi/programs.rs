//! The guest tools, as the steps of images without a shell use them.

use kiln_image::View;

use crate::support::{Outcome, layer, process, run};

fn shell(script: &str, entries: &[(&str, Option<&[u8]>)]) -> Outcome {
    let mut process = process(&["sh", "-c", script]);
    process.guest_tools = true;
    process.cwd = "/work".to_owned();
    let view = View::new(if entries.is_empty() { vec![] } else { vec![layer(entries)] });
    run(&view, &process).expect("the shell runs")
}

#[test]
fn an_empty_image_can_be_furnished() {
    let outcome = shell(
        "set -e; mkdir -p /app/etc; echo \"port=80\" > /app/etc/conf; cd /app; chmod 600 etc/conf; ln -s conf etc/link; \
         cat etc/link; pwd; ls -a /",
        &[],
    );
    assert_eq!((outcome.code, &outcome.err[..]), (0, ""));
    assert_eq!(outcome.out, "port=80\n/app\n.\n..\napp\ndev\nproc\nwork\n");
    assert_eq!(
        outcome.changes,
        [
            "dir /app 755 0:0 315532800",
            "dir /app/etc 755 0:0 315532800",
            "file /app/etc/conf 600 0:0 315532800 \"port=80\\n\"",
            "link /app/etc/link -> conf",
            "dir /work 755 0:0 315532800",
        ]
    );
}

#[test]
fn pipelines_run_side_by_side() {
    let outcome = shell("seq 1 20000 | sed 's/^/line /' | sort -r | head -n 2 | tr a-z A-Z; yes | head -n 1", &[]);
    assert_eq!((outcome.code, &outcome.out[..]), (0, "LINE 9999\nLINE 9998\ny\n"), "{}", outcome.err);
}

#[test]
fn the_image_is_changed_and_nothing_else() {
    let files: [(&str, Option<&[u8]>); 3] = [("data/a", Some(b"1")), ("data/b", Some(b"2")), ("bin/job", Some(SCRIPT))];
    const SCRIPT: &[u8] = b"#!/bin/sh\necho job \"$@\" in $(pwd)\nexit 3\n";
    let outcome =
        shell("rm /data/a; mv /data/b /data/c; /bin/job x; echo $?; rm -rf /work/*; no-such-tool; true", &files);
    assert_eq!((outcome.code, &outcome.out[..]), (0, "job x in /work\n3\n"), "{}", outcome.err);
    assert_eq!(
        outcome.changes,
        [
            "dir /data 755 0:0 315532800",
            "gone /data/a",
            "gone /data/b",
            "file /data/c 755 0:0 315532800 \"2\"",
            "dir /work 755 0:0 315532800"
        ]
    );
}

#[test]
fn every_run_has_the_same_output() {
    let script = "mktemp -u; for i in 1 2 3 4 5 6; do (head -c 8 /dev/urandom | od -An -tx1; date) & done | sort; wait";
    let first = shell(script, &[]);
    assert_eq!(first.code, 0, "{}", first.err);
    for _ in 0..5 {
        assert_eq!(shell(script, &[]), first);
    }
}
