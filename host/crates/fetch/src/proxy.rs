//! Which proxy a request goes through: the conventions of `http_proxy` and `no_proxy`, the values handed in.

use std::net::IpAddr;

use crate::Url;

/// Proxies by the scheme of the URL that is fetched.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    pub http: Option<String>,
    pub https: Option<String>,
    /// Where the scheme has none of its own.
    pub all: Option<String>,
    /// Hosts that are reached directly, separated by commas.
    pub none_for: Option<String>,
}

impl Proxies {
    /// The proxy for a URL; loopback is never asked of one.
    pub(crate) fn of(&self, url: &Url) -> Option<&str> {
        let own = if url.is_secure() { &self.https } else { &self.http };
        let proxy = own.as_deref().or(self.all.as_deref()).filter(|proxy| !proxy.is_empty())?;
        (!url.is_loopback() && !self.is_direct(url)).then_some(proxy)
    }

    fn is_direct(&self, url: &Url) -> bool {
        let listed = self.none_for.as_deref().unwrap_or_default();
        listed.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| matches(entry, url))
    }
}

/// `*`, a domain with or without a leading dot or `*.`, an address, a network as `10.0.0.0/8`; a port may follow.
fn matches(entry: &str, url: &Url) -> bool {
    if entry == "*" {
        return true;
    }
    let host = url.host();
    let address: Option<IpAddr> = host.parse().ok();
    if let Some((network, bits)) = entry.split_once('/') {
        let network: Option<IpAddr> = network.parse().ok();
        let bits = bits.parse::<u32>().ok();
        return network.zip(bits).zip(address).is_some_and(|((network, bits), address)| within(network, bits, address));
    }
    if let Ok(listed) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return address == Some(listed);
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (entry, None),
    };
    if port.is_some_and(|port: u16| port != url.port()) {
        return false;
    }
    let domain = name.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    !domain.is_empty() && (host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.')))
}

fn within(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_exceptions() {
        let proxies = Proxies {
            http: Some("http://plain:1".to_owned()),
            https: None,
            all: Some("http://all:2".to_owned()),
            none_for: Some("internal.example, .corp, 10.0.0.0/8, host:8080, 192.0.2.7".to_owned()),
        };
        for (url, expected) in [
            ("http://a/", Some("http://plain:1")),
            ("https://a/", Some("http://all:2")),
            ("http://localhost:5000/", None),
            ("http://127.0.0.1/", None),
            ("https://internal.example/", None),
            ("https://x.internal.example/", None),
            ("https://notinternal.example/", Some("http://all:2")),
            ("https://a.corp/", None),
            ("https://10.1.2.3/", None),
            ("https://11.1.2.3/", Some("http://all:2")),
            ("http://host:8080/", None),
            ("http://host/", Some("http://plain:1")),
            ("http://192.0.2.7/", None),
        ] {
            assert_eq!(proxies.of(&url.parse().expect(url)), expected, "{url}");
        }
        let none = Proxies { none_for: Some("*".to_owned()), ..proxies };
        assert_eq!(none.of(&"http://a/".parse().expect("a URL")), None);
    }
}
