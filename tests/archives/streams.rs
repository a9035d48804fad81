//! Archives through pipes, compressed by others, and files that are written whole or not at all.

use crate::kiln::Kiln;
use crate::work::Work;

#[test]
fn any_compression_under_any_name() {
    let Some(work) = Work::with(&["gzip", "bzip2", "xz", "zstd"]) else { return };
    let id = work.build("app:1", &[]);
    for format in ["docker-archive", "oci-archive"] {
        work.kiln(&["save", "--format", format, "-o", "app.tar", "app:1"]);
        for filter in ["cat", "gzip", "bzip2", "xz", "zstd"] {
            work.run(&format!("{filter} < app.tar > app.tar.gz"));
            for way in ["-i app.tar.gz", "< app.tar.gz", "-q < app.tar.gz"] {
                let other = Kiln::new();
                let script = format!("\"$KILN\" load {way}");
                let mut command = other.command();
                let program = command.get_program().to_owned();
                let root = command.get_envs().find(|(name, _)| *name == "KILN_ROOT").and_then(|(_, value)| value);
                let root = root.expect("a store").to_owned();
                command = std::process::Command::new("sh");
                command.args(["-c", &script]).current_dir(work.path(""));
                let said = crate::work::told(command.env("KILN", program).env("KILN_ROOT", root));
                assert_eq!(said, if way.starts_with("-q") { "" } else { "Loaded image: app:1" });
                assert_eq!(work.id(&other, "app:1"), id);
            }
        }
    }
}

#[test]
fn the_same_image_is_the_same_archive() {
    let work = Work::new();
    work.build("app:1", &[]);
    let other = Kiln::new();
    for (format, file) in [("docker-archive", "tar"), ("oci-archive", "tar")] {
        work.kiln(&["save", "--format", format, "-o", "a.tar", "app:1"]);
        work.kiln_of(&other, &["load", "-q", "-i", "a.tar"]);
        for store in [&work.kiln, &other] {
            work.kiln_of(store, &["save", "--format", format, "-o", "b.tar", "app:1"]);
            assert_eq!(work.run("cmp a.tar b.tar && rm b.tar"), "", "{format} {file}");
        }
        work.run("rm a.tar");
        work.kiln_of(&other, &["rmi", "app:1"]);
    }
}

#[test]
fn a_file_is_whole_or_as_it_was() {
    let work = Work::new();
    work.build("app:1", &[]);
    work.run("echo before > out.tar");
    let failed = |arguments: &[&str]| {
        let output = work.kiln.command().args(arguments).current_dir(work.path("")).output().expect("kiln starts");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    failed(&["save", "-o", "out.tar", "app:1", "no-such-image"]);
    // A layer that was damaged behind kiln's back.
    let layer = work.kiln.layers("app:1")[0].strip_prefix("sha256:").expect("a digest").to_owned();
    let command = work.kiln.command();
    let root = command.get_envs().find(|(name, _)| *name == "KILN_ROOT").and_then(|(_, value)| value).expect("a store");
    let blob = std::path::Path::new(root).join("blobs/sha256").join(layer);
    let mut bytes = std::fs::read(&blob).expect("the layer");
    bytes[600] ^= 1;
    std::fs::remove_file(&blob).expect("remove");
    std::fs::write(&blob, bytes).expect("write");
    let said = failed(&["save", "-o", "out.tar", "app:1"]);
    assert!(said.contains("was damaged and has been removed"), "{said}");
    assert_eq!(work.run("cat out.tar; ls -A | grep -c out"), "before\n1");
    failed(&["save", "--format", "oci-dir", "-o", "new", "app:1"]);
    assert!(!work.has("new"));
}
