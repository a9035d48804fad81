//! What a build may use and must not keep: `--secret`, `--ssh`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kiln_fetch::Url;

use crate::Error;

/// Secrets by id.
pub type Secrets = BTreeMap<String, Secret>;

/// Ssh agents by id.
pub type Agents = BTreeMap<String, kiln_ssh::Agent>;

/// What servers of files and of repositories are told of who asks.
pub(crate) trait Authorizations {
    /// The value of the header `Authorization` for a file.
    fn for_file(&self, url: &Url) -> Result<Option<String>, Error>;
    /// And for a git repository.
    fn for_repository(&self, remote: &str) -> Result<Option<String>, Error>;
}

/// Under the names that BuildKit has for them.
impl Authorizations for Secrets {
    fn for_file(&self, url: &Url) -> Result<Option<String>, Error> {
        let host = url.host();
        if let Some(token) = header(self, &format!("HTTP_AUTH_TOKEN_{host}"))? {
            return Ok(Some(format!("Bearer {token}")));
        }
        header(self, &format!("HTTP_AUTH_HEADER_{host}"))
    }

    fn for_repository(&self, remote: &str) -> Result<Option<String>, Error> {
        // Who is named in a URL is who asks.
        let Some(url) = remote.parse::<Url>().ok().filter(|url| url.credential_hash().is_empty()) else {
            return Ok(None);
        };
        let usual = if url.is_secure() { 443 } else { 80 };
        let port = Some(url.port()).filter(|&port| port != usual).map(|port| format!(":{port}"));
        let mut ends = vec![format!(".{}{}", url.host(), port.unwrap_or_default())];
        // What names no host is not sent for everybody to read.
        if url.is_secure() || url.is_loopback() {
            ends.push(String::new());
        }
        for end in ends {
            if let Some(value) = header(self, &format!("GIT_AUTH_HEADER{end}"))? {
                return Ok(Some(value));
            }
            if let Some(token) = header(self, &format!("GIT_AUTH_TOKEN{end}"))? {
                return Ok(Some(kiln_fetch::basic("x-access-token", &token)));
            }
        }
        Ok(None)
    }
}

/// A secret as a line of text; files end with a line break that is not meant.
fn header(secrets: &Secrets, id: &str) -> Result<Option<String>, Error> {
    let Some(secret) = secrets.get(id) else { return Ok(None) };
    let text = secret.text().map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    let line = text.filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    line.map(Some).ok_or_else(|| Error::NoHeader(id.to_owned()))
}

/// Bytes that are never shown.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// As BuildKit has it.
    pub const LONGEST: usize = 500 << 10;

    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// Without the line break that files end with.
    pub(crate) fn line_trimmed(&self) -> &[u8] {
        let end = self.0.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        &self.0[..end]
    }

    pub(crate) fn bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.0)
    }

    /// What can be the value of a variable.
    pub(crate) fn text(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.0).ok()?;
        (!text.contains('\0')).then(|| text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(given: &[(&str, &str)]) -> Secrets {
        given.iter().map(|&(id, value)| (id.to_owned(), Secret::new(value.into()))).collect()
    }

    #[test]
    fn files_are_asked_for_with_what_names_their_host() {
        let secrets = secrets(&[("HTTP_AUTH_TOKEN_a.example", "t\n"), ("HTTP_AUTH_HEADER_b.example", "Basic eA==")]);
        for (url, expected) in [
            ("https://a.example/x", Some("Bearer t")),
            ("http://b.example:8080/x", Some("Basic eA==")),
            ("https://c.example/x", None),
            ("https://x.a.example/x", None),
        ] {
            let url = url.parse().expect("a URL");
            assert_eq!(secrets.for_file(&url).expect("a line").as_deref(), expected);
        }
    }

    #[test]
    fn repositories_are_asked_for_with_the_narrowest() {
        let secrets = secrets(&[("GIT_AUTH_TOKEN", "t"), ("GIT_AUTH_HEADER.a.example:8443", "Bearer a")]);
        for (remote, expected) in [
            ("https://a.example:8443/x.git", Some("Bearer a")),
            ("https://a.example/x.git", Some("Basic eC1hY2Nlc3MtdG9rZW46dA==")),
            ("http://a.example/x.git", None),
            ("git@a.example:x.git", None),
            ("ssh://a.example/x.git", None),
        ] {
            assert_eq!(secrets.for_repository(remote).expect("a line").as_deref(), expected, "{remote}");
        }
    }

    #[test]
    fn a_header_is_one_line() {
        let secrets = secrets(&[("GIT_AUTH_HEADER", "Basic x\r\nHost: evil")]);
        secrets.for_repository("https://a.example/x.git").expect_err("two lines");
    }
}
