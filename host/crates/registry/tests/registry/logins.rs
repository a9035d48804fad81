//! Logins: basic and by tokens, asked for once, and told to nobody else.

use kiln_registry::{Credential, Error, PullOptions};

use crate::client::{Client, Options, name, user};
use crate::contents::Contents;
use crate::server::{Answer, Received, Server};

/// `user:secret` and `other:secret`.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

fn logged_in(name: &str) -> Client {
    Client::with(Options { credential: Some(user(name)), ..Options::default() })
}

/// Tokens from `/token`, where `grant` says what is answered there.
fn with_tokens(contents: Contents, grant: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |request, _| {
        if request.path.starts_with("/token") {
            return grant(request);
        }
        match request.header("authorization") {
            Some("Bearer good") => contents.answer(request),
            _ => {
                let host = request.header("host").unwrap_or_default();
                let challenge = format!(
                    "Bearer realm=\"http://{host}/token\",service=\"the registry\",scope=\"repository:app:pull\""
                );
                Answer::status(401).with("WWW-Authenticate", challenge)
            }
        }
    })
}

#[test]
fn basic() {
    let (contents, image) = Contents::tagged("1", &[b"layer"]);
    let server = Server::start(move |request, _| match request.header("authorization") {
        Some(BASIC) => contents.answer(request),
        // As servers do that know Kerberos as well.
        _ => Answer::status(401)
            .with("WWW-Authenticate", "Negotiate")
            .with("WWW-Authenticate", "Basic realm=\"Registry\""),
    });
    let client = logged_in("user");
    assert_eq!(client.pull(&server, "app:1").expect("pulled").id, image.id);
    // The first request is refused, and no other one.
    let refused = server.received().iter().filter(|request| request.header("authorization").is_none()).count();
    assert_eq!(refused, 1);
    let error = Client::new().pull(&server, "app:1").expect_err("nobody").to_string();
    assert!(error.ends_with(&format!("log in with `kiln login {}`", server.host())), "{error}");
    let error = logged_in("other").pull(&server, "app:1").expect_err("wrong");
    assert!(matches!(error, Error::WrongCredentials { .. }), "{error}");
    let check = |name: &str| Client::new().registries.check_login(&server.host(), &user(name));
    assert!(matches!(check("other"), Err(Error::WrongCredentials { .. })));
}

#[test]
fn logins_are_checked() {
    let open = Server::start(|_, _| Answer::status(200));
    let basic = Server::start(|request, _| match request.header("authorization") {
        Some(BASIC) => Answer::status(200),
        _ => Answer::status(401).with("WWW-Authenticate", "Basic realm=x"),
    });
    let tokens = with_tokens(Contents::default(), |request| match request.header("authorization") {
        Some(BASIC) => Answer::of(*br#"{"token":"good"}"#),
        _ => Answer::status(401),
    });
    let check = |server: &Server, name: &str| Client::new().registries.check_login(&server.host(), &user(name));
    check(&open, "user").expect("anybody may");
    check(&basic, "user").expect("a user");
    assert!(matches!(check(&basic, "other"), Err(Error::WrongCredentials { .. })));
    assert!(matches!(check(&tokens, "other"), Err(Error::WrongCredentials { .. })));
    assert_eq!(basic.received()[0].path, "/v2/");
    // Whoever gets a token, but finds nothing there, is logged in to something that is no registry.
    assert!(matches!(check(&tokens, "user"), Err(Error::NotFound { .. })));
}

#[test]
fn tokens_are_fetched_once_and_anew_when_they_have_ended() {
    let (contents, image) = Contents::tagged("1", &[b"one", b"two", b"three"]);
    let server = with_tokens(contents, |request| match request.header("authorization") {
        Some(BASIC) => Answer::of(*br#"{"access_token":"good","expires_in":300}"#),
        _ => Answer::of(*br#"{"token":"useless"}"#),
    });
    let client = logged_in("user");
    assert_eq!(client.pull(&server, "app:1").expect("pulled").id, image.id);
    assert_eq!(server.count("GET", "/token"), 1);
    let asked = server.received().into_iter().find(|request| request.is("GET", "/token")).expect("asked").path;
    assert_eq!(asked, "/token?service=the%20registry&scope=repository%3Aapp%3Apull&client_id=kiln&account=user");
    // A token that opens nothing is no reason to ask for ever.
    let error = Client::new().pull(&server, "app:1").expect_err("denied");
    assert!(matches!(error, Error::NoCredentials { .. }), "{error}");
    assert!(server.count("GET", "/token") <= 3);
}

#[test]
fn identity_tokens_are_exchanged() {
    let (contents, image) = Contents::tagged("1", &[b"layer"]);
    let server = with_tokens(contents, |request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let expected = "grant_type=refresh_token&service=the%20registry&client_id=kiln\
                        &scope=repository%3Aapp%3Apull&refresh_token=a%2Fb";
        match request.method.as_str() {
            "POST" if form == expected => Answer::of(*br#"{"access_token":"good"}"#),
            _ => Answer::status(400),
        }
    });
    let credential = Credential { user: String::new(), secret: "a/b".to_owned(), is_identity_token: true };
    let client = Client::with(Options { credential: Some(credential), ..Options::default() });
    assert_eq!(client.pull(&server, "app:1").expect("pulled").id, image.id);
}

#[test]
fn token_servers_that_lie() {
    for (answer, expected) in [
        (Answer::of(*b"{}"), "there is no token in it"),
        (Answer::of(*b"<html>"), "it is not JSON with a token"),
        (Answer::of(*br#"{"token":"a b"}"#), "there is no token in it"),
        (Answer::of(*br#"{"token":"a\r\nX: y"}"#), "there is no token in it"),
        (Answer::of(vec![b' '; 1 << 20]), "is larger than 262144 bytes"),
        (Answer { endless: true, ..Answer::of(vec![b' '; 1 << 16]) }, "is larger than 262144 bytes"),
        (Answer::status(403), "does not accept this user and password"),
        (Answer::status(404), "has no a token"),
    ] {
        let (contents, _) = Contents::tagged("1", &[b"layer"]);
        let server = with_tokens(contents, move |_| answer.clone());
        let error = logged_in("user").pull(&server, "app:1").expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    for realm in ["file:///etc/passwd", "nonsense"] {
        let server = Server::start(move |_, _| {
            Answer::status(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))
        });
        let error = logged_in("user").pull(&server, "app:1").expect_err("refused").to_string();
        assert!(error.contains(&format!("sends those who log in to {realm}, which is refused")), "{error}");
    }
}

#[test]
fn redirects_to_other_hosts_learn_no_secrets() {
    let (contents, image) = Contents::tagged("1", &[b"layer"]);
    let elsewhere = {
        let contents = contents.clone();
        Server::start(move |request, _| contents.answer(request))
    };
    let port = elsewhere.port;
    let server = Server::start(move |request, _| match request.header("authorization") {
        Some(BASIC) if request.path.contains("/blobs/") => {
            Answer::status(307).with("Location", format!("http://localhost:{port}{}", request.path))
        }
        Some(BASIC) => contents.answer(request),
        _ => Answer::status(401).with("WWW-Authenticate", "Basic realm=x"),
    });
    let client = logged_in("user");
    let pulled = client.registries.pull(&client.store, &name(&server, "app:1"), &PullOptions::default(), &());
    assert_eq!(pulled.expect("pulled").id, image.id);
    let received = elsewhere.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn others_that_want_a_login_get_none() {
    let (contents, _) = Contents::tagged("1", &[b"layer"]);
    for scheme in ["Basic realm=x", "Bearer realm=\"http://127.0.0.1:PORT/token\""] {
        let elsewhere = Server::start(move |request, _| {
            let host = request.header("host").unwrap_or_default();
            let challenge = scheme.replace("127.0.0.1:PORT", host);
            Answer::status(401).with("WWW-Authenticate", challenge)
        });
        let (contents, port) = (contents.clone(), elsewhere.port);
        let server = Server::start(move |request, _| match request.path.contains("/blobs/") {
            true => Answer::status(307).with("Location", format!("http://localhost:{port}{}", request.path)),
            false => contents.answer(request),
        });
        let error = logged_in("user").pull(&server, "app:1").expect_err("denied");
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        let received = elsewhere.received();
        assert!(!received.is_empty() && received.iter().all(|request| request.path.starts_with("/v2/")));
        assert!(received.iter().all(|request| request.header("authorization").is_none()));
    }
}

#[test]
fn denied_is_not_asked_again() {
    for (status, message) in [(403, "denies access to"), (401, "denies access to")] {
        let server = Server::start(move |_, _| Answer {
            body: br#"{"errors":[{"code":"DENIED","message":"not\u001b[31m for you"}]}"#.into(),
            ..Answer::status(status)
        });
        let error = logged_in("user").pull(&server, "app:1").expect_err("denied").to_string();
        assert!(error.contains(message) && error.ends_with(": not[31m for you"), "{error}");
        assert_eq!(server.received().len(), 1);
    }
}
