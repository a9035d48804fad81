//! Requests: redirects, credentials, repetitions, proxies.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kiln_fetch::{Body, Client, Error, Method, Proxies, Request, Settings, Source};

use crate::server::{Server, answer, client, settings, write};

fn text(response: kiln_fetch::Response) -> String {
    let mut text = String::new();
    response.body().read_to_string(&mut text).expect("a body");
    text
}

#[test]
fn says_who_asks_and_wants_plain_bytes() {
    let server = Server::start(|_, _, out| answer(out, 200, &["X-A: b"], b"hello"));
    let response = client().send(&Request::get(&server.url("/a?b=c"))).expect("an answer");
    assert_eq!((response.status, response.header("x-a")), (200, Some("b")));
    assert_eq!(text(response), "hello");
    let request = &server.received()[0];
    assert_eq!(request.line, "GET /a?b=c HTTP/1.1");
    assert_eq!(request.header("user-agent"), Some(concat!("kiln/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
}

#[test]
fn redirects_end() {
    let server = Server::start(|request, _, out| match request.path() {
        "/loop" => answer(out, 302, &["Location: /loop"], b""),
        "/a" => answer(out, 301, &["Location: b/../c?d"], b""),
        "/file" => answer(out, 302, &["Location: file:///etc/passwd"], b""),
        "/bare" => answer(out, 302, &[], b"no location"),
        path => answer(out, 200, &[], path.as_bytes()),
    });
    let get = |path: &str| client().send(&Request::get(&server.url(path)));
    let response = get("/a").expect("an answer");
    assert_eq!(response.url.to_string(), server.url("/c?d").to_string());
    assert_eq!(text(response), "/c?d");
    assert!(matches!(get("/loop"), Err(Error::TooManyRedirects { most: 10, .. })));
    assert!(matches!(get("/file"), Err(Error::RefusedRedirect { .. })));
    assert_eq!(get("/bare").expect("an answer").status, 302);
}

#[test]
fn credentials_go_to_their_own_host_only() {
    let other = Server::start(|_, _, out| answer(out, 200, &[], b"other"));
    let elsewhere = format!("Location: http://localhost:{}/stolen", other.port);
    let server = Server::start(move |request, _, out| match request.path() {
        "/away" => answer(out, 307, &[&elsewhere], b""),
        "/here" => answer(out, 307, &["Location: /end"], b""),
        _ => answer(out, 200, &[], b""),
    });
    let (away, here) = (server.url("/away"), server.url("/here"));
    for url in [&away, &here] {
        client().send(&Request { authorization: Some("Bearer secret"), ..Request::get(url) }).expect("an answer");
    }
    let sent: Vec<_> =
        server.received().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, vec![Some("Bearer secret".to_owned()); 3]);
    assert_eq!(other.received()[0].header("authorization"), None);
    // Those in a URL are for that URL.
    let own: kiln_fetch::Url = format!("http://u:p%40@127.0.0.1:{}/away", server.port).parse().expect("a URL");
    client().send(&Request::get(&own)).expect("an answer");
    assert_eq!(server.received()[3].header("authorization"), Some("Basic dTpwQA=="));
    assert_eq!(other.received()[1].header("authorization"), None);
    assert!(!own.to_string().contains("p%40"));
}

#[test]
fn forms_go_to_their_own_host_only() {
    let other = Server::start(|_, _, out| answer(out, 200, &[], b"other"));
    let elsewhere = format!("Location: http://localhost:{}/stolen", other.port);
    let server = Server::start(move |request, _, out| match request.path() {
        "/away" => answer(out, 307, &[&elsewhere], b""),
        "/here" => answer(out, 307, &["Location: /end"], b""),
        _ => answer(out, 200, &[], b""),
    });
    let post = |path: &str| {
        let url = server.url(path);
        client().send(&Request { method: Method::Post, body: Body::Bytes(b"secret=x"), ..Request::get(&url) })
    };
    assert!(matches!(post("/away"), Err(Error::RefusedRedirect { .. })));
    assert!(other.received().is_empty());
    post("/here").expect("an answer");
    assert_eq!(server.received()[2].body, b"secret=x");
}

#[test]
fn what_may_be_temporary_is_tried_again() {
    let server = Server::start(|_, before, out| match before {
        0 => answer(out, 503, &[], b""),
        1 => answer(out, 429, &["Retry-After: 0"], b""),
        _ => answer(out, 200, &[], b"at last"),
    });
    assert_eq!(text(client().send(&Request::get(&server.url("/"))).expect("an answer")), "at last");
    let down = Server::start(|_, _, out| answer(out, 503, &[], b""));
    assert_eq!(client().send(&Request::get(&down.url("/"))).expect("an answer").status, 503);
    assert_eq!(down.received().len(), 3);
    let url = down.url("/");
    let post = Request { method: Method::Post, body: Body::Bytes(b"x"), ..Request::get(&url) };
    assert_eq!(client().send(&post).expect("an answer").status, 503);
    assert_eq!(down.received().len(), 4, "a POST is not repeated");
    let busy = Server::start(|_, _, out| answer(out, 429, &["Retry-After: 3600"], b""));
    let error = client().send(&Request::get(&busy.url("/"))).err().expect("no answer").to_string();
    assert_eq!(error, "127.0.0.1 asks to wait 3600 seconds before the next request: try again later");
}

struct Content<'a>(&'a [u8]);

impl Source for Content<'_> {
    fn open(&self) -> std::io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0))
    }
}

#[test]
fn bodies_are_streamed_and_opened_anew_for_each_attempt() {
    let server = Server::start(|_, before, out| answer(out, if before == 0 { 500 } else { 201 }, &[], b""));
    let content: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let url = server.url("/upload");
    let body = Body::Stream { length: Some(content.len() as u64), source: &Content(&content) };
    let response = client().send(&Request { method: Method::Put, body, ..Request::get(&url) }).expect("an answer");
    assert_eq!(response.status, 201);
    let received = server.received();
    assert!(received.iter().all(|request| request.body == content && request.line == "PUT /upload HTTP/1.1"));
    assert_eq!(received.len(), 2);
}

#[test]
fn hostile_headers_are_refused() {
    let endless = Server::start(|_, _, out| {
        write(out, b"HTTP/1.1 200 OK\r\nX: ");
        while write(out, &[b'x'; 4096]) {}
    });
    let nonsense = Server::start(|_, _, out| {
        write(out, b"\x00\x01 what?\r\n\r\n");
    });
    for server in [endless, nonsense] {
        let result = Client::new(Settings { attempts: 1, ..settings() }).send(&Request::get(&server.url("/")));
        assert!(matches!(result, Err(Error::Broken { .. })), "{:?}", result.err());
    }
}

#[test]
fn nobody_waits_for_ever() {
    let silent = Server::start(|_, _, _| std::thread::sleep(Duration::from_secs(120)));
    let start = Instant::now();
    let one = Client::new(Settings { attempts: 1, ..settings() });
    assert!(matches!(one.send(&Request::get(&silent.url("/"))), Err(Error::Stalled { .. })));
    assert!(start.elapsed() < Duration::from_secs(60));
    // Nor after the wish to end.
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let patient = Client::new(Settings {
        stall: Duration::from_secs(120),
        cancelled: Arc::new(move || flag.load(Ordering::Relaxed)),
        ..settings()
    });
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            cancelled.store(true, Ordering::Relaxed);
        });
        assert!(matches!(patient.send(&Request::get(&silent.url("/"))), Err(Error::Cancelled)));
    });
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn nobody_is_there() {
    let unused =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let url = format!("http://127.0.0.1:{}/", unused.port()).parse().expect("a URL");
    assert!(matches!(client().send(&Request::get(&url)), Err(Error::Unreachable { .. })));
}

#[test]
fn proxies_are_asked_for_what_is_not_here() {
    let proxy = Server::start(|request, _, out| {
        if !request.line.starts_with("CONNECT") {
            answer(out, 200, &[], b"from the proxy");
        }
    });
    let named = Some(format!("http://me:pass%20word@127.0.0.1:{}", proxy.port));
    let proxies = Proxies { http: named.clone(), https: named, ..Proxies::default() };
    let client = Client::new(Settings { proxies, attempts: 1, ..settings() });
    let url = "http://user:secret@kiln.invalid:8080/a?b=%20c".parse().expect("a URL");
    let body = Body::Bytes(b"GET /http://body");
    for request in [Request::get(&url), Request { method: Method::Put, body, ..Request::get(&url) }] {
        assert_eq!(text(client.send(&request).expect("an answer")), "from the proxy");
    }
    let secure = "https://kiln.invalid/a".parse().expect("a URL");
    assert!(client.send(&Request::get(&secure)).is_err(), "this proxy makes no tunnels");
    let received = proxy.received();
    let lines: Vec<&str> = received.iter().map(|request| request.line.as_str()).collect();
    let path = "http://kiln.invalid:8080/a?b=%20c HTTP/1.1";
    assert_eq!(lines, [&format!("GET {path}"), &format!("PUT {path}"), "CONNECT kiln.invalid:443 HTTP/1.1"]);
    assert_eq!(received[0].header("host"), Some("kiln.invalid:8080"));
    assert_eq!(received[0].header("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    assert_eq!(received[1].body, b"GET /http://body");
    assert!(received.iter().all(|request| request.header("proxy-authorization") == Some("Basic bWU6cGFzcyB3b3Jk")));
    let direct = Server::start(|_, _, out| answer(out, 200, &[], b"direct"));
    assert_eq!(text(client.send(&Request::get(&direct.url("/"))).expect("an answer")), "direct");
}

/// A proxy's connection serves one request after the other, for several hosts.
#[test]
fn connections_to_proxies_are_used_again() {
    let proxy = Server::start(|request, _, out| {
        let mut line = request.line.clone();
        for _ in 0..3 {
            write(out, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()).as_bytes());
            let mut next = [0; 1024];
            let Ok(read @ 1..) = out.read(&mut next) else { return };
            line = String::from_utf8_lossy(&next[..read]).lines().next().unwrap_or_default().to_owned();
        }
    });
    let proxies = Proxies { http: Some(format!("127.0.0.1:{}", proxy.port)), ..Proxies::default() };
    let client = Client::new(Settings { proxies, ..settings() });
    for url in ["http://a.invalid/x", "http://b.invalid/x", "http://a.invalid/y"] {
        let answer = client.send(&Request::get(&url.parse().expect("a URL"))).expect("an answer");
        assert_eq!(text(answer), format!("GET {url} HTTP/1.1"));
    }
    assert_eq!(proxy.received().len(), 1, "one connection");
}

#[test]
fn a_proxy_that_is_down_is_named() {
    let unused =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let proxies = Proxies { http: Some(format!("http://{unused}")), ..Proxies::default() };
    let client = Client::new(Settings { proxies, ..settings() });
    let error = client.send(&Request::get(&"http://kiln.invalid/".parse().expect("a URL"))).err().expect("refused");
    assert!(matches!(&error, Error::Unreachable { host, .. } if *host == unused.to_string()), "{error}");
}

#[test]
fn a_server_without_tls_is_no_mystery() {
    let plain = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = plain.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut stream in plain.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            answer(&mut stream, 400, &[], b"what?");
        }
    });
    let url = format!("https://127.0.0.1:{port}/").parse().expect("a URL");
    assert!(matches!(client().send(&Request::get(&url)), Err(Error::NotSecure { .. })));
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, "not a certificate").expect("ours");
    let client = Client::new(Settings { certificates: vec![path], ..settings() });
    let url = "https://127.0.0.1:1/".parse().expect("a URL");
    let error = client.send(&Request::get(&url)).err().expect("refused").to_string();
    assert!(error.starts_with("cannot read certificates from ") && error.ends_with("ca.pem"), "{error}");
}
