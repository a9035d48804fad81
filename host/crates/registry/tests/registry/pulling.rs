//! Pulls from registries that lie, break off, and are slow or busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kiln_image::{Descriptor, Manifest, ManifestList};
use kiln_registry::{Error, PullOptions};
use kiln_types::{Digest, Platform, Reference};

use crate::client::{Client, name};
use crate::contents::{Contents, INDEX, MANIFEST, tar};
use crate::server::{Answer, Received, Server};

/// Three million bytes with the header before it.
fn big(seed: u8) -> Vec<u8> {
    (0..3_000_000u32 - 512).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

fn honest(contents: Contents) -> Server {
    Server::start(move |request, _| contents.answer(request))
}

#[test]
fn an_image_comes_as_it_is_and_only_once() {
    let (contents, image) = Contents::tagged("1", &[b"one", b"two", b"one"]);
    let server = honest(contents.clone());
    let client = Client::new();
    let pulled = client.pull(&server, "team/app:1").expect("pulled");
    assert_eq!((pulled.id, pulled.digest, pulled.news), (image.id, image.manifest.digest, true));
    let (_, bytes) = client.store.manifest(&image.id).expect("manifest");
    assert_eq!(Digest::of(&bytes), image.manifest.digest);
    for blob in &image.layers {
        let (_, bytes) = &contents.files[&format!("/blobs/{blob}")];
        assert_eq!(client.store.read_blob(blob, 1000).expect("blob"), *bytes);
    }
    // One manifest, one configuration, two layers: the third is the first.
    assert_eq!(server.received().len(), 4);
    let lines = client.told.lines();
    let one = image.layers[0].short();
    assert_eq!(lines[0], format!("from {}", server.host()));
    assert_eq!(lines[1..3], [format!("{one} Waiting"), format!("{} Waiting", image.layers[1].short())]);
    assert!(client.told.has(&format!("{one} PullComplete")), "{lines:?}");

    let again = client.pull(&server, "team/app:1").expect("pulled");
    assert_eq!((again.id, again.digest, again.news), (image.id, image.manifest.digest, false));
    let requests = server.received();
    assert_eq!((requests.len(), requests[4].method.as_str()), (5, "HEAD"));
    assert_eq!(client.told.lines(), lines, "nothing is new");
    let by_digest = format!("team/app@{}", image.manifest.digest);
    assert!(!client.pull(&server, &by_digest).expect("pulled").news);
    let named = client.store.named(&name(&server, &by_digest)).expect("names").expect("named");
    assert_eq!((named.id, named.digest()), (image.id, Some(image.manifest.digest)));
}

#[test]
fn what_is_new_is_fetched_and_what_is_here_is_not() {
    let (first, _) = Contents::tagged("1", &[b"base", b"one"]);
    let (mut second, image) = Contents::tagged("1", &[b"base", b"two"]);
    second.files.retain(|path, _| !path.ends_with(&Digest::of(tar(b"base")).to_string()));
    let client = Client::new();
    let state = Arc::new(AtomicUsize::new(0));
    let current = Arc::clone(&state);
    let server = Server::start(move |request, _| match current.load(Ordering::Relaxed) {
        0 => first.answer(request),
        _ => second.answer(request),
    });
    client.pull(&server, "app:1").expect("pulled");
    state.store(1, Ordering::Relaxed);
    let pulled = client.pull(&server, "app:1").expect("pulled");
    assert_eq!((pulled.id, pulled.news), (image.id, true));
    assert!(client.told.has(&format!("{} AlreadyExists", Digest::of(tar(b"base")).short())));
}

#[test]
fn platforms() {
    let mut contents = Contents::default();
    let [host, wasi, other] = [Platform::host(), Platform::wasi(), Platform::new("plan9", "386")]
        .map(|platform| contents.add(&platform, &[b"x"]));
    let index = contents.index(&[&other, &wasi, &host]);
    contents.tag("all", &index);
    let few = contents.index(&[&other, &wasi]);
    contents.tag("few", &few);
    let none = contents.index(&[&other, &other]);
    contents.tag("none", &none);
    contents.tag("single", &other.manifest.digest);
    let server = honest(contents);
    let client = Client::new();
    let plan9 = PullOptions { platform: Some(Platform::new("plan9", "386")), ..PullOptions::default() };
    let whole = PullOptions { all_platforms: true, ..PullOptions::default() };
    for (tag, options, id, digest) in [
        ("all", &PullOptions::default(), host.id, index),
        ("few", &PullOptions::default(), wasi.id, few),
        ("all", &plan9, other.id, index),
        ("single", &plan9, other.id, other.manifest.digest),
        ("single", &PullOptions::default(), other.id, other.manifest.digest),
    ] {
        let pulled = client.pull_as(&server, &format!("app:{tag}"), options).expect(tag);
        assert_eq!((pulled.id, pulled.digest), (id, digest), "{tag}");
    }
    let error = client.pull(&server, "app:none").expect_err("no platform").to_string();
    let offered = format!("has no image for {}; it has plan9/386, plan9/386", Platform::host());
    assert!(error.ends_with(&offered), "{error}");
    let s390x = PullOptions { platform: Some(Platform::new("linux", "s390x")), ..PullOptions::default() };
    let error = client.pull_as(&server, "app:single", &s390x).expect_err("another").to_string();
    assert!(error.ends_with("has no image for linux/s390x; it has plan9/386"), "{error}");

    let client = Client::new();
    client.pull_as(&server, "app:all", &whole).expect("pulled");
    let images = client.store.index_images(&index).expect("images");
    assert!(images.iter().all(|(_, id)| id.is_some()), "{images:?}");
    assert!(!client.pull(&server, "app:all").expect("pulled").news);
    // Without a name it is here all the same.
    let client = Client::new();
    let nameless = PullOptions { name: false, ..PullOptions::default() };
    let pulled = client.pull_as(&server, "app:all", &nameless).expect("pulled");
    assert!(client.store.image(&pulled.id).expect("image").is_some());
    assert!(client.store.names(&pulled.id).expect("names").is_empty());
}

#[test]
fn images_are_found_in_indexes_within_indexes() {
    let mut contents = Contents::default();
    let other = Platform::new("plan9", "386");
    let [host, plan9, wasi] = [Platform::host(), other.clone(), Platform::wasi()]
        .map(|platform| contents.add(&platform, &[platform.to_string().as_bytes()]));
    let inner = ManifestList::new(vec![plan9.manifest, host.manifest]).to_json();
    let listed = |list: &[u8]| Descriptor::new(INDEX, Digest::of(list), list.len() as u64);
    let outer = ManifestList::new(vec![wasi.manifest, listed(b"it is not there"), listed(&inner)]);
    let outer = contents.document(INDEX, outer.to_json());
    let inner = contents.document(INDEX, inner);
    contents.tag("nested", &outer);
    let server = honest(contents);
    let client = Client::new();
    let plan9s = PullOptions { platform: Some(other.clone()), ..PullOptions::default() };
    for (options, id) in [(&plan9s, plan9.id), (&PullOptions::default(), host.id)] {
        let pulled = client.pull_as(&server, "app:nested", options).expect("pulled");
        assert_eq!((pulled.id, pulled.digest), (id, outer));
    }
    // Both are here now, and kept as long as the name is.
    client.store.collect().expect("collected");
    let found = client.store.for_platform(&name(&server, "app:nested"), &other).expect("found").expect("here");
    assert_eq!(found.id, plan9.id);
    assert!(client.store.has_blob(&inner));
    let missing = PullOptions { platform: Some(Platform::new("linux", "s390x")), ..PullOptions::default() };
    let error = client.pull_as(&server, "app:nested", &missing).expect_err("no such platform").to_string();
    assert!(error.contains("has indexes within its index that are missing"), "{error}");
}

#[test]
fn lies_about_documents_are_found() {
    let (contents, _) = Contents::tagged("1", &[b"layer"]);
    type Fault = fn(Answer) -> Answer;
    let cases: [(Fault, &str); 9] = [
        (
            |answer| {
                let headers = vec![("Docker-Content-Digest".to_owned(), Digest::of(b"other").to_string())];
                Answer { headers, ..answer }
            },
            "instead of sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
        ),
        (
            |answer| Answer { headers: Vec::new(), ..answer }.with("Content-Type", INDEX),
            "its media type is not the one",
        ),
        (|answer| Answer { body: b"{}".into(), ..answer }, "with the digest sha256:44136fa3"),
        (
            |answer| Answer { body: br#"{"schemaVersion":1}"#.into(), headers: Vec::new(), ..answer },
            "has a manifest of schema 1, which is obsolete",
        ),
        (
            |_| Answer::of(*br#"{"schemaVersion":2,"mediaType":"application/x"}"#),
            "is no image, but `application/x`: only images can be pulled",
        ),
        (|_| Answer::of(*b"<html>"), "makes no sense: it is neither a manifest nor an index"),
        (|_| Answer::of(vec![b' '; (4 << 20) + 1]), "is larger than 4194304 bytes"),
        (|_| Answer { endless: true, ..Answer::of(vec![b' '; 1 << 16]) }, "is larger than 4194304 bytes"),
        (|_| Answer::status(418), "answered 418 for"),
    ];
    for (fault, expected) in cases {
        let contents = contents.clone();
        let server = Server::start(move |request, _| match contents.answer(request) {
            answer if request.path.ends_with("/manifests/1") => fault(answer),
            answer => answer,
        });
        let error = Client::new().refused(&server, "app:1");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_no_image_is_not_pulled() {
    let mut contents = Contents::default();
    let config = Descriptor::new("application/vnd.cncf.helm.config.v1+json", contents.blob(b"{}"), 2);
    let chart = contents.document(MANIFEST, Manifest::new(config, Vec::new()).to_json());
    contents.tag("chart", &chart);
    let huge = Descriptor::new("application/vnd.oci.image.config.v1+json", Digest::of(b"huge"), 5 << 20);
    let huge = contents.document(MANIFEST, Manifest::new(huge, Vec::new()).to_json());
    contents.tag("huge", &huge);
    let nested = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    let size = nested.len();
    let nested = contents.document(INDEX, nested.into_bytes());
    let host = Platform::host();
    let entry = format!(
        r#"{{"mediaType":"{MANIFEST}","digest":"{nested}","size":{size},"platform":{{"os":"{}","architecture":"{}"}}}}"#,
        host.os, host.architecture
    );
    let outer = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entry}]}}"#);
    let outer = contents.document(INDEX, outer.into_bytes());
    contents.tag("nested", &outer);
    let config = Descriptor::new(format!("\x1b[31m{}", "x".repeat(1000)), contents.blob(b"{}"), 2);
    let rude = contents.document(MANIFEST, Manifest::new(config, Vec::new()).to_json());
    contents.tag("rude", &rude);
    let mut heavy = Descriptor::new(MANIFEST, Digest::of(b"heavy"), 65 << 20);
    heavy.platform = Some(Platform::host());
    let heavy = contents.document(INDEX, ManifestList::new(vec![heavy]).to_json());
    contents.tag("heavy", &heavy);
    let server = honest(contents);
    for (tag, expected) in [
        ("heavy", "what the index of"),
        ("rude", "but `[31mxxx"),
        ("chart", "but `application/vnd.cncf.helm.config.v1+json`"),
        ("huge", "the configuration of"),
        ("nested", "has indexes within its index"),
        ("missing", ": not here"),
    ] {
        let error = Client::new().refused(&server, &format!("app:{tag}"));
        assert!(error.contains(expected), "{error}");
        assert!(error.len() < 600 && !error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn lies_about_blobs_are_found() {
    let layer = big(0);
    let (contents, image) = Contents::tagged("1", &[&layer]);
    let path = format!("/blobs/{}", image.layers[0]);
    type Fault = fn(Answer) -> Answer;
    let cases: [(Fault, &str); 5] = [
        (|answer| Answer { body: tar(&big(1)), ..answer }, "with the digest sha256:"),
        (|answer| Answer { body: b"short".into(), ..answer }, "with 5 bytes, but 3000000 are right"),
        (|answer| Answer { body: [answer.body, vec![0; 10]].concat(), ..answer }, "with 3000010 bytes"),
        (|answer| Answer { endless: true, ..answer }, "but 3000000 are right"),
        (|_| Answer::status(404), "has no blob"),
    ];
    for (fault, expected) in cases {
        let (contents, path) = (contents.clone(), path.clone());
        let honest = contents.clone();
        let server = Server::start(move |request, _| match contents.answer(request) {
            answer if request.path.ends_with(&path) => fault(answer),
            answer => answer,
        });
        let client = Client::new();
        let error = client.refused(&server, "app:1");
        assert!(error.contains(expected), "{error}");
        assert!(!client.store.has_blob(&image.layers[0]), "{error}");
        // Nothing of it stands in the way of an honest one.
        let server = Server::start(move |request, _| honest.answer(request));
        client.pull(&server, "app:1").expect(expected);
    }
}

#[test]
fn layers_are_what_their_image_says_and_of_known_size() {
    let plain = tar(b"content");
    let mut gzip = Vec::new();
    kiln_image::compress::gzip(&plain[..], &mut gzip).expect("gzip");
    let mut noise = Vec::new();
    kiln_image::compress::gzip(&[b'x'; 10240][..], &mut noise).expect("gzip");
    let damaged = gzip[..gzip.len() / 2].to_vec();
    let (right, other) = (Digest::of(&plain), Digest::of("other"));
    let lies = |layer: &[u8], found: Digest| {
        format!("layer {} decompresses to {found}, but the configuration of its image says {other}", Digest::of(layer))
    };
    let is_none = |layer: &[u8]| format!("layer {} is no layer: ", Digest::of(layer));
    for (layer, diff_id, expected) in [
        (&plain, right, None),
        (&gzip, right, None),
        (&plain, other, Some(lies(&plain, right))),
        (&gzip, other, Some(lies(&gzip, right))),
        (&noise, Digest::of([b'x'; 10240]), Some(is_none(&noise))),
        (&vec![b'x'; 10240], Digest::of([b'x'; 10240]), Some(is_none(&[b'x'; 10240]))),
        (&damaged, right, Some(is_none(&damaged))),
    ] {
        let mut contents = Contents::default();
        let image = contents.add_as(&Platform::host(), vec![diff_id], std::slice::from_ref(layer));
        contents.tag("1", &image.manifest.digest);
        let (server, client) = (honest(contents), Client::new());
        match expected {
            Some(expected) => {
                let error = client.refused(&server, "app:1");
                assert!(error.starts_with(&expected), "{error}");
            }
            None => {
                client.pull(&server, "app:1").expect("pulled");
                assert_eq!(client.store.size(&image.id).expect("size"), 7);
                client.store.layer(&right).expect("a layer");
                assert_eq!(client.store.size(&image.id).expect("size"), 7);
            }
        }
    }
}

#[test]
fn broken_connections_are_gone_on_with() {
    let layer = big(0);
    let (contents, image) = Contents::tagged("1", &[&layer]);
    let path = format!("/blobs/{}", image.layers[0]);
    let server = Server::start(move |request, _| match contents.answer(request) {
        answer if request.path.ends_with(&path) => Answer { cut: Some(answer.body.len().min(1_300_000)), ..answer },
        answer => answer,
    });
    let client = Client::new();
    client.pull(&server, "app:1").expect("pulled");
    let requests = server.received();
    let ranges: Vec<_> = requests.iter().filter_map(|request| request.header("range")).collect();
    assert_eq!(ranges, ["bytes=1300000-", "bytes=2600000-"]);
    assert!(client.told.has("retrying: the connection to 127.0.0.1 broke off"), "{:?}", client.told.lines());
}

#[test]
fn servers_without_ranges_begin_again_and_do_not_go_on_for_ever() {
    let layer = big(0);
    let (contents, image) = Contents::tagged("1", &[&layer]);
    let path = format!("/blobs/{}", image.layers[0]);
    for breaks in [2, usize::MAX] {
        let (contents, path) = (contents.clone(), path.clone());
        let seen = AtomicUsize::new(0);
        let server = Server::start(move |request, _| {
            let without = Received { headers: Vec::new(), ..request.clone() };
            match contents.answer(&without) {
                answer if request.path.ends_with(&path) && seen.fetch_add(1, Ordering::Relaxed) < breaks => {
                    Answer { cut: Some(2_000_000), ..answer }
                }
                answer => answer,
            }
        });
        let client = Client::new();
        let result = client.pull(&server, "app:1");
        match breaks {
            2 => assert_eq!(result.expect("pulled").id, image.id),
            _ => {
                assert!(result.expect_err("broken").to_string().contains("broke off"));
                assert!(server.count("GET", "/blobs/") < 12, "{}", server.count("GET", "/blobs/"));
            }
        }
    }
}

#[test]
fn a_part_that_was_not_asked_for_is_refused() {
    let layer = big(0);
    let (contents, image) = Contents::tagged("1", &[&layer]);
    let path = format!("/blobs/{}", image.layers[0]);
    let server = Server::start(move |request, _| {
        let answer = contents.answer(request);
        match (request.path.ends_with(&path), answer.status) {
            (true, 206) => Answer { headers: Vec::new(), ..answer }.with("Content-Range", "bytes 0-99/100"),
            (true, _) => Answer { cut: Some(100), ..answer },
            _ => answer,
        }
    });
    let error = Client::new().refused(&server, "app:1");
    assert!(error.ends_with("it is another part than the one that was asked for"), "{error}");
}

#[test]
fn a_later_pull_goes_on_where_an_earlier_one_ended() {
    let layer = big(0);
    let (contents, image) = Contents::tagged("1", &[&layer]);
    let path = format!("/blobs/{}", image.layers[0]);
    let up = Arc::new(AtomicUsize::new(0));
    let is_up = Arc::clone(&up);
    let server = Server::start(move |request, _| match contents.answer(request) {
        answer if request.path.ends_with(&path) && is_up.load(Ordering::Relaxed) == 0 => {
            let cut = if answer.status == 206 { 0 } else { 2_000_000 };
            Answer { cut: Some(cut), ..answer }
        }
        answer => answer,
    });
    let client = Client::new();
    client.refused(&server, "app:1");
    up.store(1, Ordering::Relaxed);
    client.pull(&server, "app:1").expect("pulled");
    let last = server.received().into_iter().rfind(|request| request.is("GET", "/blobs/")).expect("asked");
    assert_eq!(last.header("range"), Some("bytes=2000000-"));
}

#[test]
fn busy_registries_are_waited_for() {
    let (contents, image) = Contents::tagged("1", &[b"layer"]);
    let path = format!("/blobs/{}", image.layers[0]);
    for (wait, ok) in [("0", true), ("3600", false)] {
        let (contents, path) = (contents.clone(), path.clone());
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |request, _| match contents.answer(request) {
            _ if request.path.ends_with(&path) && asked.fetch_add(1, Ordering::Relaxed) < 2 => {
                Answer::status(429).with("Retry-After", wait)
            }
            answer => answer,
        });
        let result = Client::new().pull(&server, "app:1");
        assert_eq!(result.is_ok(), ok);
        if let Err(error) = result {
            assert!(error.to_string().contains("asks to wait 3600 seconds"), "{error}");
        }
    }
}

#[test]
fn the_first_request_is_repeated_like_all_others() {
    for status in [429, 500] {
        let (contents, image) = Contents::tagged("1", &[b"layer"]);
        let server = Server::start(move |request, before| match contents.answer(request) {
            _ if before < 2 => Answer::status(status).with("Retry-After", 0),
            answer => answer,
        });
        assert_eq!(Client::new().pull(&server, "app:1").expect("pulled at last").id, image.id);
    }
}

#[test]
fn layers_that_are_kept_elsewhere() {
    let elsewhere = Server::start(|_, _| Answer::of(*b"layer"));
    let port = elsewhere.port;
    for (url, expected) in [
        (format!("http://127.0.0.1:{port}/layer"), "is not fetched: only https will do"),
        ("file:///etc/passwd".to_owned(), "is not fetched: only http and https are fetched"),
        (format!("https://127.0.0.1:{port}/layer"), "127.0.0.1"),
    ] {
        let (mut contents, image) = Contents::tagged("1", &[b"layer"]);
        let (_, bytes) = contents.files.remove(&format!("/manifests/{}", image.manifest.digest)).expect("there");
        let mut manifest = Manifest::parse(&bytes).expect("a manifest");
        manifest.layers[0].unknown.insert("urls".to_owned(), serde_json::json!([url]));
        let digest = contents.document(MANIFEST, manifest.to_json());
        contents.tag("foreign", &digest);
        contents.files.remove(&format!("/blobs/{}", image.layers[0]));
        let server = Server::start(move |request, _| contents.answer(request));
        let error = Client::new().refused(&server, "app:foreign");
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(elsewhere.count("GET", ""), 0);
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let (one, two) = (big(0), big(1));
    let (contents, image) = Contents::tagged("1", &[&one, &two]);
    let server = honest(contents);
    let client = Client::new();
    std::thread::scope(|scope| {
        let pull = || client.pull(&server, "app:1").expect("pulled");
        let other = scope.spawn(pull);
        assert_eq!((pull().id, other.join().expect("no panic").id), (image.id, image.id));
    });
    // Whoever came second waited for the first one's blobs.
    assert_eq!(server.count("GET", "/blobs/"), 3);
}

#[test]
fn silent_registries_are_not_waited_for() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(120));
        Answer::status(200)
    });
    let start = Instant::now();
    let error = Client::new().refused(&server, "app:1");
    assert!(error.contains("sent nothing for"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn tags_are_listed_page_by_page() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/v2/app/tags/list?n=1000" => Answer::of(*br#"{"name":"app","tags":["b","a"]}"#)
            .with("Link", "</v2/app/tags/list?n=1000&last=a>; rel=\"next\""),
        "/v2/app/tags/list?n=1000&last=a" => Answer::of(*br#"{"tags":["c"]}"#),
        "/v2/none/tags/list?n=1000" => Answer::of(*br#"{"tags":null}"#),
        "/v2/wrong/tags/list?n=1000" => Answer::of(*br#"{"tags":["a/../b"]}"#),
        "/v2/loop/tags/list?n=1000" => {
            Answer::of(*br#"{"tags":[]}"#).with("Link", "</v2/loop/tags/list?n=1000>; rel=next")
        }
        "/v2/away/tags/list?n=1000" => {
            Answer::of(*br#"{"tags":["a"]}"#).with("Link", "<http://127.0.0.1:1/v2/away/tags/list>; rel=next")
        }
        _ => Answer::status(404),
    });
    let tags = |repository: &str| {
        let name: Reference = name(&server, repository);
        Client::new().registries.tags(&name)
    };
    assert_eq!(tags("app").expect("tags"), ["b", "a", "c"]);
    assert!(tags("none").expect("tags").is_empty() && tags("loop").expect("tags").is_empty());
    for (repository, expected) in [("wrong", "a tag in it is none"), ("away", "it goes on elsewhere"), ("x", "has no")]
    {
        let error = tags(repository).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_a_name_leads_to() {
    let (contents, image) = Contents::tagged("1", &[b"layer"]);
    for head in [true, false] {
        let contents = contents.clone();
        let server = Server::start(move |request, _| match request.method.as_str() {
            "HEAD" if !head => Answer::status(405),
            _ => contents.answer(request),
        });
        let resolved = Client::new().registries.resolve(&name(&server, "app:1")).expect("resolved");
        let expected = Descriptor { platform: None, ..image.manifest.clone() };
        assert_eq!((resolved.descriptor, resolved.endpoint), (expected, server.host()));
        let error = Client::new().registries.resolve(&name(&server, "app:2")).expect_err("not there");
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
}
