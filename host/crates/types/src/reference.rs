//! Image names: `registry/repository:tag@digest` with the defaults Docker's users know.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// A name of an image, in full. Grammar: distribution's `reference` (tag up to 128 characters, name up to 255).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// `docker.io`, `host:port`, …
    pub registry: String,
    /// `library/ubuntu`, `team/app`, …
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image name `{text}`: {reason}")]
pub struct ParseReferenceError {
    pub text: String,
    pub reason: &'static str,
}

impl Reference {
    /// The tag, `latest` where neither a tag nor a digest was given.
    pub fn tag_or_latest(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some(DEFAULT_TAG),
            (None, Some(_)) => None,
        }
    }

    /// The same name with the tag `latest` filled in where neither a tag nor a digest was given.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        self.tag = self.tag_or_latest().map(str::to_owned);
        self
    }

    /// Registry and repository as people write them: `ubuntu`, `team/app`, `host:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        self.repository.strip_prefix(DEFAULT_NAMESPACE).unwrap_or(&self.repository).to_owned()
    }

    /// The whole reference as people write it: `ubuntu:16.04`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The full form: `docker.io/library/ubuntu:16.04`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(format!("{}/{}", self.registry, self.repository)))
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| ParseReferenceError { text: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| wrong("what follows `@` is not sha256:<64 hex digits>"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(wrong("a tag is up to 128 letters, digits, `_`, `.` and `-`, and begins with none of `.` `-`"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                if !is_registry(first) {
                    return Err(wrong("the registry is not host[:port]"));
                }
                (if first == "index.docker.io" { DEFAULT_REGISTRY } else { first }, rest.to_owned())
            }
            _ => (DEFAULT_REGISTRY, name.to_owned()),
        };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("{DEFAULT_NAMESPACE}{repository}")
        } else {
            repository
        };
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong("repository names are lower case"));
        }
        if repository.len() > 255 {
            return Err(wrong("a repository is up to 255 characters long"));
        }
        if !repository.split('/').all(is_component) {
            return Err(wrong(
                "a repository is made of lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`",
            ));
        }
        if Digest::from_hex(name).is_ok() {
            return Err(wrong("64 hexadecimal digits would be read as an id"));
        }
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().enumerate().all(|(at, b)| word(b) || (at > 0 && matches!(b, b'.' | b'-')))
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, port)) => {
            let address = !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

/// `[a-z0-9]+` runs joined by one of `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let edges = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    edges
        && bytes
            .split(alphanumeric)
            .all(|separator| matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_the_defaults() {
        for (text, full, familiar) in [
            ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
            ("ubuntu:16.04", "docker.io/library/ubuntu:16.04", "ubuntu:16.04"),
            ("docker.io/library/ubuntu:16.04", "docker.io/library/ubuntu:16.04", "ubuntu:16.04"),
            ("index.docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
            ("stt/hello-world", "docker.io/stt/hello-world:latest", "stt/hello-world:latest"),
            ("172.17.73.129:6000/centos", "172.17.73.129:6000/centos:latest", "172.17.73.129:6000/centos:latest"),
            ("www.codemachine.in/busybox", "www.codemachine.in/busybox:latest", "www.codemachine.in/busybox:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("localhost:5000/a/b__c:v1.0-rc", "localhost:5000/a/b__c:v1.0-rc", "localhost:5000/a/b__c:v1.0-rc"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ] {
            let reference = text.parse::<Reference>().expect(text).with_default_tag();
            assert_eq!((reference.to_string(), reference.familiar()), (full.to_owned(), familiar.to_owned()));
        }
    }

    #[test]
    fn a_digest_takes_the_place_of_the_tag() {
        let text = format!("busybox@{}", Digest::of("x"));
        let reference = text.parse::<Reference>().expect("valid").with_default_tag();
        assert_eq!(reference.tag, None);
        assert_eq!(reference.familiar(), text);
    }

    #[test]
    fn refuses_bad_names() {
        for text in [
            "",
            ":",
            "a:",
            "Ubuntu",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a:b c",
            "-a",
            "a-",
            "a..b",
            "a@sha256:12",
            "http://a/b",
            "host:port/a",
            "a___b",
            &Digest::of("x").hex(),
            &"a".repeat(256),
            &format!("a:{}", "t".repeat(129)),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        let error = "a".repeat(300).parse::<Reference>().expect_err("too long");
        assert_eq!(error.reason, "a repository is up to 255 characters long");
    }
}
