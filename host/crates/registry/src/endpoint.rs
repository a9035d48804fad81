//! Who is asked for a repository: the registry's mirrors in order, then the registry itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_fetch::{Trust, Url};

use crate::{Error, Hosts, Result};

/// Where the Hub's registry really is.
const HUB: &str = "docker.io";
const HUB_HOST: &str = "registry-1.docker.io";
/// And its index, which answers searches.
const HUB_INDEX: &str = "index.docker.io";

/// One server that speaks the protocol.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// As it is told to people: the registry's name, or a mirror's URL.
    pub(crate) name: String,
    /// The name that its credentials are kept under.
    pub(crate) registry: String,
    pub(crate) is_mirror: bool,
    pub(crate) trust: Trust,
    /// `/v2` (`/v1` of an index), and where a mirror keeps this registry's repositories.
    base: String,
    host: String,
    /// Schemes to try, as long as it is not known which one is right.
    schemes: &'static [Scheme],
    scheme: OnceLock<Scheme>,
    /// It turned out to be of no use.
    useless: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Endpoint {
    /// The registry itself.
    pub(crate) fn origin(hosts: &Hosts, registry: &str) -> Self {
        let host = if registry == HUB { HUB_HOST } else { registry };
        let (trust, insecure) = trust(hosts, registry);
        let is_loopback = url(Scheme::Https, host, "").is_ok_and(|url| url.is_loopback());
        let schemes: &[Scheme] = match (insecure, is_loopback) {
            (false, _) => &[Scheme::Https],
            // Nobody listens between here and there, and hardly anybody has a certificate for it.
            (true, true) => &[Scheme::Http, Scheme::Https],
            (true, false) => &[Scheme::Https, Scheme::Http],
        };
        Self::new(registry.to_owned(), registry.to_owned(), host.to_owned(), "/v2".to_owned(), schemes, trust)
    }

    /// The registry's index in Docker's old protocol: the same certificates, schemes and credentials.
    pub(crate) fn index(hosts: &Hosts, registry: &str) -> Self {
        let host = if registry == HUB { HUB_INDEX } else { registry };
        Self { host: host.to_owned(), base: "/v1".to_owned(), ..Self::origin(hosts, registry) }
    }

    /// A mirror of any registry. A path is where it keeps that registry's repositories.
    pub(crate) fn mirror(hosts: &Hosts, text: &str) -> Result<Self> {
        let bad = || Error::BadMirror { url: text.to_owned() };
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (&[Scheme::Http][..], rest),
            Some(("https", rest)) => (&[Scheme::Https][..], rest),
            Some(_) => return Err(bad()),
            None => (&[Scheme::Https][..], text),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let base = match path {
            "" => "/v2".to_owned(),
            path if path.split('/').any(|part| part == "v2") => format!("/{path}"),
            path => format!("/v2/{path}"),
        };
        if host.contains('@') || base.contains(['?', '#']) || url(scheme[0], host, &base).is_err() {
            return Err(bad());
        }
        let (trust, _) = trust(hosts, host);
        let name = text.trim_end_matches('/').to_owned();
        Ok(Self { is_mirror: true, ..Self::new(name, host.to_owned(), host.to_owned(), base, scheme, trust) })
    }

    fn new(
        name: String,
        registry: String,
        host: String,
        base: String,
        schemes: &'static [Scheme],
        trust: Trust,
    ) -> Self {
        let scheme = match schemes {
            [only] => OnceLock::from(*only),
            _ => OnceLock::new(),
        };
        Self { name, registry, is_mirror: false, trust, base, host, schemes, scheme, useless: AtomicBool::new(false) }
    }

    /// The schemes to try: one, where it is known.
    pub(crate) fn schemes(&self) -> Vec<Scheme> {
        self.scheme.get().map_or_else(|| self.schemes.to_vec(), |scheme| vec![*scheme])
    }

    pub(crate) fn settle(&self, scheme: Scheme) {
        // Whoever was first knows it as well.
        let _ = self.scheme.set(scheme);
    }

    /// The URL of `path` below the base, like `/library/busybox/tags/list`.
    pub(crate) fn url(&self, scheme: Scheme, path: &str) -> Result<Url> {
        let url = url(scheme, &self.host, &format!("{}{path}", self.base));
        url.map_err(|source| kiln_fetch::Error::BadUrl { url: format!("{}{path}", self.host), source }.into())
    }

    /// What the registry calls a repository in scopes.
    pub(crate) fn scope_name(&self, repository: &str) -> String {
        match self.base.strip_prefix("/v2/") {
            Some(prefix) => format!("{prefix}/{repository}"),
            None => repository.to_owned(),
        }
    }

    pub(crate) fn is_useless(&self) -> bool {
        self.useless.load(Ordering::Relaxed)
    }

    pub(crate) fn give_up(&self) {
        self.useless.store(true, Ordering::Relaxed);
    }
}

impl Scheme {
    pub(crate) fn is_secure(self) -> bool {
        self == Self::Https
    }
}

fn trust(hosts: &Hosts, registry: &str) -> (Trust, bool) {
    let (host, own) = (hosts.of(registry), hosts.by_name.get(registry));
    let configured = hosts.default.insecure || own.is_some_and(|own| own.insecure);
    // Who names certificates for a registry on loopback wants them checked.
    let insecure = host.insecure && (configured || own.is_none_or(|own| own.certificates.is_empty()));
    let trust =
        Trust { certificates: host.certificates, client_certificate: host.client_certificate, unchecked: insecure };
    (trust, insecure)
}

fn url(scheme: Scheme, host: &str, path: &str) -> Result<Url, kiln_fetch::ParseUrlError> {
    let scheme = if scheme.is_secure() { "https" } else { "http" };
    format!("{scheme}://{host}{path}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Host;

    #[test]
    fn registries() {
        // A company's authority for all registries.
        let default = Host { certificates: vec!["company.pem".into()], ..Host::default() };
        let mut hosts = Hosts { default, ..Hosts::default() };
        hosts.by_name.insert("inner:5000".to_owned(), Host { insecure: true, ..Host::default() });
        let checked = Host { certificates: vec!["ca.pem".into()], ..Host::default() };
        hosts.by_name.insert("127.0.0.1:5443".to_owned(), checked);
        for (registry, first, count, unchecked) in [
            ("docker.io", "https://registry-1.docker.io/v2/a/b", 1, false),
            ("quay.io", "https://quay.io/v2/a/b", 1, false),
            ("localhost:5000", "http://localhost:5000/v2/a/b", 2, true),
            ("[::1]:5000", "http://[::1]:5000/v2/a/b", 2, true),
            ("127.0.0.1:5443", "https://127.0.0.1:5443/v2/a/b", 1, false),
            ("inner:5000", "https://inner:5000/v2/a/b", 2, true),
        ] {
            let endpoint = Endpoint::origin(&hosts, registry);
            let schemes = endpoint.schemes();
            let url = endpoint.url(schemes[0], "/a/b").expect("a URL").to_string();
            assert_eq!((url.as_str(), schemes.len(), endpoint.trust.unchecked), (first, count, unchecked));
            endpoint.settle(schemes[count - 1]);
            assert_eq!(endpoint.schemes(), [schemes[count - 1]]);
        }
    }

    #[test]
    fn mirrors() {
        for (text, expected) in [
            ("https://m.example", Some(("https://m.example/v2/a", "a"))),
            ("m.example:8443/", Some(("https://m.example:8443/v2/a", "a"))),
            ("http://10.0.0.1:5000", Some(("http://10.0.0.1:5000/v2/a", "a"))),
            ("https://m.example/hub", Some(("https://m.example/v2/hub/a", "hub/a"))),
            ("https://m.example/api/v2/hub/", Some(("https://m.example/api/v2/hub/a", "a"))),
            ("ftp://m.example", None),
            ("https://user:secret@m.example", None),
            ("https://m.example/?a", None),
            ("https://", None),
        ] {
            let mirror = Endpoint::mirror(&Hosts::default(), text);
            let found = mirror.map(|mirror| {
                let url = mirror.url(mirror.schemes()[0], "/a").expect("a URL");
                (url.to_string(), mirror.scope_name("a"))
            });
            let expected = expected.map(|(url, scope)| (url.to_owned(), scope.to_owned()));
            assert_eq!(found.ok(), expected, "{text}");
        }
    }
}
