//! `-p` and `--expose`: `[[ADDRESS:][HOST]:]CONTAINER[/PROTOCOL]`, each of the two ports one or a range.

use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::{PortMapping, Protocol};

/// What one `-p` asks for: as many mappings as ports of the container.
pub fn parse_publish(text: &str) -> Result<Vec<PortMapping>> {
    let wrong = |reason: &str| Error::invalid("port to publish", text, reason);
    let form = || wrong("write [ADDRESS:][PORT:]CONTAINER_PORT[/tcp|udp]");
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, protocol)) => (rest, parse_protocol(protocol).ok_or_else(|| wrong("protocols are tcp and udp"))?),
        None => (text, Protocol::Tcp),
    };
    let (before, container) = rest.rsplit_once(':').map_or(("", rest), |(before, container)| (before, container));
    let container = range(container).ok_or_else(form)?;
    let (address, host) = if before.ends_with(']') || before.parse::<IpAddr>().is_ok() {
        return Err(wrong("after an address the host's port follows, or two colons; IPv6 is written as [::1]"));
    } else {
        before.rsplit_once(':').map_or(("", before), |(address, host)| (address, host))
    };
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    let address = match bare {
        "" => None,
        bare => Some(bare.parse().map_err(|_| wrong("what is before the first colon is no IP address"))?),
    };
    let host = match host {
        "" => None,
        host => Some(range(host).ok_or_else(form)?),
    };
    let count = container.1 - container.0;
    if let Some((first, last)) = host
        && last - first != count
        && count != 0
    {
        return Err(wrong("the ranges have different lengths"));
    }
    let mapping = |offset: u16| PortMapping {
        address,
        host: match host {
            // A range for one port of the container: any of them that is free.
            Some(range) if count == 0 => Some(range),
            Some((first, _)) => Some((first + offset, first + offset)),
            None => None,
        },
        container: container.0 + offset,
        protocol,
    };
    Ok((0..=count).map(mapping).collect())
}

/// What one `--expose` says, in the configuration's form: `80/tcp`.
pub fn parse_expose(text: &str) -> Result<Vec<String>> {
    let wrong = || Error::invalid("port to expose", text, "write PORT[-LAST][/tcp|udp]");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = parse_protocol(protocol).ok_or_else(wrong)?;
    let (first, last) = range(ports).ok_or_else(wrong)?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// A port as the configuration has it, if it is one that can be published.
pub fn parse_exposed(text: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((port.parse().ok()?, parse_protocol(protocol)?))
}

fn parse_protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "" | "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u16>().ok().filter(|port| *port != 0),
        false => None,
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `address host-host container protocol` of each mapping.
    fn shown(text: &str) -> Option<String> {
        let mappings = parse_publish(text).ok()?;
        let one = |mapping: &PortMapping| {
            let address = mapping.address.map_or("*".to_owned(), |address| address.to_string());
            let host = mapping.host.map_or("any".to_owned(), |(first, last)| format!("{first}-{last}"));
            format!("{address} {host} {}/{}", mapping.container, mapping.protocol)
        };
        Some(mappings.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn what_docker_takes() {
        for (text, expected) in [
            ("80", "* any 80/tcp"),
            ("8080:80", "* 8080-8080 80/tcp"),
            ("8080:80/udp", "* 8080-8080 80/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080-8080 80/tcp"),
            ("127.0.0.1::80", "127.0.0.1 any 80/tcp"),
            ("[::1]:8080:80", "::1 8080-8080 80/tcp"),
            ("8000-8001:80-81", "* 8000-8000 80/tcp, * 8001-8001 81/tcp"),
            ("8000-8009:80", "* 8000-8009 80/tcp"),
            ("80-81", "* any 80/tcp, * any 81/tcp"),
            (":80", "* any 80/tcp"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "x",
            "0",
            "80/sctp",
            "65536",
            "1-2:3-5",
            "8080:",
            "a:1:2",
            "1.2.3:1:2",
            "127.0.0.1:80",
            "-1:80",
            "+1:80",
            "2-1",
            "[::1]:80",
            "::1:8080:80",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn exposed_ports() {
        assert_eq!(parse_expose("80-81/udp").expect("valid"), ["80/udp", "81/udp"]);
        assert_eq!(parse_exposed("80/tcp"), Some((80, Protocol::Tcp)));
        assert_eq!(parse_exposed("80"), Some((80, Protocol::Tcp)));
        assert_eq!(parse_exposed("80/sctp"), None);
        parse_expose("80:81").expect_err("no mapping");
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[0-9a-f:.\\[\\]/tcpud-]{0,24}") {
            let _ = parse_publish(&text);
            let _ = parse_expose(&text);
        }
    }
}
