//! Images for several platforms.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::layout::Layout;
use crate::plain;
use crate::registry::Registry;
use crate::user::{User, digest};

const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/arm/v7", "wasi/wasm"];

/// A name that stands for images of all of [`PLATFORMS`]; its digest, and those of the images.
fn several(registry: &Registry, name: &str) -> (String, Vec<String>) {
    let (user, layout) = (User::new(), Layout::new());
    let images: Vec<Value> =
        PLATFORMS.iter().map(|platform| layout.image(platform, &[b"shared", platform.as_bytes()])).collect();
    let digests = images.iter().map(|image| image["digest"].as_str().expect("a digest").to_owned()).collect();
    (layout.push(&user, &layout.index(&images), &format!("{}/{name}", registry.host())), digests)
}

fn platform(user: &User, image: &str) -> String {
    let found = user.inspect(image);
    let part = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    let variant = part("Variant");
    let variant = if variant.is_empty() { variant } else { format!("/{variant}") };
    format!("{}/{}{variant}", part("Os"), part("Architecture"))
}

#[test]
fn one_platform_is_pulled_unless_all_are_wanted() {
    let Some(registry) = plain() else { return };
    let (index, _) = several(&registry, "app:1");
    let name = format!("{}/app:1", registry.host());
    for wanted in PLATFORMS {
        let user = User::new();
        let pulled = user.kiln(&["pull", "--platform", wanted, &name]);
        assert_eq!(digest(&pulled), index, "{pulled}");
        assert_eq!(platform(&user, &name), wanted);
    }
    let user = User::new();
    user.kiln(&["pull", &name]);
    let own = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    assert_eq!(platform(&user, &name), own);
    let reason = user.fails(&["pull", "--platform", "linux/s390x", &name]);
    assert!(reason.contains("linux/s390x") && reason.contains("linux/arm/v7"), "{reason}");
    assert_eq!(platform(&user, &name), own);
}

#[test]
fn all_platforms_go_on_with_the_same_digest() {
    let Some(registry) = plain() else { return };
    let (index, images) = several(&registry, "app:1");
    let (name, other) = (format!("{}/app:1", registry.host()), format!("{}/other:2", registry.host()));
    let user = User::new();
    let pulled = user.kiln(&["pull", "--all-platforms", &name]);
    assert_eq!(digest(&pulled), index, "{pulled}");
    user.kiln(&["tag", &name, &other]);
    let pushed = user.kiln(&["push", &other]);
    assert_eq!(digest(&pushed), index, "{pushed}");
    let raw = user.run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{other}")]);
    assert!(images.iter().all(|image| raw.contains(image)), "{raw}");
    let reader = User::new();
    reader.kiln(&["pull", "--platform", "linux/arm/v7", &other]);
    assert_eq!(platform(&reader, &other), "linux/arm/v7");
}

/// Made here, for all platforms at once: pushed with compressed layers, and the same wherever it goes.
#[test]
fn a_build_for_several_platforms_is_pushed_whole() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let [name, copy] = ["app:1", "copy:1"].map(|name| format!("{}/{name}", registry.host()));
    let context = tempfile::tempdir().expect("a temporary directory");
    fs::write(context.path().join("Dockerfile"), "FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\nCOPY . /\n")
        .expect("ours");
    let context = context.path().to_str().expect("UTF-8");
    author.kiln(&["build", "--platform", "linux/arm64,linux/amd64", "-t", &name, context]);
    let index = digest(&author.kiln(&["push", &name]));
    assert!(author.inspect(&name)["RepoDigests"].to_string().contains(&index));

    let raw =
        |what: &str| author.run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{what}")]);
    let list: Value = serde_json::from_str(&raw(&name)).expect("JSON");
    let entries = list["manifests"].as_array().expect("an index");
    let platforms = entries.iter().map(|entry| entry["platform"]["architecture"].as_str());
    assert!(platforms.eq([Some("arm64"), Some("amd64")]), "{list}");
    for entry in entries {
        let manifest = raw(&format!("{}/app@{}", registry.host(), entry["digest"].as_str().expect("a digest")));
        assert!(manifest.contains("layer.v1.tar+gzip"), "{manifest}");
    }
    let [from, to] = [&name, &copy].map(|name| format!("docker://{name}"));
    author.run("skopeo", &["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to]);
    assert_eq!(raw(&copy), raw(&name));

    assert_eq!(digest(&reader.kiln(&["pull", "--all-platforms", &copy])), index);
    let ids = |user: &User, name: &str| {
        let all = user.kiln(&["images", "-aq", "--no-trunc"]);
        let mut ids: Vec<String> = all.lines().map(str::to_owned).collect();
        ids.sort();
        (user.id(name), ids)
    };
    let ((own, known), (read, pulled)) = (ids(&author, &name), ids(&reader, &copy));
    assert!(own == read && pulled.len() == 2 && pulled.iter().all(|id| known.contains(id)), "{pulled:?}");
    assert_eq!(
        digest(&author.kiln(&["build", "--platform", "linux/arm64,linux/amd64", "--push", "-t", &name, context])),
        index
    );
}

/// Where only one platform's image is here, that is pushed, and said.
#[test]
fn an_index_that_is_not_whole_here_is_not_pushed() {
    let Some(registry) = plain() else { return };
    let (index, images) = several(&registry, "app:1");
    let (name, other) = (format!("{}/app:1", registry.host()), format!("{}/other:1", registry.host()));
    let user = User::new();
    user.kiln(&["pull", "--platform", "linux/arm64", &name]);
    user.kiln(&["tag", &name, &other]);
    let pushed = user.kiln(&["push", &other]);
    assert_eq!(digest(&pushed), images[1], "{pushed}");
    assert_ne!(digest(&pushed), index);
    assert!(pushed.contains("linux/amd64"), "what is missing is said: {pushed}");
}

/// As skopeo will not: it copies no index within an index.
fn put_index(registry: &Registry, path: &str, document: &str) {
    let mut wire = TcpStream::connect(registry.host()).expect("it listens");
    let (host, length) = (registry.host(), document.len());
    let kind = "application/vnd.oci.image.index.v1+json";
    let request = format!(
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}"
    );
    wire.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    wire.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

/// An index within an index: pulled, pushed, saved and loaded, it stays what it is.
#[test]
fn indexes_within_an_index_go_on_whole() {
    let Some(registry) = plain() else { return };
    let (author, layout) = (User::new(), Layout::new());
    let [arm, amd, other] =
        ["linux/arm64", "linux/amd64", "plan9/386"].map(|platform| layout.image(platform, &[platform.as_bytes()]));
    let inner = layout.index(&[arm, amd]);
    let [name, pushed, loaded] = ["app:1", "pushed:1", "loaded:1"].map(|name| format!("{}/{name}", registry.host()));
    layout.push(&author, &inner, &name);
    layout.push(&author, &other, &format!("{}/app:other", registry.host()));
    let outer = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [other, inner],
    });
    put_index(&registry, "/v2/app/manifests/1", &outer.to_string());
    let index = kiln_types::Digest::of(outer.to_string()).to_string();

    let (user, reader) = (User::new(), User::new());
    assert_eq!(digest(&user.kiln(&["pull", "--all-platforms", &name])), index);
    user.kiln(&["tag", &name, &pushed]);
    assert_eq!(digest(&user.kiln(&["push", &pushed])), index);
    let layout = user.home().join("layout");
    let layout = layout.to_str().expect("UTF-8");
    user.kiln(&["save", "--format", "oci-dir", "-o", layout, &name]);
    reader.kiln(&["load", "-i", layout]);
    reader.kiln(&["image", "prune", "-f"]);
    reader.kiln(&["tag", &name, &loaded]);
    assert_eq!(digest(&reader.kiln(&["push", &loaded])), index);
    for copy in [&pushed, &loaded] {
        let raw = user.run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{copy}")]);
        assert_eq!(raw, outer.to_string());
        for wanted in ["linux/arm64", "linux/amd64", "plan9/386"] {
            let reader = User::new();
            reader.kiln(&["pull", "--platform", wanted, copy]);
            assert_eq!(platform(&reader, copy), wanted);
        }
    }
}
