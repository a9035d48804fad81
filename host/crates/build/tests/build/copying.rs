//! Where COPY and ADD put things.

use crate::support::Bench;

#[track_caller]
fn copied(files: &[&str], dockerfile: &str) -> Result<Vec<String>, String> {
    let bench = Bench::new();
    for file in files {
        bench.file(file, file);
    }
    let outcome = bench.build(dockerfile);
    match &outcome.result {
        Ok(built) => Ok(bench.files(built.image).iter().map(|line| line.replace("644 0:0 ", "")).collect()),
        Err(_) => Err(outcome.error()),
    }
}

#[test]
fn files_and_directories() {
    for (files, instructions, expected) in [
        (&["a"][..], "COPY a /b", &["b: a"][..]),
        (&["a"], "COPY a /d/", &["755 0:0 d/", "d/a: a"]),
        (&["a"], "COPY a /d/e/f", &["755 0:0 d/", "755 0:0 d/e/", "d/e/f: a"]),
        (&["a", "b"], "COPY a b /d/", &["755 0:0 d/", "d/a: a", "d/b: b"]),
        (&["d/x", "d/e/y"], "COPY d /o", &["755 0:0 o/", "755 0:0 o/e/", "o/e/y: d/e/y", "o/x: d/x"]),
        (&["d/x"], "COPY d /", &["x: d/x"]),
        (&["d/x"], "COPY d/. /o/", &["755 0:0 o/", "o/x: d/x"]),
        (&["h1.txt", "h2.txt", "h"], "COPY h?.txt /o/", &["755 0:0 o/", "o/h1.txt: h1.txt", "o/h2.txt: h2.txt"]),
        (&["a b"], "COPY [\"a b\", \"/c d/\"]", &["755 0:0 c d/", "c d/a b: a b"]),
        (&["a"], "WORKDIR /w\nCOPY a .", &["755 0:0 w/", "w/a: a"]),
        (&["a"], "WORKDIR /w\nCOPY a b", &["755 0:0 w/", "w/b: a"]),
        (&["a"], "COPY ../../a /b", &["b: a"]),
        (&["a", "b"], "COPY a /x\nCOPY b /x", &["x: b"]),
        (&["a"], "COPY a /d/\nCOPY a /d", &["755 0:0 d/", "d/a: a"]),
        (&["a"], "COPY --chmod=755 a /b", &["755 0:0 b: a"]),
        (&["a"], "COPY --chown=7:8 a /b", &["644 7:8 b: a"]),
        (&["a"], "COPY --chown=7 a /b", &["644 7:7 b: a"]),
        (&["a"], "COPY <<E a /d/\nhello\nE", &["755 0:0 d/", "d/E: hello\n", "d/a: a"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(copied(files, &format!("FROM scratch\n{instructions}\n")), Ok(expected), "{instructions}");
    }
}

#[test]
fn what_cannot_be_copied_says_why() {
    for (files, instruction, expected) in [
        (&["a"][..], "COPY b /", "`b` is not in the build context"),
        (&["a"], "COPY ../b /", "`../b` is not in the build context"),
        (&["a", "b"], "COPY a b /c", "several files cannot be copied to the one file /c"),
        (&["a", "d/x"], "COPY a /d\nCOPY d /d", "cannot copy to /d: a directory cannot replace a file"),
        (&["a", "d/x"], "COPY d /d\nCOPY a /d/x/y", "/d/x is not a directory in the image"),
        (&["a"], "COPY a /f\nCOPY a /f/", "cannot copy to /f: it is a file"),
        (&["a", "d/a/x"], "COPY d /d\nCOPY a /d/", "cannot copy to /d/a: a file cannot replace a directory"),
        (&["a"], "COPY --chown=nobody a /b", "nobody"),
        (&["a"], "COPY --from=nothing a /b", "`nothing` is neither a stage nor an image"),
    ] {
        let error = copied(files, &format!("FROM scratch\n{instruction}\n")).expect_err(instruction);
        assert!(error.contains(expected), "{instruction}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_only_beneath_the_context_and_the_image() {
    use std::os::unix::fs::symlink;
    let bench = Bench::new();
    bench.file("real/file", "inside");
    symlink("real/file", bench.context.join("link")).expect("a new link");
    symlink("/real/file", bench.context.join("rooted")).expect("a new link");
    symlink("/etc/passwd", bench.context.join("outside")).expect("a new link");
    symlink("real", bench.context.join("directory")).expect("a new link");
    let built = bench.build(
        "FROM scratch\nCOPY link /a\nCOPY rooted /b\nCOPY directory /c/\nCOPY . /all/\n\
         COPY --from=0 /a /x\n",
    );
    assert!(built.error().contains("no stage `0`"), "a stage cannot copy from itself");
    let built = bench.build("FROM scratch\nCOPY link /a\nCOPY rooted /b\nCOPY directory /c/\n");
    assert_eq!(
        bench.files(built.id()),
        ["644 0:0 a: inside", "644 0:0 b: inside", "755 0:0 c/", "644 0:0 c/file: inside"]
    );
    let outside = bench.build("FROM scratch\nCOPY outside /a\n");
    assert!(outside.error().contains("`outside` is not in the build context"), "{}", outside.error());
    // Links inside a directory stay links, and a destination may lead through the image's own.
    symlink("c", bench.context.join("real/to")).expect("a new link");
    let built = bench.build("FROM scratch\nCOPY real /\nCOPY link /to/\n");
    assert_eq!(
        bench.files(built.id()),
        ["755 0:0 c/", "644 0:0 c/link: inside", "644 0:0 file: inside", "777 0:0 to -> c"]
    );
}

#[test]
fn add_unpacks_archives_and_copy_does_not() {
    let bench = Bench::new();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o600);
    header.set_cksum();
    archive.append_data(&mut header, "in/side", &b"hi"[..]).expect("in memory");
    std::fs::write(bench.context.join("x.tar"), archive.into_inner().expect("in memory")).expect("ours");
    let built = bench.build("FROM scratch\nADD x.tar /d/\n");
    assert_eq!(bench.files(built.id()), ["755 0:0 d/", "755 0:0 d/in/", "600 0:0 d/in/side: hi"]);
    let built = bench.build("FROM scratch\nCOPY x.tar /d/\n");
    assert_eq!(bench.files(built.id()).len(), 2);
    bench.file("broken.tar.gz", "\u{1f}not an archive");
    let built = bench.build("FROM scratch\nADD broken.tar.gz /d/\n");
    assert_eq!(bench.files(built.id()).len(), 2, "what is no archive is copied as it is");
}

#[test]
fn directories_that_are_there_stay_as_they_are() {
    let bench = Bench::new();
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, owner) in [("tmp/", 0o1777, 0), ("own/", 0o2770, 5)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_000_000);
        archive.append_data(&mut header, name, &[][..]).expect("in memory");
    }
    std::fs::write(bench.context.join("base.tar"), archive.into_inner().expect("in memory")).expect("ours");
    bench.file("a", "a");
    let built = bench
        .build("FROM scratch\nADD base.tar /\nCOPY a /tmp/\nCOPY a /own/\nCOPY a /own/\nUSER 7:8\nWORKDIR /own/w/x\n");
    let files = bench.files(built.id());
    let expected = ["2770 5:5 own/", "644 0:0 own/a: a", "755 7:8 own/w/", "755 7:8 own/w/x/", "1777 0:0 tmp/"];
    assert_eq!(files[..5], expected);
    // Each layer says so by itself: whoever unpacks it alone gives those directories the same modes.
    let layers = bench.config(built.id()).rootfs.diff_ids;
    for diff_id in &layers[2..] {
        let layer = bench.store().layer(diff_id).expect("is there");
        let own = layer.index.get(b"own").expect("whole").expect("listed");
        assert_eq!((own.implied, own.mode, own.uid, own.mtime), (false, 0o2770, 5, 1_000_000));
    }
}

/// Layers of files that nobody has read are written before their key is known.
#[test]
fn a_layer_is_the_same_whenever_it_is_written() {
    let bench = Bench::new();
    let text = "large ".repeat(20_000);
    bench.file("d/large", &text);
    bench.file("d/small", "small");
    let layers = |dockerfile| {
        let built = bench.build(dockerfile);
        (bench.config(built.id()).rootfs.diff_ids, built.how().join(" "))
    };
    // What may be an archive is read first.
    let (added, _) = layers("FROM scratch\nADD d/large d/small /d/\n");
    assert_eq!(layers("FROM scratch\nCOPY d/large d/small /d/\n").0, added);
    let (copied, how) = layers("FROM scratch\nCOPY d /d\n");
    assert_eq!(how, "done");
    bench.file("d/large", &text);
    assert_eq!(layers("FROM scratch\nCOPY d /d\n"), (copied.clone(), "hit".to_owned()), "written in vain");
    bench.file("d/large", &text.replace("large", "other"));
    let (other, how) = layers("FROM scratch\nCOPY d /d\n");
    assert!(how == "done" && other != copied);
}
