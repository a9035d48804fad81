//! kiln's own configuration, in TOML. What is not understood is refused, with its place.
//!
//! ```toml
//! [store]
//! max-size = "50GB"
//! [registry."docker.io"]
//! mirrors = ["https://mirror.example.com"]
//! [registry."10.0.0.5:5000"]
//! insecure = true
//! ca = "ca.pem"
//! ```

use std::path::{Path, PathBuf};

use kiln_dockerfile::Span;
use kiln_registry::Host;
use kiln_types::Reference;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Config;
use crate::report::size;

/// Stands for all registries.
const EVERY: &str = "*";

/// What is wrong with the file, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) span: Span,
}

type Result<T> = std::result::Result<T, Wrong>;
type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// Adds what `text` says to `config`. Relative paths begin at `directory`.
pub(super) fn read(text: &str, directory: &Path, config: &mut Config) -> Result<()> {
    let document = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        Wrong { message: error.message().to_owned(), hint: None, span: Span::new(span.start, span.end) }
    })?;
    for (key, value) in document.get_ref() {
        match key.get_ref().as_ref() {
            "store" => store(table(value)?, config)?,
            "registry" => {
                for (name, value) in table(value)? {
                    registry(name, value, directory, config)?;
                }
            }
            _ => return Err(unknown(key, &["store", "registry"])),
        }
    }
    Ok(())
}

fn store(values: &DeTable<'_>, config: &mut Config) -> Result<()> {
    for (key, value) in values {
        match key.get_ref().as_ref() {
            "max-size" => {
                let bytes = value.get_ref().as_str().and_then(size::parse);
                let wrong = || wrong(value.span(), "this is no size").hint("write for example \"50GB\"");
                config.store.max_size = Some(bytes.ok_or_else(wrong)?);
            }
            _ => return Err(unknown(key, &["max-size"])),
        }
    }
    Ok(())
}

fn registry(name: &Key<'_>, value: &Value<'_>, directory: &Path, config: &mut Config) -> Result<()> {
    let every = name.get_ref() == EVERY;
    let mut host = Host::default();
    let (mut certificate, mut key_file) = (None, None);
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "mirrors" if every => {
                return Err(wrong(key.span(), "a mirror of every registry cannot know which one is meant")
                    .hint("name the registry: [registry.\"docker.io\"]"));
            }
            "mirrors" => {
                for (text, span) in strings(value)? {
                    let mirror = super::mirror(text).map_err(|message| wrong(span, message))?;
                    host.mirrors.push(mirror);
                }
            }
            "insecure" => {
                let wrong = || wrong(value.span(), "this is neither true nor false");
                host.insecure = value.get_ref().as_bool().ok_or_else(wrong)?;
            }
            "ca" => host.certificates = strings(value)?.into_iter().map(|(path, _)| directory.join(path)).collect(),
            "client-certificate" => certificate = Some(path(value, directory)?),
            "client-key" => key_file = Some(path(value, directory)?),
            _ => {
                return Err(unknown(key, &["mirrors", "insecure", "ca", "client-certificate", "client-key"]));
            }
        }
    }
    host.client_certificate = match (certificate, key_file) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(wrong(name.span(), "client-certificate needs a client-key beside it")),
        (None, Some(_)) => return Err(wrong(name.span(), "client-key needs a client-certificate beside it")),
    };
    if every {
        config.registries.default = host;
        return Ok(());
    }
    let registry = registry_name(name)?;
    let known = config.registries.by_name.entry(registry).or_default();
    let before = std::mem::take(&mut known.mirrors);
    let mirrors = host.mirrors.iter().filter(|mirror| !before.contains(mirror)).cloned();
    host.mirrors = before.iter().cloned().chain(mirrors).collect();
    *known = host;
    Ok(())
}

/// The name as images have it.
fn registry_name(name: &Key<'_>) -> Result<String> {
    let text = name.get_ref();
    match format!("{text}/x").parse::<Reference>() {
        // Of any other name the parser makes a part of the repository.
        Ok(reference) if reference.registry == *text || text == "index.docker.io" => Ok(reference.registry),
        _ => Err(wrong(name.span(), format!("`{text}` is no registry"))
            .hint("write it as names of images begin: \"docker.io\", \"host:5000\"")),
    }
}

fn table<'a, 'i>(value: &'a Value<'i>) -> Result<&'a DeTable<'i>> {
    value.get_ref().as_table().ok_or_else(|| wrong(value.span(), "this is no table"))
}

fn path(value: &Value<'_>, directory: &Path) -> Result<PathBuf> {
    let text = value.get_ref().as_str().ok_or_else(|| wrong(value.span(), "this is not the name of a file"))?;
    Ok(directory.join(text))
}

/// One string, or a list of them.
fn strings<'a>(value: &'a Value<'_>) -> Result<Vec<(&'a str, std::ops::Range<usize>)>> {
    let one = |value: &'a Value<'_>| match value.get_ref().as_str() {
        Some(text) => Ok((text, value.span())),
        None => Err(wrong(value.span(), "this is no text").hint("put it in quotes")),
    };
    match value.get_ref().as_array() {
        Some(list) => list.iter().map(one).collect(),
        None => Ok(vec![one(value)?]),
    }
}

fn wrong(span: std::ops::Range<usize>, message: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), hint: None, span: Span::new(span.start, span.end) }
}

impl Wrong {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn unknown(key: &Key<'_>, known: &[&str]) -> Wrong {
    let name = key.get_ref();
    let hint = match kiln_dockerfile::closest(name, known.iter().copied()) {
        Some(close) => format!("did you mean {close}?"),
        None => format!("known are {}", known.join(", ")),
    };
    wrong(key.span(), format!("there is no setting `{name}` here")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config> {
        let mut config = Config::default();
        read(text, Path::new("/etc/kiln"), &mut config)?;
        Ok(config)
    }

    #[test]
    fn everything_that_can_be_said() {
        let text = r#"
            [store]
            max-size = "50GB"
            [registry."docker.io"]
            mirrors = ["https://a/", "https://b"]
            [registry."10.0.0.5:5000"]
            insecure = true
            ca = "ca.pem"
            client-certificate = "c.pem"
            client-key = "/k.pem"
            [registry.localhost]
            mirrors = "http://c"
            [registry."*"]
            ca = ["/one.pem", "two.pem"]
        "#;
        let config = config(text).expect("valid");
        assert_eq!(config.store.max_size, Some(50_000_000_000));
        let hosts = config.registries;
        assert_eq!(hosts.by_name["docker.io"].mirrors, ["https://a", "https://b"]);
        assert_eq!(hosts.by_name["localhost"].mirrors, ["http://c"]);
        let host = &hosts.by_name["10.0.0.5:5000"];
        assert!(host.insecure);
        assert_eq!(host.certificates, [Path::new("/etc/kiln/ca.pem")]);
        assert_eq!(host.client_certificate, Some(("/etc/kiln/c.pem".into(), "/k.pem".into())));
        assert_eq!(hosts.default.certificates, [Path::new("/one.pem"), Path::new("/etc/kiln/two.pem")]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, marked, message, hint) in [
            ("[stroe]\n", "stroe", "there is no setting `stroe` here", "did you mean store?"),
            ("[store]\nmax_size = '1GB'", "max_size", "there is no setting", "did you mean max-size?"),
            ("[store]\nmax-size = 'much'", "'much'", "this is no size", "50GB"),
            ("store = 1", "1", "this is no table", ""),
            ("[registry.'docker.io']\nmirors = []", "mirors", "there is no setting", "did you mean mirrors?"),
            ("[registry.'docker.io']\nmirrors = ['x']", "'x'", "`x` is no mirror", ""),
            ("[registry.'docker.io']\nmirrors = [1]", "1", "this is no text", "quotes"),
            ("[registry.'a.b']\ninsecure = 'yes'", "'yes'", "neither true nor false", ""),
            ("[registry.'https://a.b']\n", "'https://a.b'", "is no registry", "docker.io"),
            ("[registry.'a.b/c']\n", "'a.b/c'", "is no registry", "docker.io"),
            ("[registry.team]\n", "team", "is no registry", "docker.io"),
            ("[registry.'*']\nmirrors = []", "mirrors", "every registry", "name the registry"),
            ("[registry.'a.b']\nclient-key = 'x'", "'a.b'", "client-certificate", ""),
        ] {
            let wrong = config(text).expect_err(text);
            assert_eq!(&text[wrong.span.start..wrong.span.end], marked, "{text}");
            assert!(wrong.message.contains(message), "{text}: {}", wrong.message);
            assert!(wrong.hint.unwrap_or_default().contains(hint), "{text}");
        }
        assert!(config("[store\n").is_err());
    }
}
