//! Mirrors: asked first, and passed over when they are of no use.

use kiln_registry::Error;

use crate::client::{Client, Options};
use crate::contents::Contents;
use crate::server::{Answer, Server};

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.host())
}

#[test]
fn the_first_that_is_of_use_is_asked() {
    let (contents, image) = Contents::tagged("1", &[b"layer"]);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let down = format!("http://127.0.0.1:{unused}");
    let empty = Server::start(|_, _| Answer::status(404));
    let broken = Server::start(|_, _| Answer::status(503));
    let closed = Server::start(|_, _| Answer::status(401).with("WWW-Authenticate", "Basic realm=\"x\""));
    let good = Server::start(move |request, _| contents.answer(request));
    let origin = Server::start(|_, _| Answer::status(500));
    let mirrors = vec![down.clone(), url(&empty, ""), url(&broken, ""), url(&closed, ""), url(&good, "/cache")];
    let client = Client::with(Options { mirrors, ..Options::default() });
    let pulled = client.pull(&origin, "team/app:1").expect("pulled");
    assert_eq!(pulled.id, image.id);
    assert!(origin.received().is_empty());
    let lines = client.told.lines();
    let passed = |url: &str| lines.iter().filter(|line| line.starts_with(&format!("passed over {url}:"))).count();
    assert_eq!([&down, &url(&empty, ""), &url(&broken, ""), &url(&closed, "")].map(|url| passed(url)), [1; 4]);
    assert!(client.told.has(&format!("from {}", url(&good, "/cache"))));
    assert!(good.received().iter().all(|request| request.path.starts_with("/v2/cache/team/app/")));
    // What has been passed over is asked once for each thing at most, and not again and again.
    assert_eq!(broken.count("GET", "/manifests/"), 1);
}

#[test]
fn wrong_bytes_come_from_the_registry_instead() {
    let (contents, image) = Contents::tagged("1", &[b"layer", b"other"]);
    let honest = contents.clone();
    let origin = Server::start(move |request, _| honest.answer(request));
    for fault in ["wrong", "cut", "manifest"] {
        let contents = contents.clone();
        let mirror = Server::start(move |request, _| {
            let answer = contents.answer(request);
            match fault {
                "wrong" if request.path.contains("/blobs/") => Answer { body: vec![b'x'; answer.body.len()], ..answer },
                "cut" if request.path.contains("/blobs/") => Answer { cut: Some(2), ..answer },
                "manifest" => Answer { body: b"{}".into(), ..answer },
                _ => answer,
            }
        });
        let client = Client::with(Options { mirrors: vec![url(&mirror, "")], ..Options::default() });
        let pulled = client.pull(&origin, "app:1").expect(fault);
        assert_eq!(pulled.id, image.id);
        assert!(client.told.has("passed over http://127.0.0.1"), "{:?}", client.told.lines());
        for layer in &image.layers {
            client.store.verify_blob(layer).expect("whole");
        }
    }
}

#[test]
fn what_is_no_mirror_is_told() {
    let (contents, _) = Contents::tagged("1", &[b"layer"]);
    let origin = Server::start(move |request, _| contents.answer(request));
    let client = Client::with(Options { mirrors: vec!["ftp://x".to_owned()], ..Options::default() });
    let error = client.pull(&origin, "app:1").expect_err("no mirror");
    assert!(matches!(error, Error::BadMirror { .. }), "{error}");
}
