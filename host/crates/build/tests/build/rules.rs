//! The rules of COPY and ADD that go beyond "this file there": patterns, parents, links, special files.

use kiln_image::Kind;

use crate::support::Bench;

/// Files are given as `path` or `path:mode`; what is copied comes back without the usual modes and owner.
#[track_caller]
fn copied(files: &[&str], instructions: &str) -> Result<Vec<String>, String> {
    let bench = Bench::new();
    for file in files {
        bench.file(file, file.rsplit('/').next().expect("never empty"));
    }
    let outcome = bench.build(&format!("FROM scratch\n{instructions}\n"));
    match &outcome.result {
        Ok(built) => Ok(bench.files(built.image).iter().map(|line| usual(line)).collect()),
        Err(_) => Err(outcome.error()),
    }
}

fn usual(line: &str) -> String {
    line.replace("644 0:0 ", "").replace("755 0:0 ", "")
}

#[track_caller]
fn check(files: &[&str], instructions: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
    assert_eq!(copied(files, instructions), Ok(expected), "{instructions}");
}

const TREE: [&str; 5] = ["a/b/c/d/foo", "a/b/c/d/e/bay", "a/b2/c/d/e/bar", "a/b/c2/d/e/baz", "a/b/c2/d/e2/baz"];

#[test]
fn parents_come_along_from_the_pivot_on() {
    for (instructions, expected) in [
        ("COPY --parents a/b/c/d/foo /", &["a/", "a/b/", "a/b/c/", "a/b/c/d/", "a/b/c/d/foo: foo"][..]),
        ("COPY --parents a/b/c/d/f* x/", &["x/", "x/a/", "x/a/b/", "x/a/b/c/", "x/a/b/c/d/", "x/a/b/c/d/foo: foo"]),
        ("COPY --parents a/b/./c/d /o/", &["o/", "o/c/", "o/c/d/", "o/c/d/e/", "o/c/d/e/bay: bay", "o/c/d/foo: foo"]),
        ("COPY --parents /a/b/c/d/e/. /", &["a/", "a/b/", "a/b/c/", "a/b/c/d/", "a/b/c/d/e/", "a/b/c/d/e/bay: bay"]),
        ("COPY --parents a/./b/./c/d/e /o/", &["o/", "o/b/", "o/b/c/", "o/b/c/d/", "o/b/c/d/e/", "o/b/c/d/e/bay: bay"]),
        (
            "COPY --parents a/b*/./c/**/e /o/",
            &["o/", "o/c/", "o/c/d/", "o/c/d/e/", "o/c/d/e/bar: bar", "o/c/d/e/bay: bay"],
        ),
        (
            "COPY --parents a/b/c*/./d/**/baz a/b*/./c/**/bar /o/",
            &[
                "o/",
                "o/c/",
                "o/c/d/",
                "o/c/d/e/",
                "o/c/d/e/bar: bar",
                "o/d/",
                "o/d/e/",
                "o/d/e/baz: baz",
                "o/d/e2/",
                "o/d/e2/baz: baz",
            ],
        ),
        ("COPY --parents a/b9*/c /o/", &["o/"]),
        ("COPY --parents a/b/./x* /o/", &["o/"]),
    ] {
        check(&TREE, instructions, expected);
    }
    let error = copied(&TREE, "COPY --parents a/nothing /o/").expect_err("missing");
    assert!(error.contains("`a/nothing` is not in the build context"), "{error}");
}

#[test]
fn what_is_excluded_stays_behind() {
    let files = ["d/a.txt", "d/b.md", "d/s/c.txt", "d/s/d.md", "top.txt", "top.md"];
    for (instructions, expected) in [
        ("COPY --exclude=*.txt d /o/", &["o/", "o/b.md: b.md", "o/s/", "o/s/c.txt: c.txt", "o/s/d.md: d.md"][..]),
        ("COPY --exclude=**/*.txt d /o/", &["o/", "o/b.md: b.md", "o/s/", "o/s/d.md: d.md"]),
        ("COPY --exclude=s --exclude=*.md d /o/", &["o/", "o/a.txt: a.txt"]),
        (
            "COPY --exclude=s --exclude=!s/c.txt d /o/",
            &["o/", "o/a.txt: a.txt", "o/b.md: b.md", "o/s/", "o/s/c.txt: c.txt"],
        ),
        ("COPY --exclude=* d /o", &["o/"]),
        ("COPY --exclude=*.txt top* /o/", &["o/", "o/top.md: top.md"]),
        ("COPY --parents --exclude=**/*.md d/s /o/", &["o/", "o/d/", "o/d/s/", "o/d/s/c.txt: c.txt"]),
        ("ARG P=**/*.txt\nCOPY --exclude=$P d/s /o/", &["o/", "o/d.md: d.md"]),
    ] {
        check(&files, instructions, expected);
    }
    let error = copied(&files, "COPY --exclude=[ d /o/").expect_err("no pattern");
    assert!(error.contains("--exclude has a pattern that is none"), "{error}");
}

#[test]
fn wildcards() {
    for (files, instructions, expected) in [
        (&["a.go", "b.go"][..], "COPY *.go /one", &["one: b.go"][..]),
        (&["d/x/f", "e"], "COPY d/* /o", &["o/", "o/f: f"]),
        (&["d/x/f", "d/y"], "COPY d/* /o", &["o/", "o/f: f", "o/y: y"]),
        (&["s/1/t/f", "s/2/t/g"], "COPY s/*/t /o/", &["o/", "o/f: f", "o/g: g"]),
        (&["foo"], "COPY foo nothing* /", &["foo: foo"]),
        (&["foo"], "COPY nothing* /o/\nCOPY foo /", &["foo: foo"]),
        (&["a[b", "ab"], "COPY a[[]b /", &["a[b: a[b"]),
        (&["a", "b", "c"], "COPY [ab] /o/", &["o/", "o/a: a", "o/b: b"]),
        (&["a", "b", "c"], "COPY [^ab] /o/", &["o/", "o/c: c"]),
        (&["d/a", "d/b/c"], "COPY d/? /o/", &["o/", "o/a: a", "o/c: c"]),
    ] {
        check(files, instructions, expected);
    }
    let error = copied(&["f", "x/y"], "COPY f x? x* /o").expect_err("several");
    assert!(error.contains("several files cannot be copied to the one file /o"), "{error}");
    let error = copied(&["a", "b/c"], "COPY ? /o").expect_err("a directory after a file");
    assert!(error.contains("a directory cannot replace a file"), "{error}");
    let error = copied(&["a", "d/a/x"], "COPY a d /o/").expect_err("a directory after a file");
    assert!(error.contains("cannot copy to /o/a"), "{error}");
}

#[test]
fn modes_and_owners_of_what_is_made() {
    check(&["a"], "COPY --chmod=700 a /d/e/", &["700 0:0 d/", "700 0:0 d/e/", "700 0:0 d/e/a: a"]);
    check(&["a"], "COPY --chmod=go= a /d/", &["d/", "600 0:0 d/a: a"]);
    check(&["a"], "COPY --chmod=4755 --chown=1:2 a /d/", &["755 1:2 d/", "4755 1:2 d/a: a"]);
    check(&["d/a"], "COPY --chmod=u=rwX,go= d /o", &["o/", "600 0:0 o/a: a"]);
    check(
        &["p/passwd", "a"],
        "COPY p/passwd /etc/passwd\nCOPY --chown=:5 a /b",
        &["644 0:5 b: a", "etc/", "etc/passwd: passwd"],
    );
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn links_of_sources_and_destinations() {
        let bench = Bench::new();
        bench.file("real/f", "f");
        bench.file("other/sub/x", "x");
        symlink("../real", bench.context.join("other/up")).expect("ours");
        symlink("real", bench.context.join("to")).expect("ours");
        symlink("nowhere", bench.context.join("dangling")).expect("ours");
        for (instructions, expected) in [
            // A link in the middle is followed, one that is named too, one in a directory stays a link.
            ("COPY to/f /g", &["g: f"][..]),
            ("COPY to/* /o/", &["o/", "o/f: f"]),
            ("COPY other/up/f /g", &["g: f"]),
            ("COPY t* /o/", &["o/", "o/f: f"]),
            ("COPY --parents other/up /", &["other/", "777 0:0 other/up -> ../real"]),
            // Links of the image are followed, and an absolute one begins at its root.
            (
                "COPY other /\nCOPY real /up/in/",
                &["777 0:0 up -> ../real", "real/", "real/in/", "real/in/f: f", "sub/", "sub/x: x"],
            ),
            // What replaces a link replaces the link.
            (
                "COPY other /o/\nCOPY to/f /o/up2\nCOPY to/f /o/sub/x",
                &["o/", "o/sub/", "o/sub/x: f", "777 0:0 o/up -> ../real", "o/up2: f"],
            ),
        ] {
            let built = bench.build(&format!("FROM scratch\n{instructions}\n"));
            let mut found: Vec<String> = bench.files(built.id()).iter().map(|line| usual(line)).collect();
            let mut expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{instructions}");
        }
        for (instructions, expected) in [
            ("COPY dangling /", "`dangling` is not in the build context"),
            ("COPY d* /", "`dangling`, which `d*` matches, is not in the build context"),
            ("COPY other /\nCOPY other/sub/x /real\nCOPY real /up", "cannot copy to /real"),
        ] {
            let error = bench.build(&format!("FROM scratch\n{instructions}\n")).error();
            assert!(error.contains(expected), "{instructions}: {error}");
        }
    }

    #[test]
    fn a_directory_does_not_replace_a_link_to_one() {
        let bench = Bench::new();
        bench.file("a/sub/x", "x");
        std::fs::create_dir_all(bench.context.join("b/real")).expect("ours");
        symlink("real", bench.context.join("b/sub")).expect("ours");
        let error = bench.build("FROM scratch\nCOPY b /\nCOPY a /\n").error();
        assert!(error.contains("cannot copy to /sub: a directory cannot replace a file or a link"), "{error}");
    }

    #[test]
    fn several_names_of_a_file_stay_one_file() {
        let bench = Bench::new();
        bench.file("d/one", "1");
        std::fs::hard_link(bench.context.join("d/one"), bench.context.join("d/two")).expect("ours");
        let built = bench.build("FROM scratch\nCOPY d /o/\nCOPY d/one d/two /p/\n");
        let config = bench.config(built.id());
        let layer = bench.store().layer(&config.rootfs.diff_ids[0]).expect("there");
        assert!(matches!(layer.index.get(b"o/two").expect("whole").expect("there").kind, Kind::HardLink(b"o/one")));
        let apart = bench.store().layer(&config.rootfs.diff_ids[1]).expect("there");
        assert!(
            matches!(apart.index.get(b"p/two").expect("whole").expect("there").kind, Kind::File { .. }),
            "two sources are two files"
        );
    }

    #[test]
    fn pipes_are_pipes_and_sockets_are_empty() {
        let bench = Bench::new();
        bench.file("d/a", "a");
        let pipe = bench.context.join("d/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        let _socket = UnixListener::bind(bench.context.join("d/socket")).expect("a socket");
        let built = bench.build("FROM scratch\nCOPY d /\nCOPY d/pipe /named\n");
        let files = bench.files(built.id());
        let names: Vec<&str> = files.iter().filter_map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(names, ["a:", "named?", "pipe?", "socket:"], "{files:?}");
    }

    #[test]
    fn attributes_of_the_file_are_kept_and_those_of_the_host_are_not() {
        let bench = Bench::new();
        bench.file("a", "a");
        let set = |name: &str, value: &[u8]| {
            rustix::fs::setxattr(bench.context.join("a"), name, value, rustix::fs::XattrFlags::empty())
        };
        if set("user.kept", b"1").is_err() {
            assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "no extended attributes here");
            eprintln!("skipped: no extended attributes here");
            return;
        }
        // Only root may.
        let _ = set("trusted.host", b"2");
        bench.file("d/b", "b");
        rustix::fs::setxattr(bench.context.join("d"), "user.kept", b"1", rustix::fs::XattrFlags::empty())
            .expect("as of the file");
        for _ in 0..2 {
            let built = bench.build("FROM scratch\nCOPY . /\n");
            let layer = bench.store().layer(&bench.config(built.id()).rootfs.diff_ids[0]).expect("there");
            let xattrs = layer.index.get(b"a").expect("whole").expect("there").meta().xattrs;
            let names: Vec<_> = xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            assert_eq!(names, ["user.kept"]);
            let directory = layer.index.get(b"d").expect("whole").expect("there").meta().xattrs;
            assert!(directory.is_empty(), "{directory:?}");
        }
        set("user.kept", b"changed").expect("as before");
        assert_eq!(bench.build("FROM scratch\nCOPY . /\n").how(), ["done"], "attributes are part of the key");
    }
}

#[test]
fn a_layer_of_its_own_fits_any_image() {
    let bench = Bench::new();
    bench.file("a", "a");
    bench.file("base/t/x", "1");
    let dockerfile = "FROM scratch\nCOPY base /\nCOPY --link a /t/\nCOPY --link --chown=3 a /made/\n";
    let first = bench.build(dockerfile);
    assert_eq!(first.how(), ["done", "done", "done"]);
    let files: Vec<String> = bench.files(first.id()).iter().map(|line| usual(line)).collect();
    assert_eq!(files, ["755 3:3 made/", "644 3:3 made/a: a", "t/", "t/a: a", "t/x: 1"]);
    let layers = bench.config(first.id()).rootfs.diff_ids;
    let own = bench.store().layer(&layers[1]).expect("there");
    assert!(
        own.index.get(b"t").expect("whole").expect("there").implied,
        "it says nothing of a directory that it does not bring"
    );
    // Another base, the same layers.
    bench.file("base/t/x", "2");
    let second = bench.build(dockerfile);
    assert_eq!(second.how(), ["done", "hit", "hit"]);
    assert_eq!(bench.config(second.id()).rootfs.diff_ids[1..], layers[1..]);
}
