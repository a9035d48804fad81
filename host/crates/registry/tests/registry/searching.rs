//! Searches log in as all else does.

use kiln_registry::Error;

use crate::client::{Client, Options, user};
use crate::server::{Answer, Received, Server};

const FOUND: &str = r#"{"results":[{"name":"a","star_count":1},{"name":"b","star_count":7}]}"#;

/// An index that knows only who has the header.
fn server(challenge: impl Fn(&Received) -> String + Send + Sync + 'static, header: &'static str) -> Server {
    Server::start(move |request, _| {
        if request.path.starts_with("/token") {
            Answer::of(r#"{"token":"t"}"#)
        } else if request.header("authorization") == Some(header) {
            Answer::of(FOUND)
        } else {
            Answer::status(401).with("WWW-Authenticate", challenge(request))
        }
    })
}

#[test]
fn an_index_may_want_a_login() {
    let basic = server(|_| "Basic realm=x".to_owned(), "Basic bWU6c2VjcmV0");
    let bearer = server(
        |request| format!("Bearer realm=\"http://{}/token\"", request.header("host").expect("a host")),
        "Bearer t",
    );
    for server in [basic, bearer] {
        let client = Client::with(Options { credential: Some(user("me")), ..Options::default() });
        let found = client.registries.search(&server.host(), "x y&z", 10).expect("found");
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(server.count("GET", "/v1/search?q=x%20y%26z&n=10"), 2);
    }
}

#[test]
fn what_an_index_refuses_is_told() {
    let basic = server(|_| "Basic realm=x".to_owned(), "Basic bWU6c2VjcmV0");
    let error = Client::new().registries.search(&basic.host(), "x", 10).expect_err("nobody is logged in");
    assert!(matches!(error, Error::NoCredentials { .. }), "{error}");
    let wrong = Client::with(Options { credential: Some(user("you")), ..Options::default() });
    let error = wrong.registries.search(&basic.host(), "x", 10).expect_err("another user");
    assert!(matches!(error, Error::WrongCredentials { .. }), "{error}");
    let none = Server::start(|_, _| Answer::status(404));
    let error = Client::new().registries.search(&none.host(), "x", 10).expect_err("no index");
    assert!(matches!(error, Error::NoSearch { .. }), "{error}");
}
