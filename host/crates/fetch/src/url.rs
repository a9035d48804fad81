//! Absolute `http` and `https` URLs, as far as fetching needs them (RFC 3986).

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Longer ones are refused by servers too.
const MAX_LENGTH: usize = 8 << 10;

/// Where something is fetched from. Shown without the credentials that it may hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    /// In lower case; IPv6 addresses in brackets.
    host: String,
    port: Option<u16>,
    /// Begins with `/`; everything that has to be is percent-encoded.
    path: String,
    /// With its `?`; may be empty.
    query: String,
    credentials: Option<Credentials>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseUrlError(pub &'static str);

impl Url {
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// This machine itself: what is sent there stays on it.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Scheme, host and port: who may be told the same secrets.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port()) == (other.secure, &other.host, other.port())
    }

    /// The host, and its port where the URL names it.
    pub(crate) fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Tells URLs with other credentials apart without showing them; empty where there are none.
    pub fn credential_hash(&self) -> String {
        let hash = |credentials: &Credentials| {
            let mut hasher = kiln_types::Hasher::new();
            hasher.field(&credentials.user);
            hasher.field(&credentials.password);
            hasher.finish().hex()
        };
        self.credentials.as_ref().map(hash).unwrap_or_default()
    }

    /// The path, percent-encoding undone; bytes that are no UTF-8 are replaced.
    pub fn decoded_path(&self) -> String {
        decode(&self.path)
    }

    /// The last part of the path, decoded: what a download is called. `None` where the path ends with a slash.
    pub fn file_name(&self) -> Option<String> {
        let path = self.decoded_path();
        let name = path.trim_end_matches('/').rsplit('/').next()?;
        (!matches!(name, "" | "." | "..") && !name.contains('\0')).then(|| name.to_owned())
    }

    /// Resolves what a `Location` header says.
    pub fn join(&self, location: &str) -> Result<Self, ParseUrlError> {
        let location = location.split('#').next().unwrap_or_default();
        if has_scheme(location) {
            return location.parse();
        }
        if let Some(rest) = location.strip_prefix("//") {
            return format!("{}://{rest}", self.scheme()).parse();
        }
        let (path, query) = split_query(location);
        let path = match path {
            "" => self.path.clone(),
            path if path.starts_with('/') => path.to_owned(),
            path => {
                let directory = &self.path[..=self.path.rfind('/').unwrap_or(0)];
                format!("{directory}{path}")
            }
        };
        let mut joined = self.clone();
        joined.path = encode(&remove_dots(&path))?;
        joined.query = encode(query)?;
        Ok(joined)
    }

    /// With further parameters at the end of the query.
    #[must_use]
    pub fn with_parameters<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut url = self.clone();
        for (name, value) in parameters {
            url.query.push(if url.query.is_empty() { '?' } else { '&' });
            url.query += &format!("{}={}", encode_form(name), encode_form(value));
        }
        url
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

impl FromStr for Url {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, ParseUrlError> {
        if text.len() > MAX_LENGTH {
            return Err(ParseUrlError("the URL is too long"));
        }
        let (scheme, rest) = text.split_once("://").ok_or(ParseUrlError("a URL begins with http:// or https://"))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(ParseUrlError("only http and https are fetched")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        let credentials = credentials.map(|text| {
            let (user, password) = text.split_once(':').unwrap_or((text, ""));
            Credentials { user: decode(user), password: decode(password) }
        });
        let (host, port) = split_port(host)?;
        let (path, query) = split_query(rest);
        let path = encode(if path.is_empty() { "/" } else { path })?;
        Ok(Self { secure, host, port, path, query: encode(query)?, credentials })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}{}", self.scheme(), self.authority(), self.path, self.query)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

fn split_port(authority: &str) -> Result<(String, Option<u16>), ParseUrlError> {
    let bad = Err(ParseUrlError("the host is not a name or an address"));
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (format!("[{address}]"), port),
            _ => return bad,
        },
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (host.to_ascii_lowercase(), port)
        }
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(is_name)) {
        return bad;
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 && !digits.starts_with('+') => Some(port),
            _ => return Err(ParseUrlError("the port is not a number from 1 to 65535")),
        },
        None => return bad,
    };
    Ok((host, port))
}

/// Percent-encodes what may not stand in a URL and leaves all else, `%` too, as it is.
fn encode(text: &str) -> Result<String, ParseUrlError> {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0..0x20 | 0x7f => return Err(ParseUrlError("a URL has no control characters")),
            b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
            }
            _ => out.push(char::from(byte)),
        }
    }
    Ok(out)
}

/// Percent-encodes all that could mean something in a query or a form.
pub fn encode_form(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
        out
    })
}

pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| !digits.starts_with('+')).and_then(|d| u8::from_str_radix(d, 16).ok());
        match (bytes[at], escaped) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 3986, section 5.2.4.
fn remove_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." => {}
            ".." => {
                out.pop();
            }
            _ => {
                out.push(part);
                continue;
            }
        }
        if last {
            out.push("");
        }
    }
    format!("/{}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        text.parse().expect(text)
    }

    #[test]
    fn parts() {
        for (text, shown, host, port, name) in [
            ("http://h/a/b.tar", "http://h/a/b.tar", "h", 80, Some("b.tar")),
            ("HTTPS://Host.Example:8443", "https://host.example:8443/", "host.example", 8443, None),
            ("https://u:p%40@h/x%20y?q=1#f", "https://h/x%20y?q=1", "h", 443, Some("x y")),
            ("http://[::1]:5/a/", "http://[::1]:5/a/", "::1", 5, Some("a")),
            ("http://h?q", "http://h/?q", "h", 80, None),
            ("http://h/a b/ü", "http://h/a%20b/%C3%BC", "h", 80, Some("ü")),
            ("http://h/%2e%2e", "http://h/%2e%2e", "h", 80, None),
        ] {
            let url = url(text);
            assert_eq!(
                (url.to_string().as_str(), url.host(), url.port(), url.file_name().as_deref()),
                (shown, host, port, name),
                "{text}"
            );
        }
        assert_eq!(url("https://u:p%40@h/").credentials().map(|c| c.password.as_str()), Some("p@"));
    }

    #[test]
    fn what_is_no_url() {
        for text in [
            "",
            "h/a",
            "ftp://h/",
            "file:///etc/passwd",
            "http://",
            "http:///a",
            "http://h:0/",
            "http://h:x/",
            "http://h:99999/",
            "http://[::1/",
            "http://[x]/",
            "http://h h/",
            "http://ü/",
            "http://h/\n",
            "http://h/\0",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn locations_are_resolved() {
        let base = url("https://h:1/a/b?q");
        for (location, expected) in [
            ("/x", "https://h:1/x"),
            ("x", "https://h:1/a/x"),
            ("../x?y", "https://h:1/x?y"),
            ("../../../x", "https://h:1/x"),
            ("//other/x", "https://other/x"),
            ("http://other/x#f", "http://other/x"),
            ("?z", "https://h:1/a/b?z"),
            ("", "https://h:1/a/b"),
            (".", "https://h:1/a/"),
        ] {
            assert_eq!(base.join(location).map(|url| url.to_string()), Ok(expected.to_owned()), "{location}");
        }
        for location in ["file:///etc/passwd", "gopher://h/", "javascript:x"] {
            assert!(base.join(location).is_err(), "{location}");
        }
    }

    #[test]
    fn parameters_are_escaped_and_come_last() {
        for (text, expected) in [
            ("https://a", "https://a/?k=a%2Fb%20%C3%A9&l="),
            ("https://a/b?c=%20", "https://a/b?c=%20&k=a%2Fb%20%C3%A9&l="),
        ] {
            assert_eq!(url(text).with_parameters([("k", "a/b é"), ("l", "")]).to_string(), expected);
        }
    }

    #[test]
    fn origins() {
        assert!(url("https://h/a").same_origin(&url("https://H:443/b")));
        for other in ["http://h/", "https://h:444/", "https://i/"] {
            assert!(!url("https://h/").same_origin(&url(other)), "{other}");
        }
        assert!(url("http://127.0.0.2/").is_loopback() && url("http://[::1]/").is_loopback());
        assert!(!url("http://localhost.example/").is_loopback());
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_not(text in "(https?://)?\\PC{0,40}", location in "\\PC{0,30}") {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert_eq!(url.to_string().parse::<Url>().expect("shown as it is read").to_string(), url.to_string());
                let _ = (url.join(&location), url.file_name());
            }
        }
    }
}
