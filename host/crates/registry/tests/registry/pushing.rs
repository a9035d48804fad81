//! Pushes: what is there is not sent, what breaks off is gone on with, and the tag comes last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kiln_image::{Change, Compression, Content, ImageConfig, Manifest, ManifestList, Meta, Node};
use kiln_registry::{Error, PushOptions, Pushed, Result};
use kiln_store::Store;
use kiln_types::{Digest, Platform};

use crate::client::{Client, name};
use crate::contents::Contents;
use crate::server::{Answer, Received, Server};

/// What a registry has been given, by the ends of the paths; uploads by their numbers.
#[derive(Default)]
struct Given {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: Vec<(String, Vec<u8>)>,
    uploads: Vec<Vec<u8>>,
}

/// How the registry of a test differs from a good one.
#[derive(Default, Clone)]
struct Faults {
    /// So many bytes of the first upload's body are kept, and then the connection ends.
    breaks_at: Option<usize>,
    /// `OCI-Chunk-Min-Length`.
    part: Option<usize>,
    /// Repositories that blobs are mounted from.
    mounts: bool,
    /// The first requests to upload anything are answered like this.
    busy: usize,
    /// Bodies have a length here.
    no_chunks: bool,
}

fn registry(faults: Faults) -> (Server, Arc<Mutex<Given>>) {
    let given = Arc::new(Mutex::new(Given::default()));
    let state = Arc::clone(&given);
    let faults = Mutex::new(faults);
    let server = Server::start(move |request, _| {
        let (mut given, mut faults) = (state.lock().expect("no panic"), faults.lock().expect("no panic"));
        answer(request, &mut given, &mut faults)
    });
    (server, given)
}

fn answer(request: &Received, given: &mut Given, faults: &mut Faults) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let last = path.rsplit('/').next().unwrap_or_default();
    let number = last.parse::<usize>();
    match request.method.as_str() {
        "HEAD" if given.blobs.contains_key(last) => Answer::status(200),
        "HEAD" => Answer::status(404),
        "POST" if faults.busy > 0 => {
            faults.busy -= 1;
            Answer::status(429).with("Retry-After", 0)
        }
        "POST" if faults.mounts && query.starts_with("mount=") => Answer::status(201),
        "POST" => {
            given.uploads.push(Vec::new());
            let answer = Answer::status(202).with("Location", format!("{path}{}?state=a", given.uploads.len() - 1));
            match faults.part {
                Some(part) => answer.with("OCI-Chunk-Min-Length", part),
                None => answer,
            }
        }
        "PUT" if path.contains("/manifests/") => {
            let document = Manifest::parse(&request.body).ok();
            let layers = document.into_iter().flat_map(|manifest| manifest.layers);
            assert!(
                layers.into_iter().all(|layer| faults.mounts || given.blobs.contains_key(&layer.digest.to_string()))
            );
            given.manifests.push((last.to_owned(), request.body.clone()));
            Answer::status(201).with("Docker-Content-Digest", Digest::of(&request.body))
        }
        _ => {
            let Ok(number) = number else { return Answer::status(404) };
            assert!(query.starts_with("state=a"), "{query}");
            let there = given.uploads[number].len();
            let range = format!("0-{}", there.max(1) - 1);
            if request.method == "GET" {
                return Answer::status(204).with("Range", range);
            }
            if let Some(expected) = request.header("content-range") {
                let end = there + request.body.len() - 1;
                assert_eq!(expected, format!("{there}-{end}"));
            }
            if request.method == "DELETE" {
                given.uploads[number].clear();
                return Answer::status(204);
            }
            if faults.no_chunks && request.header("transfer-encoding").is_some() {
                return Answer::status(411);
            }
            if let Some(at) = faults.breaks_at.filter(|&at| request.body.len() > at) {
                faults.breaks_at = None;
                given.uploads[number].extend(&request.body[..at]);
                // Ends before it has said how it went.
                return Answer::status(0);
            }
            given.uploads[number].extend(&request.body);
            if request.method == "PATCH" {
                let range = format!("0-{}", given.uploads[number].len() - 1);
                return Answer::status(202).with("Range", range).with("Location", format!("{path}?state=a"));
            }
            let bytes = std::mem::take(&mut given.uploads[number]);
            let digest = query.split("digest=").nth(1).unwrap_or_default().replace("%3A", ":");
            if Digest::of(&bytes).to_string() != digest {
                return Answer::status(400);
            }
            given.blobs.insert(digest, bytes);
            Answer::status(201)
        }
    }
}

fn layer(store: &Store, text: &[u8]) -> Digest {
    let meta = Meta { mode: 0o644, ..Meta::default() };
    let node = Node::File(Content::bytes(text.to_vec()));
    store.add_layer(vec![Change { path: "file".into(), meta, node }]).expect("layer").diff_id
}

fn image(store: &Store, layers: &[&[u8]]) -> Digest {
    let mut config = ImageConfig { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..ImageConfig::default() };
    config.rootfs.diff_ids = layers.iter().map(|text| layer(store, text)).collect();
    store.add_image(&config, None, false).expect("image")
}

fn push(client: &Client, server: &Server, rest: &str, options: &PushOptions) -> Result<Pushed> {
    client.registries.push(&client.store, &name(server, rest), options, &client.told)
}

fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

#[test]
fn layers_made_here_are_compressed_and_sent_once() {
    for (compression, media_type) in [
        (Compression::Gzip, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (Compression::Zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
        (Compression::None, "application/vnd.oci.image.layer.v1.tar"),
    ] {
        let (server, given) = registry(Faults::default());
        let client = Client::new();
        let id = image(&client.store, &[b"one", b"two", b"one"]);
        let target = name(&server, "team/app:1");
        client.store.tag(&id, &target).expect("tag");
        let options = PushOptions { compression, ..PushOptions::default() };
        let pushed = push(&client, &server, "team/app:1", &options).expect("pushed");
        {
            let given = given.lock().expect("no panic");
            let [(tag, bytes)] = &given.manifests[..] else { panic!("one manifest") };
            assert_eq!((tag.as_str(), Digest::of(bytes), bytes.len() as u64), ("1", pushed.digest, pushed.size));
            let manifest = Manifest::parse(bytes).expect("a manifest");
            assert_eq!((manifest.config.digest, manifest.layers.len(), given.blobs.len()), (id, 3, 3));
            for layer in &manifest.layers {
                assert_eq!(layer.media_type, media_type);
                assert_eq!(given.blobs[&layer.digest.to_string()].len() as u64, layer.size);
            }
        }
        let named = client.store.named(&name(&server, &format!("team/app@{}", pushed.digest))).expect("names");
        assert_eq!(named.expect("named").id, id);
        let lines = client.told.lines();
        let one = layer(&client.store, b"one").short();
        // The topmost comes first.
        assert_eq!(lines[1], format!("{one} Preparing"), "{lines:?}");
        assert!(client.told.has(&format!("{one} Pushed")), "{lines:?}");

        let before = server.count("POST", "");
        assert_eq!(push(&client, &server, "team/app:1", &options).expect("pushed"), pushed);
        assert_eq!(server.count("POST", ""), before);
        assert!(client.told.has(&format!("{one} LayerAlreadyExists")));
    }
}

#[test]
fn what_was_pulled_is_pushed_as_it_came_and_mounted_where_it_can_be() {
    let mut contents = Contents::default();
    let host = contents.add(&Platform::host(), &[b"one", b"two"]);
    let other = contents.add(&Platform::new("plan9", "386"), &[b"three"]);
    let index = contents.index(&[&other, &host]);
    contents.tag("1", &index);
    let (_, document) = contents.files[&format!("/manifests/{index}")].clone();
    for (faults, all) in
        [(Faults::default(), true), (Faults { mounts: true, ..Faults::default() }, true), (Faults::default(), false)]
    {
        let (given, faults) = (Arc::new(Mutex::new(Given::default())), Mutex::new(faults));
        let (state, contents) = (Arc::clone(&given), contents.clone());
        let server = Server::start(move |request, _| match request.path.starts_with("/v2/from/") {
            true => contents.answer(request),
            false => answer(request, &mut state.lock().expect("no panic"), &mut faults.lock().expect("no panic")),
        });
        let client = Client::new();
        let options = kiln_registry::PullOptions { all_platforms: all, ..Default::default() };
        client.pull_as(&server, "from:1", &options).expect("pulled");
        let source = name(&server, "from:1").to_string();
        client.store.copy_name(&source, &name(&server, "to:2")).expect("tagged");
        let pushed = push(&client, &server, "to:2", &PushOptions::default()).expect("pushed");
        let given = given.lock().expect("no panic");
        if all {
            assert_eq!((pushed.digest, pushed.missing), (index, Vec::new()));
            let (tag, bytes) = given.manifests.last().expect("manifests");
            assert_eq!((tag.as_str(), bytes), ("2", &document));
            assert_eq!(given.manifests.len(), 3);
        } else {
            // Of an index that is not whole, the image that one has.
            assert_eq!((pushed.digest, pushed.missing), (host.manifest.digest, vec![Platform::new("plan9", "386")]));
            assert_eq!(given.manifests.len(), 1);
        }
        if given.blobs.is_empty() {
            assert!(client.told.has("mounted from from"), "{:?}", client.told.lines());
        }
        let mounted = format!("/v2/to/blobs/uploads/?mount={}&from=from", host.layers[0]);
        assert_eq!(server.count("POST", &mounted), 1);
    }
}

#[test]
fn one_platform_of_several() {
    let client = Client::new();
    let (server, given) = registry(Faults::default());
    let mut entries = Vec::new();
    let mut ids = Vec::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        let platform: Platform = platform.parse().expect("a platform");
        let mut config = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = vec![layer(&client.store, platform.to_string().as_bytes())];
        let id = client.store.add_image(&config, None, false).expect("image");
        let (mut descriptor, _) = client.store.manifest(&id).expect("manifest");
        descriptor.platform = Some(platform);
        entries.push(descriptor);
        ids.push(id);
    }
    let index = client.store.put_blob(&ManifestList::new(entries).to_json()).expect("put");
    client.store.name_received(&ids[0], &name(&server, "app:1"), Some(&index)).expect("named");
    let only =
        |platform: &str| PushOptions { platform: Some(platform.parse().expect("one")), ..PushOptions::default() };
    push(&client, &server, "app:1", &only("linux/arm64")).expect("pushed");
    let manifest = Manifest::parse(&given.lock().expect("no panic").manifests[0].1).expect("a manifest");
    assert_eq!(manifest.config.digest, ids[1]);
    let error = push(&client, &server, "app:1", &only("linux/s390x")).expect_err("none");
    assert!(matches!(error, Error::NoPlatform { .. }), "{error}");
}

#[test]
fn broken_uploads_are_gone_on_with() {
    let (server, given) = registry(Faults { breaks_at: Some(2_000_000), ..Faults::default() });
    let client = Client::new();
    let id = image(&client.store, &[&noise(5_000_000)]);
    client.store.tag(&id, &name(&server, "app:1")).expect("tag");
    let options = PushOptions { compression: Compression::None, ..PushOptions::default() };
    push(&client, &server, "app:1", &options).expect("pushed");
    let patches: Vec<usize> = server
        .received()
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.body.len())
        .collect();
    let size = given.lock().expect("no panic").blobs.values().map(Vec::len).max().expect("blobs");
    assert_eq!(patches, [size - 2_000_000]);
    assert!(client.told.has("retrying: the connection"), "{:?}", client.told.lines());
}

/// What no compressor makes smaller.
fn pure_noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn large_layers_are_sent_while_they_are_compressed() {
    let content = pure_noise(40 << 20);
    let mut digests = std::collections::BTreeSet::new();
    for (compression, faults, chunked) in [
        (Compression::Gzip, Faults::default(), true),
        (Compression::Zstd, Faults::default(), true),
        (Compression::Gzip, Faults { breaks_at: Some(20 << 20), ..Faults::default() }, true),
        (Compression::Gzip, Faults { no_chunks: true, ..Faults::default() }, false),
    ] {
        let broken = faults.breaks_at.is_some();
        let (server, given) = registry(faults);
        let options = PushOptions { compression, ..PushOptions::default() };
        // The second one has no form of the layer, and finds out too late that the registry has it.
        for first in [true, false] {
            let client = Client::new();
            let id = image(&client.store, &[&content]);
            client.store.tag(&id, &name(&server, "app:1")).expect("tag");
            digests.insert(push(&client, &server, "app:1", &options).expect("pushed").digest);
            let layer = layer(&client.store, &content).short();
            assert!(client.told.has(&format!("{layer} {}", if first { "Pushed" } else { "LayerAlreadyExists" })));
        }
        let received = server.received();
        let streamed: Vec<usize> = received
            .iter()
            .filter(|request| request.method == "PATCH" && request.header("transfer-encoding").is_some())
            .map(|request| request.body.len())
            .collect();
        let size = given.lock().expect("no panic").blobs.values().map(Vec::len).max().expect("blobs");
        assert_eq!(streamed.first().copied(), Some(size), "{compression:?}");
        // What came twice is not kept twice: the upload was taken back.
        let abandoned = usize::from(!chunked);
        assert_eq!(server.count("POST", ""), 2 + abandoned + server.count("DELETE", ""), "layer and configuration");
        assert!(given.lock().expect("no panic").uploads.iter().all(Vec::is_empty));
        let whole = received.iter().any(|request| request.method == "PUT" && request.body.len() == size);
        assert_eq!(whole, !chunked, "{compression:?}");
        if broken {
            let rest = received.iter().find(|request| request.header("content-range").is_some());
            assert_eq!(rest.map(|request| request.body.len()), Some(size - (20 << 20)));
        }
    }
    assert_eq!(digests.len(), 2, "one for each compression");
}

#[test]
fn parts_where_the_registry_wants_them_and_patience_where_it_is_busy() {
    let (server, given) = registry(Faults { part: Some(1000), busy: 2, ..Faults::default() });
    let client = Client::new();
    let id = image(&client.store, &[&noise(20_000_000)]);
    client.store.tag(&id, &name(&server, "app:1")).expect("tag");
    let options = PushOptions { compression: Compression::None, ..PushOptions::default() };
    push(&client, &server, "app:1", &options).expect("pushed");
    let received = server.received();
    let patches: Vec<usize> =
        received.iter().filter(|request| request.method == "PATCH").map(|request| request.body.len()).collect();
    let size = given.lock().expect("no panic").blobs.values().map(Vec::len).max().expect("blobs");
    assert!(patches.contains(&(16 << 20)) && patches.contains(&(size - (16 << 20))), "{patches:?}");
    assert!(received.iter().all(|request| request.method != "PUT" || request.body.len() < 10_000));
}

#[test]
fn refusals() {
    let client = Client::new();
    let (server, given) = registry(Faults::default());
    let error = push(&client, &server, "app:1", &PushOptions::default()).expect_err("no such image");
    assert!(matches!(error, Error::NoSuchName { .. }), "{error}");
    let by_digest = format!("app@{}", Digest::of(b"x"));
    let error = push(&client, &server, &by_digest, &PushOptions::default()).expect_err("no tag");
    assert!(matches!(error, Error::DigestPushed { .. }), "{error}");
    // A blob that was damaged here is not what the registry has to be told about.
    let id = image(&client.store, &[b"one"]);
    client.store.tag(&id, &name(&server, "app:1")).expect("tag");
    client.store.sync().expect("sync");
    let blob = client.store.blob_path(&layer(&client.store, b"one"));
    let size = std::fs::metadata(&blob).expect("there").len();
    std::fs::remove_file(&blob).and_then(|()| std::fs::write(&blob, vec![7; size as usize])).expect("ours");
    let options = PushOptions { compression: Compression::None, ..PushOptions::default() };
    let error = push(&client, &server, "app:1", &options).expect_err("damaged").to_string();
    assert!(error.contains("was damaged"), "{error}");
    assert!(given.lock().expect("no panic").manifests.is_empty());

    let full = Server::start(|request, _| match request.method.as_str() {
        "HEAD" => Answer::status(404),
        _ => Answer { body: br#"{"errors":[{"code":"DENIED","message":"too much"}]}"#.into(), ..Answer::status(403) },
    });
    let id = image(&client.store, &[b"two"]);
    client.store.tag(&id, &name(&full, "app:1")).expect("tag");
    let error = push(&client, &full, "app:1", &PushOptions::default()).expect_err("denied");
    assert!(matches!(error, Error::NoCredentials { .. }), "{error}");
}
