//! Images for several platforms: the index goes and comes with all that it leads to.

use crate::kiln::Kiln;
use crate::work::Work;

#[test]
fn an_index_stays_what_it_is() {
    let Some(work) = Work::with(&["podman", "skopeo"]) else { return };
    work.podman(&["manifest", "create", "multi"]);
    for architecture in ["amd64", "arm64"] {
        let name = format!("localhost/one:{architecture}");
        work.build(&name, &["--platform", &format!("linux/{architecture}")]);
        work.kiln(&["save", "--format", "oci-dir", "-o", architecture, &name]);
        work.podman(&["manifest", "add", "multi", &format!("oci:{architecture}:{architecture}")]);
    }
    work.podman(&["manifest", "push", "--all", "multi", "oci:p:localhost/multi:1"]);
    let raw = |image: &str| work.skopeo(&["inspect", "--raw", image]);
    let theirs = raw("oci:p:localhost/multi:1");
    assert!(theirs.contains("arm64"), "{theirs}");

    let other = Kiln::new();
    assert_eq!(work.kiln_of(&other, &["load", "-i", "p"]), "Loaded image: localhost/multi:1");
    work.kiln_of(&other, &["save", "--format", "oci-dir", "-o", "k", "localhost/multi:1"]);
    assert_eq!(raw("oci:k:1"), theirs);
    assert_eq!(work.run("ls k/blobs/sha256"), work.run("ls p/blobs/sha256"));
    work.kiln_of(&other, &["tag", "localhost/multi:1", "localhost/multi:2"]);
    work.kiln_of(&other, &["save", "--format", "oci-archive", "-o", "k.tar", "localhost/multi:2"]);
    assert_eq!(raw("oci-archive:k.tar:2"), theirs);
    work.skopeo(&["copy", "--all", "oci-archive:k.tar:2", "oci:s:3"]);
    assert_eq!(raw("oci:s:3"), theirs);

    // Docker's form has one platform, and kiln says so.
    let save = work.path("d.tar");
    let output = other.command().args(["save", "localhost/multi:1", "-o"]).arg(&save).output().expect("kiln starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("a docker-archive has one platform"), "{said}");
    let inspected = work.skopeo(&["inspect", "--config", "docker-archive:d.tar"]);
    assert!(inspected.contains("\"amd64\"") || inspected.contains("\"arm64\""), "{inspected}");
}
