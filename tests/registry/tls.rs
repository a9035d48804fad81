//! Registries with a certificate of an authority that only their users know. They have names that are no addresses of
//! this machine: a proxy takes kiln there, which shows that proxies are used, too.

use crate::certificates::Authority;
use crate::http_proxy::HttpProxy;
use crate::registry::{Options, Registry};
use crate::user::{User, noise};
use crate::{is_possible, plain, with};

struct Secured {
    authority: Authority,
    registry: Registry,
    proxy: HttpProxy,
}

const NAME: &str = "registry.example/app:1";

fn secured() -> Option<Secured> {
    if !is_possible() {
        return None;
    }
    let authority = Authority::new();
    let tls = Some(authority.issue(&["DNS:registry.example", "IP:127.0.0.1"]));
    let registry = with(&Options { tls, ..Options::default() })?;
    let proxy = HttpProxy::start(&[("registry.example:443", registry.port())]);
    Some(Secured { authority, registry, proxy })
}

impl Secured {
    fn user(&self) -> User {
        User::new().with_variable("https_proxy", self.proxy.url())
    }

    fn certificate(&self) -> String {
        self.authority.certificate().display().to_string()
    }
}

#[test]
fn an_unknown_authority_is_not_trusted() {
    let Some(secured) = secured() else { return };
    let user = secured.user();
    user.image(NAME, &[b"one"]);
    for command in ["push", "pull"] {
        let reason = user.fails(&[command, NAME]);
        assert!(reason.contains("certificate") && reason.contains("registry.example"), "{reason}");
        assert!(reason.contains("`ca`") || reason.contains("KILN_CA_FILE"), "the remedy is told: {reason}");
    }
    assert!(secured.registry.requests().is_empty());
}

#[test]
fn an_authority_is_named_in_any_of_three_places() {
    let Some(secured) = secured() else { return };
    let variable = secured.user().with_variable("KILN_CA_FILE", secured.certificate());
    let configured = secured.user();
    configured.configure(&format!("[registry.\"registry.example\"]\nca = \"{}\"\n", secured.certificate()));
    let certs_d = secured.user();
    certs_d.write("certs.d/registry.example/ca.crt", &std::fs::read(secured.certificate()).expect("it was made"));
    for user in [variable, configured, certs_d] {
        user.image(NAME, &[&noise(1, 100_000)]);
        let id = user.id(NAME);
        user.kiln(&["push", NAME]);
        user.kiln(&["rmi", NAME]);
        user.kiln(&["pull", NAME]);
        assert_eq!(user.id(NAME), id);
    }
    assert!(secured.proxy.asked().iter().all(|host| host == "registry.example:443"), "{:?}", secured.proxy.asked());
}

/// This registry has no index, which only those learn who come so far.
#[test]
fn searches_are_trusted_as_pulls_are() {
    let Some(secured) = secured() else { return };
    let search = ["search", "registry.example/app"];
    let reason = secured.user().fails(&search);
    assert!(reason.contains("certificate") && reason.contains("`ca`"), "{reason}");
    let insecure = secured.user();
    insecure.configure("[registry.\"registry.example\"]\ninsecure = true\n");
    let certs_d = secured.user();
    certs_d.write("certs.d/registry.example/ca.crt", &std::fs::read(secured.certificate()).expect("it was made"));
    for user in [insecure, certs_d] {
        let reason = user.fails(&search);
        assert!(reason.contains("cannot be searched"), "{reason}");
    }
}

/// As Docker: https whose certificate is not looked at.
#[test]
fn insecure_registries_are_not_checked() {
    let Some(secured) = secured() else { return };
    let configured = secured.user();
    configured.configure("[registry.\"registry.example\"]\ninsecure = true\n");
    let docker = secured.user();
    docker.write("daemon.json", br#"{"insecure-registries": ["registry.example"]}"#);
    for user in [configured, docker] {
        user.image(NAME, &[b"one"]);
        user.kiln(&["push", NAME]);
        user.kiln(&["pull", NAME]);
    }
}

/// Loopback needs no configuration, whether it speaks plain http or https.
#[test]
fn loopback_is_trusted() {
    let Some(secured) = secured() else { return };
    let user = User::new();
    let name = format!("{}/app:1", secured.registry.host());
    user.image(&name, &[b"one"]);
    user.kiln(&["push", &name]);
    user.kiln(&["pull", &name]);
}

#[test]
fn plain_http_elsewhere_is_refused() {
    let Some(registry) = plain() else { return };
    let proxy =
        HttpProxy::start(&[("registry.example:443", registry.port()), ("registry.example:80", registry.port())]);
    let user = User::new().with_variable("https_proxy", proxy.url()).with_variable("http_proxy", proxy.url());
    user.image(NAME, &[b"one"]);
    let reason = user.fails(&["push", NAME]);
    assert!(reason.contains("insecure"), "the remedy is told: {reason}");
    assert!(registry.requests().is_empty());
    user.configure("[registry.\"registry.example\"]\ninsecure = true\n");
    user.kiln(&["push", NAME]);
    user.kiln(&["pull", NAME]);
}
