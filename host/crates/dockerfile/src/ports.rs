//! One port of EXPOSE: `[ip:][host:]first[-last][/protocol]`.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    pub ports: RangeInclusive<u16>,
    /// In lower case.
    pub protocol: &'static str,
    /// The protocol was written with capitals.
    pub(crate) capitals: bool,
    /// An address or a port of the host was written before it, which means nothing.
    pub(crate) mapped: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a port")]
pub struct PortError(pub String);

impl Exposed {
    pub fn parse(text: &str) -> Result<Self, PortError> {
        let wrong = || PortError(text.to_owned());
        let (before, container) = match text.rsplit_once(':') {
            Some((before, container)) => (Some(before), container),
            None => (None, text),
        };
        let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
        let lower = match protocol.to_ascii_lowercase().as_str() {
            "" | "tcp" => "tcp",
            "udp" => "udp",
            "sctp" => "sctp",
            _ => return Err(wrong()),
        };
        let ports = range(ports).ok_or_else(wrong)?;
        if let Some(before) = before {
            let (address, host) = before.rsplit_once(':').unwrap_or(("", before));
            if !address.is_empty() && !is_address(address) {
                return Err(wrong());
            }
            if !host.is_empty() {
                let host = range(host).ok_or_else(wrong)?;
                let fits = host.end() - host.start() == ports.end() - ports.start() || ports.start() == ports.end();
                if !fits {
                    return Err(wrong());
                }
            }
        }
        let capitals = protocol.bytes().any(|byte| byte.is_ascii_uppercase());
        Ok(Self {
            ports,
            protocol: lower,
            capitals,
            mapped: before.is_some_and(|before| before != ":" && !before.is_empty()),
        })
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_ranges_and_mappings() {
        for (text, ports, protocol, capitals, mapped) in [
            ("80", 80..=80, "tcp", false, false),
            ("80/", 80..=80, "tcp", false, false),
            ("53/UDP", 53..=53, "udp", true, false),
            ("8000-8002/sctp", 8000..=8002, "sctp", false, false),
            ("0-65535", 0..=65535, "tcp", false, false),
            ("5000:80", 80..=80, "tcp", false, true),
            ("127.0.0.1:80:8080", 8080..=8080, "tcp", false, true),
            ("127.0.0.1::8080", 8080..=8080, "tcp", false, true),
            ("[::1]:1-2:3-4/tcp", 3..=4, "tcp", false, true),
            ("1-9:80", 80..=80, "tcp", false, true),
        ] {
            assert_eq!(Exposed::parse(text), Ok(Exposed { ports, protocol, capitals, mapped }), "{text}");
        }
        for text in
            ["", "/tcp", "a", "-1", "+1", "65536", "2-1", "1-", "80/http", "x:80", "1.2.3:1:2", "1-3:5-6", "80:"]
        {
            assert_eq!(Exposed::parse(text), Err(PortError(text.to_owned())), "{text}");
        }
    }
}
