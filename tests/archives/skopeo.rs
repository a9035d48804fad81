//! skopeo reads every form that kiln writes, and kiln every form that skopeo writes; digests stay.

use crate::kiln::Kiln;
use crate::work::Work;

/// The form, what kiln calls it, and where skopeo finds the image in it.
const FORMS: [(&str, &str, &str); 3] = [
    ("docker-archive", "d.tar", "docker-archive:d.tar:localhost/app:1"),
    ("oci-archive", "o.tar", "oci-archive:o.tar:1"),
    ("oci-dir", "o", "oci:o:1"),
];

#[test]
fn reads_what_kiln_writes() {
    let Some(work) = Work::with(&["skopeo"]) else { return };
    let id = work.build("localhost/app:1", &[]);
    for (format, file, image) in FORMS {
        for compression in ["none", "gzip", "zstd"] {
            work.run("rm -rf d.tar o.tar o copy");
            work.kiln(&["save", "--format", format, "--compression", compression, "-o", file, "localhost/app:1"]);
            // The id is the digest of the configuration.
            let inspected = work.skopeo(&["inspect", "--config", "--raw", image]);
            assert_eq!(kiln_types::Digest::of(inspected).to_string(), id, "{format}, {compression}");
            work.skopeo(&["copy", "--dest-decompress", image, "dir:copy"]);
            let config = id.strip_prefix("sha256:").expect("an id");
            assert!(work.has(format!("copy/{config}")), "{format}, {compression}");
        }
    }
    // An archive for Docker is a layout as well, with one and the same manifest in every form.
    work.run("rm -rf d.tar o");
    work.kiln(&["save", "-o", "d.tar", "localhost/app:1"]);
    work.kiln(&["save", "--format", "oci-dir", "--compression", "none", "-o", "o", "localhost/app:1"]);
    let raw = |image: &str| work.skopeo(&["inspect", "--raw", image]);
    assert_eq!(raw("oci-archive:d.tar:1"), raw("oci:o:1"));
}

#[test]
fn writes_what_kiln_reads() {
    let Some(work) = Work::with(&["skopeo"]) else { return };
    let id = work.build("localhost/app:1", &[]);
    work.kiln(&["save", "-o", "kiln.tar", "localhost/app:1"]);
    let copies: [(&[&str], &str, &str); 7] = [
        (&[], "docker-archive:d.tar:localhost/app:2", "d.tar"),
        (&[], "oci-archive:o.tar:localhost/app:2", "o.tar"),
        (&[], "oci:o:localhost/app:2", "o"),
        (&["--dest-compress-format", "gzip", "--dest-compress"], "oci:o:localhost/app:2", "o"),
        (&["--dest-compress-format", "zstd", "--dest-compress"], "oci:o:localhost/app:2", "o"),
        (&["--dest-compress-format", "zstd", "--dest-compress"], "oci-archive:o.tar:localhost/app:2", "o.tar"),
        (&["--dest-oci-accept-uncompressed-layers"], "oci:o:localhost/app:2", "o"),
    ];
    for (options, target, file) in copies {
        work.run("rm -rf d.tar o.tar o back");
        work.skopeo(&[&["copy"], options, &["docker-archive:kiln.tar:localhost/app:1", target]].concat());
        let other = Kiln::new();
        let said = work.kiln_of(&other, &["load", "-i", file]);
        assert_eq!(said, "Loaded image: localhost/app:2", "{target} {options:?}");
        assert_eq!(work.id(&other, "localhost/app:2"), id, "{target} {options:?}");
        assert!(work.kiln_of(&other, &["export", "-o", "root.tar", "localhost/app:2"]).is_empty());
        // What came is what goes.
        work.kiln_of(&other, &["save", "--format", "oci-dir", "-o", "back", "localhost/app:2"]);
        if target.starts_with("oci") {
            let raw = |image: &str| work.skopeo(&["inspect", "--raw", image]);
            assert_eq!(raw("oci:back:2"), raw(target), "{options:?}");
            let blobs = |layout: &str| work.run(&format!("ls {layout}/blobs/sha256"));
            assert!(file != "o" || blobs("back") == blobs("o"), "{options:?}");
        }
    }
}
