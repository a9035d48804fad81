//! Pushing and pulling: the same image comes back, and nothing travels that is there already.

use crate::layout::Layout;
use crate::plain;
use crate::user::{User, digest, noise};

#[test]
fn what_is_pushed_comes_back_the_same() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let host = registry.host();
    let name = format!("{host}/team/app:1");
    author.image(&name, &[b"one", &noise(1, 300_000)]);
    let pushed = author.kiln(&["push", &name]);
    assert!(pushed.contains(&format!("The push refers to repository [{host}/team/app]\n")), "{pushed}");
    assert_eq!(pushed.matches(": Pushed\n").count(), 2, "{pushed}");

    let pulled = reader.kiln(&["pull", &name]);
    assert_eq!(digest(&pulled), digest(&pushed));
    assert!(pulled.contains("1: Pulling from team/app\n"), "{pulled}");
    assert_eq!(pulled.matches(": Pull complete\n").count(), 2, "{pulled}");
    assert!(pulled.contains(&format!("Status: Downloaded newer image for {name}\n")), "{pulled}");
    assert!(pulled.lines().any(|line| line == name), "{pulled}");
    assert_eq!(reader.id(&name), author.id(&name));
    reader.check_content(&name);

    registry.forget();
    let again = reader.kiln(&["pull", &name]);
    assert!(again.contains(&format!("Status: Image is up to date for {name}\n")), "{again}");
    assert!(registry.requests().iter().all(|request| !request.path.contains("/blobs/")));

    let by_digest = format!("{host}/team/app@{}", digest(&pushed));
    let other = User::new();
    assert_eq!(digest(&other.kiln(&["pull", &by_digest])), digest(&pushed));
    assert_eq!(other.id(&by_digest), author.id(&name));
    let listed = other.kiln(&["images", "--digests"]);
    assert!(listed.contains(&digest(&pushed)), "{listed}");
}

#[test]
fn without_a_tag_latest_is_meant() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let name = format!("{}/app", registry.host());
    author.image(&name, &[b"one"]);
    let pushed = author.kiln(&["push", &name]);
    assert!(pushed.contains("Using default tag: latest\n") && pushed.contains("\nlatest: digest: sha256:"), "{pushed}");
    let pulled = reader.kiln(&["pull", &name]);
    assert!(pulled.contains("Using default tag: latest\n"), "{pulled}");
    assert!(pulled.lines().any(|line| line == format!("{name}:latest")), "{pulled}");
}

#[test]
fn all_tags_travel() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let repository = format!("{}/app", registry.host());
    for tag in ["1", "2", "latest"] {
        author.image(&format!("{repository}:{tag}"), &[b"base", tag.as_bytes()]);
    }
    author.kiln(&["push", "-a", &repository]);
    let pulled = reader.kiln(&["pull", "--all-tags", &repository]);
    for tag in ["1", "2", "latest"] {
        let name = format!("{repository}:{tag}");
        assert_eq!(reader.id(&name), author.id(&name), "{pulled}");
    }
    let reason = reader.fails(&["pull", "-a", &format!("{repository}:1")]);
    assert!(reason.contains("tag can't be used with --all-tags/-a"), "{reason}");
}

#[test]
fn layers_that_are_there_do_not_travel_again() {
    let Some(registry) = plain() else { return };
    let author = User::new();
    let (base, one, two) = (noise(1, 200_000), noise(2, 1000), noise(3, 1000));
    let name = |tag: &str| format!("{}/app:{tag}", registry.host());
    author.image(&name("1"), &[&base, &one]);
    author.image(&name("2"), &[&base, &two]);
    author.kiln(&["push", &name("1")]);
    registry.forget();
    let again = author.kiln(&["push", &name("1")]);
    assert_eq!(again.matches(": Layer already exists\n").count(), 2, "{again}");
    let uploads = || registry.requests().iter().filter(|request| request.path.contains("/blobs/uploads/")).count();
    assert_eq!(uploads(), 0, "{:?}", registry.requests());
    let second = author.kiln(&["push", &name("2")]);
    assert_eq!(second.matches(": Layer already exists\n").count(), 1, "{second}");
    assert_eq!(second.matches(": Pushed\n").count(), 1, "{second}");

    // A user who has one of them gets only the other layer.
    let reader = User::new();
    reader.kiln(&["pull", &name("1")]);
    registry.forget();
    let pulled = reader.kiln(&["pull", &name("2")]);
    assert_eq!(pulled.matches(": Already exists\n").count(), 1, "{pulled}");
    let most = registry.requests().iter().map(|request| request.written).max();
    assert!(most.is_some_and(|bytes| bytes < 100_000), "{:?}", registry.requests());
}

#[test]
fn layers_are_mounted_from_other_repositories() {
    let Some(registry) = plain() else { return };
    let author = User::new();
    let (from, to) = (format!("{}/one/app:1", registry.host()), format!("{}/two/app:1", registry.host()));
    author.image(&from, &[&noise(1, 300_000)]);
    let pushed = author.kiln(&["push", &from]);
    author.kiln(&["tag", &from, &to]);
    registry.forget();
    let mounted = author.kiln(&["push", &to]);
    assert!(mounted.contains(": Mounted from one/app\n"), "{mounted}");
    assert_eq!(digest(&mounted), digest(&pushed));
    let is_mount = |path: &str| {
        path.contains("mount=sha256") && (path.contains("from=one/app") || path.contains("from=one%2Fapp"))
    };
    let mounts = registry.requests().into_iter().filter(|request| is_mount(&request.path) && request.status == 201);
    assert!(mounts.count() >= 1, "{:?}", registry.requests());
    let reader = User::new();
    reader.kiln(&["pull", &to]);
    assert_eq!(reader.id(&to), author.id(&from));
}

#[test]
fn a_moved_tag_is_pulled_anew() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let name = format!("{}/app:1", registry.host());
    for content in [&b"old"[..], &b"new"[..]] {
        author.image(&name, &[content]);
        author.kiln(&["push", &name]);
        let pulled = reader.kiln(&["pull", &name]);
        assert!(pulled.contains("Status: Downloaded newer image"), "{pulled}");
        assert_eq!(reader.id(&name), author.id(&name));
    }
    let untagged = reader.kiln(&["images", "-q", "--filter", "dangling=true"]);
    assert_eq!(untagged.lines().count(), 1, "{untagged}");
}

/// Docker's own format, OCI's, gzip and zstd: what comes goes on as it is.
#[test]
fn foreign_formats_keep_their_digests() {
    let Some(registry) = plain() else { return };
    let (user, layout) = (User::new(), Layout::new());
    let host = registry.host();
    let source = format!("{host}/source:1");
    layout.push(&user, &layout.image("linux/amd64", &[b"one", &noise(1, 100_000)]), &source);
    let from = format!("docker://{source}");
    for (tag, options) in [
        ("docker", &["--format", "v2s2"][..]),
        ("oci", &["--format", "oci"][..]),
        ("zstd", &["--format", "oci", "--dest-compress-format", "zstd", "--dest-compress"][..]),
        ("plain", &["--format", "oci", "--dest-decompress"][..]),
    ] {
        let name = format!("{host}/{tag}:1");
        copy(&user, options, &from, &format!("docker://{name}"));
        let reader = User::new();
        let pulled = reader.kiln(&["pull", &name]);
        assert_eq!(digest(&pulled), inspected(&user, &name), "{tag}");
        reader.check_content(&name);
        let onwards = format!("{host}/onwards/{tag}:1");
        reader.kiln(&["tag", &name, &onwards]);
        let pushed = reader.kiln(&["push", &onwards]);
        assert_eq!(digest(&pushed), digest(&pulled), "{tag}: {pushed}");
        assert_eq!(inspected(&user, &onwards), digest(&pulled), "{tag}");
    }
}

#[test]
fn zstd_can_be_wanted() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let (gzip, zstd) = (format!("{}/app:gzip", registry.host()), format!("{}/app:zstd", registry.host()));
    author.image(&gzip, &[b"one"]);
    author.kiln(&["tag", &gzip, &zstd]);
    author.kiln(&["push", &gzip]);
    author.kiln(&["push", "--compression", "zstd", &zstd]);
    for (name, media_type) in [(&gzip, ".tar+gzip"), (&zstd, ".tar+zstd")] {
        let raw = author.run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
        assert!(raw.contains(media_type), "{raw}");
        reader.kiln(&["pull", name]);
        assert_eq!(reader.id(name), author.id(&gzip));
        reader.check_content(name);
    }
}

/// skopeo and podman take what kiln pushed, and kiln what they push.
#[test]
fn others_understand_what_kiln_pushes() {
    let Some(registry) = plain() else { return };
    let author = User::new();
    let name = format!("{}/app:1", registry.host());
    author.image(&name, &[b"one", &noise(1, 100_000)]);
    let pushed = author.kiln(&["push", &name]);
    let archive = author.home().join("copied.tar");
    copy(&author, &[], &format!("docker://{name}"), &format!("oci-archive:{}:it", archive.display()));
    assert_eq!(inspected(&author, &name), digest(&pushed));

    let podman = Podman::new();
    podman.run(&["pull", "--tls-verify=false", &name]);
    let id = podman.run(&["image", "inspect", "--format", "{{.Id}}", &name]);
    assert_eq!(format!("sha256:{}", id.trim()), author.id(&name));
    let digests = podman.run(&["image", "inspect", "--format", "{{.Digest}}", &name]);
    assert_eq!(digests.trim(), digest(&pushed));
    let other = format!("{}/podman:1", registry.host());
    podman.run(&["tag", &name, &other]);
    podman.run(&["push", "--tls-verify=false", &other]);
    let reader = User::new();
    let pulled = reader.kiln(&["pull", &other]);
    assert_eq!(digest(&pulled), inspected(&author, &other));
    assert_eq!(reader.id(&other), author.id(&name));
    reader.check_content(&other);
}

/// podman with a storage of its own.
struct Podman(tempfile::TempDir, User);

impl Podman {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"), User::new())
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let place = |name: &str| self.0.path().join(name).display().to_string();
        let (root, run) = (place("root"), place("run"));
        let storage = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs", "--log-level", "error"];
        self.1.run("podman", &[&storage[..], arguments].concat())
    }
}

#[track_caller]
fn copy(user: &User, options: &[&str], from: &str, to: &str) {
    let insecure = ["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    user.run("skopeo", &[&insecure[..], options, &[from, to]].concat());
}

/// The digest of what a name in a registry stands for, as skopeo sees it.
#[track_caller]
fn inspected(user: &User, name: &str) -> String {
    let manifest = user.program("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    let mut manifest = manifest;
    kiln_types::Digest::of(manifest.output().expect("skopeo starts").stdout).to_string()
}
