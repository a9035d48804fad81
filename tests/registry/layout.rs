//! Images that kiln had no part in: an OCI image layout (a directory) written here, pushed by skopeo.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use kiln_types::Digest;
use serde_json::{Value, json};

use crate::user::User;

pub(crate) struct Layout {
    place: tempfile::TempDir,
}

impl Layout {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(place.path().join("blobs/sha256")).expect("ours");
        fs::write(place.path().join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string()).expect("ours");
        Self { place }
    }

    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.place.path().join("blobs/sha256").join(digest.hex()), bytes).expect("ours");
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// An image for `system/architecture[/variant]` with a gzipped layer for each content; its descriptor.
    pub(crate) fn image(&self, platform: &str, contents: &[&[u8]]) -> Value {
        let layers: Vec<Vec<u8>> = contents.iter().enumerate().map(|(number, bytes)| layer(number, bytes)).collect();
        let platform = platform_of(platform);
        let mut configuration = json!({
            "created": "2020-01-02T03:04:05Z",
            "config": { "Cmd": ["/file0"] },
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(Digest::of).collect::<Vec<_>>() },
            "history": layers.iter().map(|_| json!({ "created_by": "made by hand" })).collect::<Vec<_>>(),
        });
        for (key, value) in platform.as_object().expect("an object") {
            configuration[key] = value.clone();
        }
        let configuration = self.blob("application/vnd.oci.image.config.v1+json", configuration.to_string().as_bytes());
        let of_layer = |layer: &Vec<u8>| self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(layer));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": configuration,
            "layers": layers.iter().map(of_layer).collect::<Vec<_>>(),
        });
        let mut descriptor = self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        descriptor["platform"] = platform;
        descriptor
    }

    /// An index of images; its descriptor.
    pub(crate) fn index(&self, images: &[Value]) -> Value {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": images });
        self.blob(media_type, index.to_string().as_bytes())
    }

    /// Copies what a descriptor describes to a name in a registry, every platform of it, as it is; its digest.
    #[track_caller]
    pub(crate) fn push(&self, user: &User, descriptor: &Value, name: &str) -> String {
        self.push_with(user, descriptor, name, &["--dest-tls-verify=false"])
    }

    #[track_caller]
    pub(crate) fn push_with(&self, user: &User, descriptor: &Value, name: &str, more: &[&str]) -> String {
        let mut named = descriptor.clone();
        named["annotations"] = json!({ "org.opencontainers.image.ref.name": "it" });
        let index = json!({ "schemaVersion": 2, "manifests": [named] });
        fs::write(self.place.path().join("index.json"), index.to_string()).expect("ours");
        let from = format!("oci:{}:it", self.place.path().display());
        let to = format!("docker://{name}");
        let options = ["--insecure-policy", "copy", "--all", "--preserve-digests"];
        user.run("skopeo", &[&options[..], more, &[&from, &to]].concat());
        descriptor["digest"].as_str().expect("a digest").to_owned()
    }
}

fn platform_of(text: &str) -> Value {
    let mut parts = text.split('/');
    let mut platform = json!({ "os": parts.next(), "architecture": parts.next() });
    if let Some(variant) = parts.next() {
        platform["variant"] = json!(variant);
    }
    platform
}

/// A tar with one file.
fn layer(number: usize, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, format!("file{number}"), content).expect("in memory");
    tar.into_inner().expect("in memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new("gzip");
    let mut child = command.arg("-nc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip starts");
    let mut input = child.stdin.take().expect("it was asked for");
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).expect("gzip reads"));
        child.wait_with_output().expect("gzip ends").stdout
    })
}
