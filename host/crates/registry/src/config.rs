//! What is configured of single registries: mirrors, whom to trust, certificates.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// All that is configured of registries.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// What holds for every registry; `by_name` comes on top.
    pub default: Host,
    /// By the registry as names of images have it: `docker.io`, `127.0.0.1:5000`.
    pub by_name: BTreeMap<String, Host>,
    /// Registries with an address in one of these are insecure. Loopback always is.
    pub insecure_networks: Vec<Network>,
}

/// What is configured of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Where to ask first, in order: URLs, without a slash at the end.
    pub mirrors: Vec<String>,
    /// Plain http will do, and https with any certificate, as in Docker.
    pub insecure: bool,
    /// Files of further certificates (PEM) to trust.
    pub certificates: Vec<PathBuf>,
    /// Files (PEM) of the certificate to show, and of its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

impl Hosts {
    /// What holds for the registry `name`.
    pub fn of(&self, name: &str) -> Host {
        let mut host = self.default.clone();
        if let Some(own) = self.by_name.get(name) {
            host.mirrors.extend(own.mirrors.iter().cloned());
            host.insecure |= own.insecure;
            host.certificates.extend(own.certificates.iter().cloned());
            host.client_certificate = own.client_certificate.clone().or(host.client_certificate);
        }
        host.insecure |= self.is_in_insecure_network(name);
        host
    }

    fn is_in_insecure_network(&self, name: &str) -> bool {
        let host = host_of(name);
        match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || self.insecure_networks.iter().any(|net| net.contains(address)),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
    }
}

/// The host of `host:port` or `[v6]:port`.
fn host_of(name: &str) -> &str {
    match name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => name.split_once(':').map_or(name, |(host, _)| host),
    }
}

/// A network as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseNetworkError(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|&bits| bits <= most).ok_or_else(wrong)?;
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The text was not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network of the form 10.0.0.0/8")]
pub struct ParseNetworkError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_a_registry() {
        let own = Host { mirrors: vec!["https://m".to_owned()], insecure: true, ..Host::default() };
        let hosts = Hosts {
            default: Host { certificates: vec!["/ca".into()], ..Host::default() },
            by_name: BTreeMap::from([("host:5000".to_owned(), own.clone())]),
            insecure_networks: vec!["10.0.0.0/8".parse().expect("a network")],
        };
        assert_eq!(hosts.of("host:5000"), Host { certificates: vec!["/ca".into()], ..own });
        for (name, insecure) in [
            ("docker.io", false),
            ("host", false),
            ("localhost:5000", true),
            ("localhost", true),
            ("127.1.2.3:5000", true),
            ("[::1]:5000", true),
            ("10.1.2.3", true),
            ("11.1.2.3:80", false),
        ] {
            assert_eq!(hosts.of(name).insecure, insecure, "{name}");
        }
    }

    #[test]
    fn networks() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::/0"] {
            assert_eq!(text.parse::<Network>().map(|network| network.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "10.0.0.0", "10.0.0.0/33", "host/8", "::1/129", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let all: Network = "0.0.0.0/0".parse().expect("a network");
        assert!(all.contains("192.0.2.1".parse().expect("an address")));
    }
}
