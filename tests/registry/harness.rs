//! The harness itself, proven with skopeo: what the other tests rely on.

use crate::certificates::Authority;
use crate::http_proxy::HttpProxy;
use crate::layout::Layout;
use crate::registry::{Options, PASSWORD, USER};
use crate::token_server::TokenServer;
use crate::user::{User, both, noise};
use crate::wire::{Direction, Wire};
use crate::{plain, with};

fn catalog(user: &User, host: &str) -> Result<String, String> {
    let target = format!("docker://{host}/public/app");
    let output = user.program("skopeo", &["list-tags", "--tls-verify=false", &target]).output().expect("skopeo starts");
    if output.status.success() { Ok(both(&output)) } else { Err(both(&output)) }
}

#[test]
fn a_registry_stops_and_starts_again() {
    let Some(mut registry) = plain() else { return };
    let (user, layout) = (User::new(), Layout::new());
    let image = layout.image("linux/amd64", &[b"content"]);
    layout.push(&user, &image, &format!("{}/public/app:1", registry.host()));
    let manifest = "/v2/public/app/manifests/1";
    assert!(registry.answers(|request| (request.path.as_str(), request.status) == (manifest, 201)));
    registry.stop();
    assert!(catalog(&user, &registry.host()).is_err());
    registry.start_again();
    registry.forget();
    assert!(catalog(&user, &registry.host()).expect("it is up").contains("\"1\""));
    let asked: Vec<String> = registry.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/v2/public/app/tags/list"]);
}

#[test]
fn logins_are_asked_for() {
    let Some(registry) = with(&Options { login: true, ..Options::default() }) else { return };
    let (user, layout) = (User::new(), Layout::new());
    let host = registry.host();
    assert!(catalog(&user, &host).expect_err("not logged in").contains("authentication required"));
    user.run("skopeo", &["login", "--tls-verify=false", "-u", USER, "-p", PASSWORD, &host]);
    layout.push(&user, &layout.image("linux/amd64", &[b"content"]), &format!("{host}/public/app:1"));
}

#[test]
fn tokens_open_what_they_say() {
    let tokens = TokenServer::start();
    let Some(registry) = with(&Options { token: Some(tokens.token()), ..Options::default() }) else { return };
    let (user, layout) = (User::new(), Layout::new());
    let (host, image) = (registry.host(), layout.image("linux/amd64", &[b"content"]));
    let stranger = User::new();
    user.run("skopeo", &["login", "--tls-verify=false", "-u", USER, "-p", PASSWORD, &host]);
    layout.push(&user, &image, &format!("{host}/public/app:1"));
    assert!(catalog(&stranger, &host).is_ok());
    assert!(tokens.scopes().contains(&"repository:public/app:pull".to_owned()));
}

#[test]
fn a_host_behind_a_proxy_has_its_certificate() {
    let authority = Authority::new();
    let tls = Some(authority.issue(&["DNS:registry.example"]));
    let Some(registry) = with(&Options { tls, ..Options::default() }) else { return };
    let proxy = HttpProxy::start(&[("registry.example:443", registry.port())]);
    let user = User::new().with_variable("https_proxy", proxy.url());
    let folder = user.write("certs/ca.crt", &std::fs::read(authority.certificate()).expect("it was made"));
    let folder = folder.parent().expect("certs").to_str().expect("UTF-8");
    let tags = |options: &[&str]| {
        let arguments = [&["list-tags"], options, &["docker://registry.example/app"]].concat();
        both(&user.program("skopeo", &arguments).output().expect("skopeo starts"))
    };
    assert!(tags(&[]).contains("certificate signed by unknown authority"));
    assert!(tags(&["--cert-dir", folder]).contains("404"), "{}", tags(&["--cert-dir", folder]));
    assert!(proxy.asked().iter().all(|host| host == "registry.example:443"));
}

#[test]
fn a_wire_is_cut() {
    let Some(registry) = plain() else { return };
    let wire = Wire::to(registry.port());
    let (user, layout) = (User::new(), Layout::new());
    let name = format!("{}/public/app:1", wire.host());
    layout.push(&user, &layout.image("linux/amd64", &[&noise(1, 1 << 20)]), &name);
    assert!(wire.carried(Direction::Request) > 1 << 20);
    wire.cut(Direction::Answer, 512 << 10);
    let folder = user.home().join("copy");
    let copy = ["--insecure-policy", "copy", "--src-tls-verify=false", &format!("docker://{name}")];
    let output = user.program("skopeo", &copy).arg(format!("dir:{}", folder.display())).output();
    assert!(!output.expect("skopeo starts").status.success());
    assert_eq!(wire.faults_left(), 0);
}
