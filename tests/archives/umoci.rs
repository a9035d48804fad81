//! umoci works on layouts: it unpacks what kiln wrote, and kiln loads what it has changed.

use crate::kiln::Kiln;
use crate::work::Work;

#[test]
fn unpacks_and_repacks() {
    let Some(work) = Work::with(&["umoci"]) else { return };
    let id = work.build("localhost/app:1", &[]);
    work.kiln(&["save", "--format", "oci-dir", "-o", "layout", "localhost/app:1"]);
    let rootless = work.run("[ $(id -u) = 0 ] || echo --rootless");
    work.run(&format!("umoci unpack {rootless} --image layout:1 bundle"));
    assert_eq!(work.run("cat bundle/rootfs/dir/two; stat -c %a bundle/rootfs/dir/two"), "second\n755");

    work.run("echo third > bundle/rootfs/dir/three; rm bundle/rootfs/dir/one");
    work.run("umoci repack --image layout:2 bundle && umoci config --image layout:2 --config.user 5 --tag 3");
    let other = Kiln::new();
    let said = work.kiln_of(&other, &["load", "-i", "layout"]);
    // umoci leaves the name that it found to what it derives, with another tag beside it.
    assert_eq!(said, "Loaded image: localhost/app:1\nLoaded image: localhost/app:2\nLoaded image: localhost/app:3");
    assert_eq!(work.id(&other, "localhost/app:1"), id);
    let told = work.kiln_of(&other, &["diff", "localhost/app:1", "localhost/app:3"]);
    for line in ["- /dir/one  18kB", "+ /dir/three  6B", "+ config.User  5"] {
        assert!(told.lines().any(|found| found == line), "{line}: {told}");
    }
    // A tag of the layout is enough for a build.
    std::fs::write(work.path("Dockerfile"), "FROM base\nCOPY --from=base /dir/three /copy\n").expect("ours");
    work.kiln_of(&other, &["build", "-q", "--build-context", "base=oci-layout://layout:2", "-t", "on-it", "."]);
}
