//! podman loads what kiln saves and the other way round, with the same ids.

use crate::kiln::Kiln;
use crate::work::Work;

#[test]
fn both_ways_with_the_same_ids() {
    let Some(work) = Work::with(&["podman"]) else { return };
    let id = work.build("localhost/app:1", &[]);
    let bare = id.strip_prefix("sha256:").expect("an id");
    work.kiln(&["tag", "localhost/app:1", "localhost/app:2"]);
    for (format, file) in [("docker-archive", "k.tar"), ("oci-archive", "k.tar")] {
        work.run("rm -f k.tar");
        let name = "localhost/app:1";
        work.kiln(&["save", "--format", format, "-o", file, name]);
        work.podman(&["load", "-q", "-i", file]);
        let ids = work.podman(&["images", "-q", "--no-trunc"]);
        assert_eq!(ids, id, "{format}");
        for (theirs, back) in [("docker-archive", "p.tar"), ("oci-archive", "p.tar"), ("oci-dir", "p")] {
            work.run("rm -rf p p.tar");
            work.podman(&["save", "-q", "--format", theirs, "-o", back, bare]);
            let other = Kiln::new();
            let said = work.kiln_of(&other, &["load", "-i", back]);
            assert_eq!(said, format!("Loaded image ID: {id}"), "{format}, {theirs}");
            assert_eq!(work.kiln_of(&other, &["images", "-q", "--no-trunc"]), id);
        }
        work.podman(&["rmi", "-a", "-f"]);
    }
}

#[test]
fn names_go_and_come() {
    let Some(work) = Work::with(&["podman"]) else { return };
    let id = work.build("localhost/app:1", &[]);
    work.kiln(&["tag", "localhost/app:1", "host:5000/team/app:2"]);
    work.kiln(&["save", "-o", "k.tar", "localhost/app:1", "host:5000/team/app:2"]);
    work.podman(&["load", "-q", "-i", "k.tar"]);
    work.podman(&["save", "-q", "--multi-image-archive", "-o", "p.tar", "localhost/app:1", "host:5000/team/app:2"]);
    let other = Kiln::new();
    let said = work.kiln_of(&other, &["load", "-i", "p.tar"]);
    assert_eq!(said, "Loaded image: host:5000/team/app:2\nLoaded image: localhost/app:1");
    assert_eq!(work.id(&other, "localhost/app:1"), id);
}

#[test]
fn a_root_filesystem_goes_through_both() {
    let Some(work) = Work::with(&["podman"]) else { return };
    work.build("localhost/app:1", &[]);
    work.kiln(&["export", "-o", "k.tar", "localhost/app:1"]);
    // podman keeps the tar as the layer, byte for byte, and so does kiln.
    work.podman(&["import", "-q", "k.tar", "flat"]);
    let layers = work.podman(&["image", "inspect", "--format", "{{index .RootFS.Layers 0}}", "flat"]);
    work.kiln(&["import", "k.tar", "flat"]);
    assert_eq!(work.kiln.layers("flat"), [layers]);
    let told: serde_json::Value =
        serde_json::from_str(&work.kiln(&["diff", "--json", "localhost/app:1", "flat"])).expect("JSON");
    assert_eq!(told["files"].as_array().map(Vec::len), Some(0), "{told}");
}
